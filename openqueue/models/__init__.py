"""What the database remembers."""

from __future__ import annotations

from openqueue.models.alert import Alert, AlertDelivery
from openqueue.models.alert_channel import AlertChannel
from openqueue.models.alert_rule import AlertRule
from openqueue.models.api_token import ApiToken
from openqueue.models.audit_log import AuditLog
from openqueue.models.bulk_operation import BulkOperation
from openqueue.models.claim import Claim
from openqueue.models.dead_letter import DeadLetter
from openqueue.models.dedupe_key import DedupeKey
from openqueue.models.error_group import ErrorCount, ErrorGroup
from openqueue.models.flow import Flow, FlowEdge, FlowNode
from openqueue.models.idempotency_key import IdempotencyKey
from openqueue.models.limit import Limit, Permit
from openqueue.models.outbox import Outbox
from openqueue.models.queue_depth import QueueDepth
from openqueue.models.queue_state import QueueState
from openqueue.models.release import Release
from openqueue.models.rollup import Rollup, RollupMark
from openqueue.models.run import Run
from openqueue.models.run_event import RunEvent
from openqueue.models.run_log import RunLog
from openqueue.models.runtime_offset import RuntimeOffset
from openqueue.models.schedule import Schedule
from openqueue.models.schedule_tick import ScheduleTick
from openqueue.models.sweep import Sweep
from openqueue.models.task_definition import TaskDefinition
from openqueue.models.worker import Worker

__all__ = [
    "Alert",
    "AlertChannel",
    "AlertDelivery",
    "AlertRule",
    "ApiToken",
    "AuditLog",
    "BulkOperation",
    "Claim",
    "DeadLetter",
    "DedupeKey",
    "ErrorCount",
    "ErrorGroup",
    "Flow",
    "FlowEdge",
    "FlowNode",
    "IdempotencyKey",
    "Limit",
    "Outbox",
    "Permit",
    "QueueDepth",
    "QueueState",
    "Release",
    "Rollup",
    "RollupMark",
    "Run",
    "RunEvent",
    "RunLog",
    "RuntimeOffset",
    "Schedule",
    "ScheduleTick",
    "Sweep",
    "TaskDefinition",
    "Worker",
]
