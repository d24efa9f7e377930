"""How attempts over HTTP end: completed, failed, given back. Each is a batch; each may be sent again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from openqueue import codec
from openqueue.conf import config
from openqueue.control.remote import aftermath, holding
from openqueue.control.remote.holding import Holding
from openqueue.control.remote.leases import Lease
from openqueue.core import transitions, verdicts
from openqueue.errors import PayloadInvalid, ResultInvalid
from openqueue.models import RunEvent
from openqueue.states import Kind, Reason, Status
from openqueue.store import store
from openqueue.types import Outcome

LOST, SETTLED_OTHERWISE = "lease_lost", "already_settled"
DETAILS: Final = {
    LOST: "The lease ended before this came, and the run went on without it. Stop the body: nothing of it counts.",
    SETTLED_OTHERWISE: "This attempt was ended otherwise by an earlier request.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What became of one attempt."""

    run: UUID
    attempt: int
    accepted: bool
    """Also when the same was accepted before."""
    status: str
    """Of the run after it: completed, retrying, failed, cancelled or queued; empty when it was not accepted."""
    code: str
    """Why it was not accepted: lease_lost or already_settled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What a worker says of a body that failed."""

    type: str
    message: str
    traceback: str = ""
    retry: bool = True
    """Whether another attempt may help."""
    retry_in: float | None = None
    """Seconds until then; None leaves it to the task's backoff."""
    timed_out: bool = False
    cancelled: bool = False
    """It stopped because somebody had asked for that."""


def complete(leases: Sequence[Lease], results: Sequence[Any]) -> list[Ending]:
    """End attempts with their results; one that is too large fails its run, as it would in Python."""

    def ended(one: Holding, result: Any, age: float) -> Outcome:
        if result is None:
            return transitions.completed(one.attempt, result=None, age=age)
        try:
            text = codec.encode(one.mask(result), what="result", limit=config.result_limit)
        except PayloadInvalid as error:
            described = codec.describe(ResultInvalid.of(error)) | {"traceback": ""}
            reason = Reason.RESULT_INVALID
            return transitions.failed(one.attempt, reason=reason, error=one.mask(described), age=age)
        return transitions.completed(one.attempt, result=text, age=age)

    return _end(leases, results, ended, late=(Kind.COMPLETED, Status.COMPLETED), fits={Status.COMPLETED})


def fail(leases: Sequence[Lease], failures: Sequence[Failure]) -> list[Ending]:
    """End attempts that failed: another one follows where the task's rules and the worker allow it."""

    def ended(one: Holding, failure: Failure, age: float) -> Outcome:
        if failure.cancelled and one.cancel_requested:
            return transitions.cancelled(one.attempt, age=age)
        error = one.mask(codec.fit(failure.type, failure.message, traceback=failure.traceback))
        return verdicts.of_failure(
            one.attempt,
            reason=Reason.TIMED_OUT if failure.timed_out else Reason.ERROR,
            error=error,
            again=failure.retry,
            pause=lambda: verdicts.pause(one.attempt, one.task, asked=failure.retry_in),
            age=age,
        )

    fits = {Status.RETRYING, Status.FAILED, Status.CANCELLED}
    return _end(leases, failures, ended, late=(Kind.FAILED, Status.FAILED), fits=fits)


def release(leases: Sequence[Lease], begun: Sequence[bool]) -> list[Ending]:
    """Give attempts back, refunded: the worker stops, or has no room for them."""

    def ended(one: Holding, has_begun: bool, age: float) -> Outcome:
        place = one.attempt.run_id, one.attempt.token
        back = transitions.released(
            *place, age=age if has_begun else None, own=True, why="given back by its worker"
        )
        return back._replace(attempt=one.attempt.attempt, linked=one.attempt.is_linked)

    return _end(
        leases, begun, ended, late=(Kind.RELEASED, Status.QUEUED), fits={Status.QUEUED, Status.CANCELLED}
    )


def _end(
    leases: Sequence[Lease],
    said: Sequence[Any],
    ended: Callable[[Holding, Any, float], Outcome],
    *,
    late: tuple[Kind, Status],
    fits: set[Status],
) -> list[Ending]:
    """Settle a batch: one look at what is held, one settle, whatever their number.

    late: what is asked of the database for attempts that are not held: whether just that was accepted before.
    """
    held = holding.held(leases)
    clock = store().clock(None)
    outcomes = {
        lease[:2]: ended(held[lease[:2]], what, _age(held[lease[:2]], clock))
        if lease[:2] in held
        else Outcome(lease.run_id, lease.token, *late, attempt=lease.attempt, linked=False)
        for lease, what in zip(leases, said, strict=True)
    }
    settled = {(s.run_id, s.token): s.status for s in transitions.settle(list(outcomes.values()))}
    aftermath.follow(
        {place: (held[place], outcomes[place], settled[place]) for place in settled.keys() & held.keys()}
    )
    unfit = _refused_results(place for place, status in settled.items() if status == Status.FAILED)
    return [
        _answer(lease, settled, fits | ({Status.FAILED} if lease[:2] in unfit else set())) for lease in leases
    ]


def _refused_results(places: Iterable[tuple[UUID, UUID]]) -> set[tuple[UUID, UUID]]:
    """Return those that failed because of their result: to a completion, that is an answer."""
    wanted = set(places)
    if not wanted:
        return set()
    runs, tokens = zip(*wanted, strict=True)
    events = RunEvent.objects.using(store().alias).filter(run_id__in=runs, token__in=tokens, kind=Kind.FAILED)
    told = events.values_list("run_id", "token", "data")
    return {
        (run, token)
        for run, token, data in told
        if token is not None and (data or {}).get("reason") == Reason.RESULT_INVALID
    }


def _age(one: Holding, clock: datetime) -> float:
    return max(0.0, (clock - one.claimed_at).total_seconds())


def _answer(lease: Lease, settled: Mapping[tuple[UUID, UUID], Status], fits: set[Status]) -> Ending:
    status = settled.get(lease[:2])
    accepted = status in fits
    return Ending(
        run=lease.run_id,
        attempt=lease.attempt,
        accepted=accepted,
        status=str(status.value) if status is not None and accepted else "",
        code="" if accepted else LOST if status is None else SETTLED_OTHERWISE,
    )
