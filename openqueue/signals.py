"""What can be observed from outside. Receivers run after the fact: they can see, not alter. Sent with send_robust."""

from __future__ import annotations

import logging
from typing import Any, Final
from uuid import UUID

from django.dispatch import Signal

from openqueue import codec
from openqueue.states import Status
from openqueue.types import Outcome

logger = logging.getLogger("openqueue")
HOOKS: Final = {
    Status.COMPLETED: "success",
    Status.RETRYING: "retry",
    Status.FAILED: "failure",
    Status.CANCELLED: "cancel",
}
"""The hook of a task that hears of an end."""

run_started = Signal()
"""sender: the task; run_id, attempt, queue. A body is about to begin in this process."""

run_settled = Signal()
"""sender: the task; run_id, attempt, queue, status, reason. The attempt's outcome is committed."""

worker_started = Signal()
"""sender: the worker; worker_id."""

worker_stopped = Signal()
"""sender: the worker; worker_id."""


def facts_of_end(
    outcome: Outcome, *, run_id: UUID, attempt: int, queue: str, status: Status, duration: float | None
) -> dict[str, Any]:
    """Return what `run_settled` says of an attempt. duration: seconds."""
    return {
        "run_id": run_id,
        "attempt": attempt,
        "queue": queue,
        "status": status.value,
        "reason": outcome.reason.value,
        "duration": duration,
        "error": codec.decode(outcome.error) if outcome.error else None,
    }


def hook_arguments(name: str, outcome: Outcome, *, error: Any) -> tuple[Any, ...]:
    """Return what a hook gets beside its context: the result, or the error."""
    if name == "success":
        return (codec.decode(outcome.result) if outcome.result else None,)
    return (error,) if name in {"retry", "failure"} else ()


def send(signal: Signal, *, sender: Any, **facts: Any) -> None:
    """Send a signal; the errors of its receivers are logged, the run stands."""
    for receiver, answer in signal.send_robust(sender=sender, **facts):
        if isinstance(answer, Exception):
            logger.error("a signal receiver failed", extra={"receiver": repr(receiver)}, exc_info=answer)
