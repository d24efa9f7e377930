"""One function per arrow of the state machine. A status changes here and in the store verbs called here, nowhere else.

Each change names what it expects; nought rows changed means "not ours any more", which is an answer, not an error.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar
from uuid import UUID

from django.db import DatabaseError, DataError, IntegrityError, InterfaceError, OperationalError

from openqueue import codec
from openqueue.states import FINAL, Kind, Reason, Status
from openqueue.store import store
from openqueue.store.base import is_transient
from openqueue.types import Claimed, ClaimRequest, ClaimResult, NewRun, Outcome, Settled

logger = logging.getLogger("openqueue")

T = TypeVar("T")
TRANSIENT_TRIES: Final = 8
RETRIED_FIELDS: Final = (
    "attempt", "max_attempts", "next_run_at", "backoff", "error", "classification", "run_id", "message_id",
)  # fmt: skip
"""The eight fields of a retry decision, on every `retrying` event."""


def create(runs: Sequence[NewRun], *, now: datetime | None = None) -> None:
    """Nothing -> scheduled | queued."""
    store().create(runs, now=now)


def claim_due(
    request: ClaimRequest, *, runtime: str, rooms: dict[str, int], limit: int, now: datetime | None = None
) -> ClaimResult:
    """scheduled | queued | retrying -> running, for rows of the database runtime."""
    return report(
        again(lambda: store().claim_due(request, runtime=runtime, rooms=rooms, limit=limit, now=now))
    )


def claim_named(
    request: ClaimRequest,
    *,
    announcements: Sequence[tuple[UUID, int]],
    nowait: bool = False,
    now: datetime | None = None,
) -> ClaimResult:
    """scheduled | queued | retrying -> running, for messages; each gets one of five answers."""
    return report(store().claim_named(request, announcements=announcements, nowait=nowait, now=now))


def report(result: ClaimResult) -> ClaimResult:
    for run_id in result.inconsistent:
        logger.error("outbox row without a claimable run", extra={"run_id": str(run_id)})
    return result


# --- how an attempt can end: values for settle ------------------------------------------------------------------


def completed(attempt: Claimed, *, result: str | None, age: float) -> Outcome:
    """running -> completed."""
    return Outcome(
        attempt.run_id,
        attempt.token,
        Kind.COMPLETED,
        Status.COMPLETED,
        result=result,
        age=age,
        attempt=attempt.attempt,
    )


def failed(attempt: Claimed, *, reason: Reason, error: dict[str, Any], age: float | None) -> Outcome:
    """running -> failed."""
    data = codec.encode({"reason": reason.value, "error": error}, what="event", limit=2**20)
    return Outcome(
        attempt.run_id,
        attempt.token,
        Kind.FAILED,
        Status.FAILED,
        reason=reason,
        error=codec.encode(error, what="error", limit=2**20),
        data=data,
        age=age,
        attempt=attempt.attempt,
    )


def retrying(
    attempt: Claimed, *, reason: Reason, error: dict[str, Any], delay: float, backoff: str, age: float
) -> Outcome:
    """running -> retrying: another attempt is due in ``delay`` seconds."""
    decision = {
        "attempt": attempt.attempt,
        "max_attempts": attempt.max_attempts,
        "backoff": backoff,
        "error": error,
        "classification": "retryable",
        "reason": reason.value,
        "run_id": str(attempt.run_id),
        # The claim and this settle are one version each: the next announcement is two further.
        "message_id": f"{attempt.run_id}:{attempt.seq + 2}",
    }
    return Outcome(
        attempt.run_id,
        attempt.token,
        Kind.RETRYING,
        Status.RETRYING,
        reason=reason,
        error=codec.encode(error, what="error", limit=2**20),
        data=codec.encode(decision, what="event", limit=2**20),
        delay=delay,
        age=age,
        attempt=attempt.attempt,
    )


def cancelled(attempt: Claimed, *, age: float | None) -> Outcome:
    """running -> cancelled."""
    return Outcome(
        attempt.run_id,
        attempt.token,
        Kind.CANCELLED,
        Status.CANCELLED,
        reason=Reason.BY_USER,
        age=age,
        attempt=attempt.attempt,
    )


def released(run_id: UUID, token: UUID, *, age: float | None, own: bool, why: str) -> Outcome:
    """running -> queued, the attempt refunded."""
    data = codec.encode({"why": why}, what="event", limit=2**20)
    return Outcome(run_id, token, Kind.RELEASED, Status.QUEUED, data=data, age=age, own=own)


def lost(run_id: UUID, token: UUID, *, crash_count: int, max_crashes: int, worker_id: UUID) -> Outcome:
    """running -> queued, a crash charged; the crash that reaches ``max_crashes`` fails the run."""
    facts: dict[str, Any] = {"worker": str(worker_id), "crash_count": crash_count + 1}
    if crash_count + 1 < max_crashes:
        data = codec.encode(facts, what="event", limit=2**20)
        return Outcome(
            run_id,
            token,
            Kind.WORKER_LOST,
            Status.QUEUED,
            reason=Reason.WORKER_LOST,
            data=data,
            own=False,
        )
    message = (
        f"{crash_count + 1} workers were lost while they ran this. Look for what kills them: memory, a crash."
    )
    error = {"type": "WorkerLost", "message": message, "traceback": ""}
    facts |= {"reason": Reason.WORKER_LOST.value, "error": error}
    return Outcome(
        run_id,
        token,
        Kind.FAILED,
        Status.FAILED,
        reason=Reason.WORKER_LOST,
        error=codec.encode(error, what="error", limit=2**20),
        data=codec.encode(facts, what="event", limit=2**20),
        own=False,
    )


def settle(outcomes: Sequence[Outcome], *, now: datetime | None = None) -> list[Settled]:
    """Running -> whatever each outcome says, in one batch; return those that were accepted.

    What the fence did not hit was accepted before (the answer was lost), or came too late; only then is it asked which.
    """
    if not outcomes:
        return []
    try:
        settled = again(lambda: store().settle(outcomes, now=now))
    except (DataError, IntegrityError, ValueError, TypeError, OverflowError) as error:
        return bisect(outcomes, error=error, now=now)
    hit = {(s.run_id, s.token) for s in settled}
    missed = [o for o in outcomes if (o.run_id, o.token) not in hit and o.own]
    if missed:
        accepted = again(lambda: store().note_late(missed, now=now))
        settled += [Settled(o.run_id, o.token, o.status) for o in accepted]
        late = len(missed) - len(accepted)
        if late:
            logger.warning("late results discarded", extra={"count": late})
    return settled


def bisect(outcomes: Sequence[Outcome], *, error: Exception, now: datetime | None) -> list[Settled]:
    """Find the row that sinks the batch; that run fails, the others settle as they should."""
    if len(outcomes) > 1:
        middle = len(outcomes) // 2
        return settle(outcomes[:middle], now=now) + settle(outcomes[middle:], now=now)
    (bad,) = outcomes
    if bad.reason == Reason.RESULT_INVALID:
        raise error
    described = codec.encode(codec.describe(error), what="error", limit=2**20)
    clean = Outcome(
        bad.run_id,
        bad.token,
        Kind.FAILED,
        Status.FAILED,
        Reason.RESULT_INVALID,
        error=described,
        age=bad.age,
        own=bad.own,
        attempt=bad.attempt,
    )
    return settle([clean], now=now)


# --- runs that wait in the outbox -------------------------------------------------------------------------------


def expire(*, limit: int, now: datetime | None = None) -> list[UUID]:
    """scheduled | queued -> expired, for rows whose time to live ended before their first start."""
    places = store().expired(limit=limit, now=now)
    if not places:
        return []
    return again(
        lambda: store().withdraw(
            places, status=Status.EXPIRED, reason=Reason.NONE, kind=Kind.EXPIRED, now=now
        )
    )


def refuse(places: Sequence[tuple[UUID, int]], *, message: str, now: datetime | None = None) -> list[UUID]:
    """scheduled | queued | retrying -> failed(unknown_task): nobody serves it."""
    error = {"type": "UnknownTask", "message": message, "traceback": ""}
    return again(
        lambda: store().withdraw(
            list(places),
            status=Status.FAILED,
            reason=Reason.UNKNOWN_TASK,
            kind=Kind.FAILED,
            error=codec.encode(error, what="error", limit=2**20),
            data=codec.encode({"reason": "unknown_task", "error": error}, what="event", limit=2**20),
            now=now,
        )
    )


def cancel_waiting(runs: Sequence[UUID], *, actor: str, now: datetime | None = None) -> list[UUID]:
    """scheduled | queued | retrying -> cancelled."""
    return again(
        lambda: store().withdraw(
            [(run, None) for run in runs],
            status=Status.CANCELLED,
            reason=Reason.BY_USER,
            kind=Kind.CANCELLED,
            actor=actor,
            now=now,
        )
    )


def requeue(
    runs: Sequence[UUID], *, actor: str, head_start: float, now: datetime | None = None
) -> list[tuple[UUID, int, str, str]]:
    """Final -> queued, a new cycle; by an operator only."""
    return again(lambda: store().requeue(runs, actor=actor, head_start=head_start, now=now))


def is_final(status: str) -> bool:
    """Tell whether a run with this status has ended."""
    return status in FINAL


def again(act: Callable[[], T]) -> T:
    """Do a set-wise change; send it again after a deadlock, a serialisation failure or a lock wait.

    Inside the caller's own transaction nothing can be sent again: the error is the caller's.
    """
    for _ in range(TRANSIENT_TRIES):
        try:
            return act()
        except (OperationalError, InterfaceError) as error:
            if store().connection.in_atomic_block or not is_transient(error):
                raise
            logger.info("sent again after a transient database error", extra={"error": str(error)[:200]})
    return act()


def connection_is_gone(error: DatabaseError | InterfaceError) -> bool:
    """Tell whether the outcome is unknown because the connection broke."""
    return isinstance(error, OperationalError | InterfaceError) and not is_transient(error)
