"""What becomes of an attempt that failed: one rule for Python workers and for those over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from openqueue import codec, retry
from openqueue.core import transitions
from openqueue.states import Reason
from openqueue.types import Claimed, Outcome


def of_failure(
    attempt: Claimed,
    *,
    reason: Reason,
    error: dict[str, Any],
    again: bool,
    pause: Callable[[], tuple[float, str]],
    age: float,
) -> Outcome:
    """Return failed, or retrying where another attempt may help and is left; crashes are not charged.

    again: whether another attempt may help.
    pause: asked for the seconds until it, and where they come from, if there is to be one.
    """
    if not again:
        reason = Reason.NON_RETRYABLE if reason == Reason.ERROR else reason
        return transitions.failed(attempt, reason=reason, error=error, age=age)
    if attempt.attempt - attempt.crash_count >= attempt.max_attempts:
        return transitions.failed(attempt, reason=reason, error=error, age=age)
    delay, backoff = pause()
    return transitions.retrying(attempt, reason=reason, error=error, delay=delay, backoff=backoff, age=age)


def pause(attempt: Claimed, task: Any, *, asked: float | None = None) -> tuple[float, str]:
    """Return the seconds to the next attempt, and where they come from: the task itself, or its backoff."""
    if asked is not None:
        return asked, "asked for by the task"
    backoff = task.backoff
    if attempt.options and (own := codec.decode(attempt.options).get("backoff")):
        backoff = retry.Backoff.from_json(own)
    charged = max(1, attempt.attempt - attempt.crash_count)
    return float(backoff.delay(charged)), backoff.kind
