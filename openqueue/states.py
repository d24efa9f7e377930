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
    UNPUBLISHABLE = "unpublishable"
    PAYLOAD_INVALID = "payload_invalid"
    RESULT_INVALID = "result_invalid"
    DEPENDENCY_FAILED = "dependency_failed"
    BY_USER = "by_user"
    QUEUE_CLOSED = "queue_closed"


class Policy(StrEnum):
    """What becomes of a node when one that it waits for ends without completing."""

    FAIL = "fail"
    CONTINUE = "continue"
    BLOCK = "block"


class FlowStatus(StrEnum):
    """How a flow stands."""

    RUNNING = "running"
    BLOCKED = "blocked"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


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
    MOVED = "moved"
    PROMOTED = "promoted"
    PRIORITISED = "prioritised"
    REPLAYED = "replayed"
    DUPLICATE = "duplicate"
    DEBOUNCED = "debounced"
    UNBLOCKED = "unblocked"
    STEP = "step"
    TICK = "tick"


class TickOutcome(StrEnum):
    """What became of one moment at which a schedule was due."""

    RUN = "run"
    WAITING = "waiting"
    """For the run before it to end: overlap="queue"."""
    MISSED = "missed"
    """Nobody looked in time, and the schedule makes no run of it any more: misfire=."""
    OUT_OF_WINDOW = "out_of_window"
    """Missed longer ago than the catch-up window."""
    OVERLAPPED = "overlapped"
    """The run before it had not ended: overlap=."""
    PAUSED = "paused"
    """It waited for the run before it when the schedule was paused."""
    FAILED = "failed"
    """No run could be made of it; the reason says why."""


FINAL: Final = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED, Status.EXPIRED})
FLOW_ENDED: Final = frozenset({FlowStatus.COMPLETED, FlowStatus.FAILED, FlowStatus.CANCELLED})
CLAIMABLE: Final = frozenset({Status.SCHEDULED, Status.QUEUED, Status.RETRYING})

ARROWS: Final[dict[Status, frozenset[Status]]] = {
    Status.SCHEDULED: frozenset(
        {Status.QUEUED, Status.RUNNING, Status.CANCELLED, Status.EXPIRED, Status.FAILED}
    ),
    Status.QUEUED: frozenset({Status.RUNNING, Status.CANCELLED, Status.EXPIRED, Status.FAILED}),
    Status.RETRYING: frozenset({Status.RUNNING, Status.CANCELLED, Status.FAILED}),
    Status.WAITING: frozenset({Status.QUEUED, Status.SCHEDULED, Status.FAILED, Status.CANCELLED}),
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
    lines = ["stateDiagram-v2", "    [*] --> scheduled", "    [*] --> queued", "    [*] --> waiting"]
    lines += [f"    {a} --> {b}" for a in Status for b in Status if b in ARROWS[a]]
    lines.extend(f"    {status} --> [*]" for status in Status if status in FINAL)
    return "\n".join(lines) + "\n"
