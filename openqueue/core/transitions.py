"""One function per arrow of the state machine. A status changes here and in the store verbs called here, nowhere else.

Each change names what it expects; nought rows changed means "not ours any more", which is an answer, not an error.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import DatabaseError, DataError, IntegrityError, InterfaceError, OperationalError

from openqueue import codec
from openqueue.core import consequences, post_commit, rehearsal, resending, uniqueness
from openqueue.errors import QueueClosed
from openqueue.states import FINAL, Kind, Reason, Status
from openqueue.store import store, wishes
from openqueue.store.refusals import is_locked, is_transient, took_too_long
from openqueue.types import Claimed, ClaimRequest, ClaimResult, NewRun, Outcome, Settled

logger = logging.getLogger("openqueue")
again = resending.again

REFUSALS: Final = {Reason.UNKNOWN_TASK: "UnknownTask", Reason.UNPUBLISHABLE: "Unpublishable"}
"""What the error of a run is called that ends without a body."""
RETRIED_FIELDS: Final = (
    "attempt", "max_attempts", "next_run_at", "backoff", "error", "classification", "run_id", "message_id",
)  # fmt: skip
"""The eight fields of a retry decision, on every `retrying` event."""


def create(runs: Sequence[NewRun], *, strict: bool = True, now: datetime | None = None) -> set[str]:
    """Nothing -> scheduled | queued | waiting; return the queues that are closed: nothing was written then.

    Raises:
        QueueClosed: one of them rejects, and strict.
    """
    closed = store().create(runs, now=now)
    if strict and (shut := sorted(queue for queue, what in closed.items() if what == wishes.REJECT)):
        raise QueueClosed.of(wishes.closers(store(), shut))
    return set(closed)


def create_closed(runs: Sequence[NewRun], *, closed: Collection[str], now: datetime | None) -> set[UUID]:
    """Nothing -> scheduled | queued | waiting, whatever is closed; return those that the transaction has to skip."""
    store().create(runs, forced=True, now=now)
    return {run.id for run in runs if run.queue in closed}


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
        linked=attempt.is_linked,
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
        linked=attempt.is_linked,
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
        delay=float(delay),
        age=age,
        attempt=attempt.attempt,
        linked=attempt.is_linked,
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
        linked=attempt.is_linked,
    )


def released(run_id: UUID, token: UUID, *, age: float | None, own: bool, why: str) -> Outcome:
    """running -> queued, the attempt refunded."""
    data = codec.encode({"why": why}, what="event", limit=2**20)
    return Outcome(run_id, token, Kind.RELEASED, Status.QUEUED, data=data, age=age, own=own)


def deferred(attempt: Claimed, *, delay: float, error: str | None) -> Outcome:
    """running -> queued, the attempt refunded: this worker's code does not fit the payload, newer code may."""
    facts = {"why": "unsupported_version", "error": codec.decode(error) if error else None}
    data = codec.encode(facts, what="event", limit=2**20)
    return Outcome(
        attempt.run_id,
        attempt.token,
        Kind.RELEASED,
        Status.QUEUED,
        error=error,
        data=data,
        delay=float(delay),
        attempt=attempt.attempt,
        linked=attempt.is_linked,
    )


def lost(
    run_id: UUID,
    token: UUID,
    *,
    crash_count: int,
    max_crashes: int,
    worker_id: UUID,
    end: Mapping[str, Any] | None = None,
) -> Outcome:
    """running -> queued, a crash charged; the crash that reaches ``max_crashes`` fails the run.

    ``end`` says how the process ended where that is known: ``{"signal": "SIGSEGV"}`` or ``{"exit_code": 1}``.
    """
    facts: dict[str, Any] = {"worker": str(worker_id), "crash_count": crash_count + 1, **(end or {})}
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
    if end:
        message += f" The last one ended by {' '.join(str(fact) for pair in end.items() for fact in pair)}."
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


def settle(
    outcomes: Sequence[Outcome], *, left: list[Outcome] | None = None, now: datetime | None = None
) -> list[Settled]:
    """Running -> whatever each outcome says, in one batch; return those that were accepted.

    What the fence did not hit was accepted before (the answer was lost), or came too late; only then is it asked which.

    left: gets the outcomes whose runs somebody else has locked, for another time; without it they hold up the batch.
    """
    if not outcomes:
        return []
    if any(outcome.written for outcome in outcomes):
        settled = [Settled(o.run_id, o.token, o.status) for o in outcomes if o.written]
        return settled + settle([o for o in outcomes if not o.written], left=left, now=now)
    try:
        settled = again(lambda: _settle(outcomes, now=now))
    except OperationalError as error:
        if took_too_long(error) and len(outcomes) > 1:
            middle = len(outcomes) // 2
            return settle(outcomes[:middle], left=left, now=now) + settle(
                outcomes[middle:], left=left, now=now
            )
        if left is None or not is_locked(error):
            raise
        locked = store().locked_runs(o.run_id for o in outcomes)
        # Else somebody holds what the end of a run has consequences for, such as its flow.
        locked = locked or {o.run_id for o in outcomes if o.linked}
        if not locked:
            raise
        left += [o for o in outcomes if o.run_id in locked]
        return settle([o for o in outcomes if o.run_id not in locked], left=left, now=now)
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
    if freed := {limit for s in settled for limit in s.limits}:
        post_commit.admit_on_commit(freed)
    return settled


