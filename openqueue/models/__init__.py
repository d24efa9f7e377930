"""What the database remembers."""

from __future__ import annotations

from openqueue.models.audit_log import AuditLog
from openqueue.models.claim import Claim
from openqueue.models.dead_letter import DeadLetter
from openqueue.models.outbox import Outbox
from openqueue.models.queue_state import QueueState
from openqueue.models.run import Run
from openqueue.models.run_event import RunEvent
from openqueue.models.run_log import RunLog
from openqueue.models.sweep import Sweep
from openqueue.models.worker import Worker

__all__ = [
    "AuditLog",
    "Claim",
    "DeadLetter",
    "Outbox",
    "QueueState",
    "Run",
    "RunEvent",
    "RunLog",
    "Sweep",
    "Worker",
]
