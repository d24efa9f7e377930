"""The state machine of a run: its statuses, its arrows, and the reasons a run can end with."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Status(StrEnum):
    """Where a run stands. The label on the row; which table holds its place decides (docs: life of a run)."""

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    WAITING = "waiting"
    RUNNING = "running"
    RETRYING = "retrying"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class Reason(StrEnum):
    """Why a run stands where it stands; empty when the status says it all."""

    NONE = ""
    ERROR = "error"
    TIMED_OUT = "timed_out"
    NON_RETRYABLE = "non_retryable"
    WORKER_LOST = "worker_lost"
    UNKNOWN_TASK = "unknown_task"
    PAYLOAD_INVALID = "payload_invalid"
    RESULT_INVALID = "result_invalid"
    DEPENDENCY_FAILED = "dependency_failed"
    BY_USER = "by_user"


class Kind(StrEnum):
    """What one line of a run's history tells."""

    TRIGGERED = "triggered"
    ANNOUNCED_AGAIN = "announced_again"
    STARTED = "started"
    PROGRESS = "progress"
    COMPLETED = "completed"
    RETRYING = "retrying"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    RELEASED = "released"
    WORKER_LOST = "worker_lost"
    LATE_RESULT_DISCARDED = "late_result_discarded"
    REQUEUED = "requeued"
    CANCEL_REQUESTED = "cancel_requested"


FINAL: Final = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED, Status.EXPIRED})
CLAIMABLE: Final = frozenset({Status.SCHEDULED, Status.QUEUED, Status.RETRYING})

ARROWS: Final[dict[Status, frozenset[Status]]] = {
    Status.SCHEDULED: frozenset({Status.RUNNING, Status.CANCELLED, Status.EXPIRED, Status.FAILED}),
    Status.QUEUED: frozenset({Status.RUNNING, Status.CANCELLED, Status.EXPIRED, Status.FAILED}),
    Status.RETRYING: frozenset({Status.RUNNING, Status.CANCELLED, Status.FAILED}),
    Status.WAITING: frozenset({Status.QUEUED, Status.FAILED, Status.CANCELLED}),
    Status.RUNNING: frozenset(
        {Status.COMPLETED, Status.RETRYING, Status.FAILED, Status.CANCELLED, Status.QUEUED}
    ),
    Status.COMPLETED: frozenset({Status.QUEUED, Status.WAITING}),
    Status.FAILED: frozenset({Status.QUEUED, Status.WAITING}),
    Status.CANCELLED: frozenset({Status.QUEUED, Status.WAITING}),
    Status.EXPIRED: frozenset({Status.QUEUED, Status.WAITING}),
}
"""Every arrow a run may take. The docs diagram is generated from this table and a property test walks it."""


def allowed(before: Status | str, after: Status | str) -> bool:
    """Tell whether a run may go from ``before`` to ``after``."""
    return Status(after) in ARROWS[Status(before)]


def mermaid() -> str:
    """Return the table as a Mermaid state diagram (docs/concepts/life-of-a-run.md holds its output)."""
    lines = ["stateDiagram-v2", "    [*] --> scheduled", "    [*] --> queued"]
    drawn = [status for status in Status if status != Status.WAITING]
    lines += [f"    {a} --> {b}" for a in drawn for b in drawn if b in ARROWS[a]]
    lines.extend(f"    {status} --> [*]" for status in Status if status in FINAL)
    return "\n".join(lines) + "\n"