def settle_inside(outcome: Outcome) -> bool:
    """Running -> completed, in the caller's own transaction; tell whether the run was still this attempt's."""
    return bool(_settle([outcome], now=rehearsal.moment()))


def _settle(outcomes: Sequence[Outcome], *, now: datetime | None) -> list[Settled]:
    """Settle; what the ends of runs have as consequences is written in the same transaction."""
    if not any(outcome.linked for outcome in outcomes):
        return store().settle(outcomes, now=now)
    with store().own():
        settled = store().settle(outcomes, now=now)
        consequences.of({s.run_id: s.status for s in settled if s.status in FINAL}, now=now)
    return settled


def _withdraw(places: Sequence[tuple[UUID, int | None]], *, now: datetime | None, **end: Any) -> list[UUID]:
    """End runs that wait in the outbox, with the consequences."""
    with store().own():
        ended = store().withdraw(places, now=now, **end)
        consequences.of(dict.fromkeys(ended, end["status"]), now=now)
    return ended


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
        linked=bad.linked,
    )
    return settle([clean], now=now)


# --- runs that wait in the outbox -------------------------------------------------------------------------------


def expire(*, limit: int, now: datetime | None = None) -> list[UUID]:
    """scheduled | queued -> expired, for rows whose time to live ended before their first start."""
    places = store().expired(limit=limit, now=now)
    if not places:
        return []
    return again(
        lambda: _withdraw(places, status=Status.EXPIRED, reason=Reason.NONE, kind=Kind.EXPIRED, now=now)
    )


def refuse(
    places: Sequence[tuple[UUID, int]], *, reason: Reason, message: str, now: datetime | None = None
) -> list[UUID]:
    """scheduled | queued | retrying -> failed(unknown_task | unpublishable): nobody serves it, or it reaches nobody."""
    error = {"type": REFUSALS[reason], "message": message, "traceback": ""}
    return again(
        lambda: _withdraw(
            list(places),
            status=Status.FAILED,
            reason=reason,
            kind=Kind.FAILED,
            error=codec.encode(error, what="error", limit=2**20),
            data=codec.encode({"reason": reason, "error": error}, what="event", limit=2**20),
            now=now,
        )
    )


def skip(runs: Collection[UUID], *, now: datetime | None = None) -> list[UUID]:
    """scheduled | queued -> cancelled(queue_closed): they were triggered into a queue that takes in no runs."""
    return _withdraw(
        [(run, None) for run in sorted(runs)],
        status=Status.CANCELLED,
        reason=Reason.QUEUE_CLOSED,
        kind=Kind.CANCELLED,
        data=codec.encode({"reason": Reason.QUEUE_CLOSED}, what="event", limit=2**20),
        now=now,
    )


def cancel_waiting(runs: Sequence[UUID], *, actor: str, now: datetime | None = None) -> list[UUID]:
    """scheduled | queued | retrying -> cancelled."""
    return again(
        lambda: _withdraw(
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
    """Final -> queued, a new cycle; by an operator only. A run whose dedupe key another has by now stays as it is."""
    return again(lambda: _requeue(runs, actor=actor, head_start=head_start, now=now))


def _requeue(
    runs: Sequence[UUID], *, actor: str, head_start: float, now: datetime | None
) -> list[tuple[UUID, int, str, str]]:
    with store().own():
        beaten = uniqueness.take_again(runs, now=now)
        left = [run for run in runs if run not in beaten]
        consequences.before_reopening(left, actor=actor, now=now)
        return store().requeue(left, actor=actor, head_start=head_start, now=now) if left else []


def is_final(status: str) -> bool:
    """Tell whether a run with this status has ended."""
    return status in FINAL


def connection_is_gone(error: DatabaseError | InterfaceError) -> bool:
    """Tell whether the outcome is unknown because the connection broke."""
    return isinstance(error, OperationalError | InterfaceError) and not is_transient(error)
