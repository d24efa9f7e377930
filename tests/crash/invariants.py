"""What must hold after any bad day, whatever happened on it; read from the tables and from what bodies wrote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from openqueue.models import Claim, FlowEdge, FlowNode, Outbox, Run, RunEvent
from openqueue.states import CLAIMABLE, FINAL, Kind, Status, allowed

BECOMES = {
    Kind.STARTED: Status.RUNNING,
    Kind.COMPLETED: Status.COMPLETED,
    Kind.RETRYING: Status.RETRYING,
    Kind.FAILED: Status.FAILED,
    Kind.CANCELLED: Status.CANCELLED,
    Kind.EXPIRED: Status.EXPIRED,
    Kind.RELEASED: Status.QUEUED,
    Kind.WORKER_LOST: Status.QUEUED,
    Kind.REQUEUED: Status.QUEUED,
    Kind.UNBLOCKED: Status.QUEUED,
}
BACK = {Kind.RETRYING, Kind.RELEASED, Kind.WORKER_LOST}
ENDINGS = {Kind.COMPLETED, Kind.FAILED, Kind.CANCELLED, Kind.EXPIRED}


def check(gates: Any, *, expected: Iterable[UUID] = (), quiet: bool = False, in_time: bool = True) -> None:
    """Check every run in the tables; with `quiet`, that all is over as well.

    expected: runs whose trigger was confirmed; each must exist.
    in_time: the times of events rise with their versions, as they do unless the database's clock was put back.
    """
    runs = {run.pk: run for run in Run.objects.all()}
    events: dict[UUID, list[RunEvent]] = {}
    for event in RunEvent.objects.order_by("id"):
        events.setdefault(event.run_id, []).append(event)
    missing = set(expected) - set(runs)
    assert not missing, f"lost: {missing}"
    assert set(events) == set(runs), "events without a run, or runs without events"
    waited = set(FlowEdge.objects.values_list("child_id", flat=True))
    for run in runs.values():
        history(run, events[run.pk], in_time=in_time, waited=run.pk in waited)
    if gates is not None:
        bodies(gates, runs, events)
    places(runs, quiet=quiet)


def history(run: Run, events: list[RunEvent], *, in_time: bool, waited: bool = False) -> None:
    """The events are a path of the state machine without gaps, and the row is where it leads."""
    told = [(e.version, e.kind, e.attempt) for e in events]
    changes = [e for e in events if e.version is not None]
    assert [e.version for e in changes] == list(range(1, run.version + 1)), f"versions: {told}"
    assert changes[0].kind == Kind.TRIGGERED, told
    later_at = [e.at for e in changes]
    assert not in_time or later_at == sorted(later_at), f"times run backwards: {told}"
    status = Status.SCHEDULED if run.scheduled_for > run.created_at and run.cycle == 1 else Status.QUEUED
    status = Status.WAITING if waited else status
    attempt, crashes = 0, 0
    for event in changes[1:]:
        if event.kind == Kind.MOVED:  # to another runtime: it waits there as it waited here
            assert status in CLAIMABLE, told
            continue
        after = BECOMES[Kind(event.kind)]
        assert allowed(status, after), f"{status} -> {after}: {told}"
        status = after
        attempt, crashes = count(Kind(event.kind), event, attempt=attempt, crashes=crashes)
    assert (run.status, run.attempt, run.crash_count) == (status, attempt, crashes), (
        f"the row differs from {told}"
    )
    accepted(run, events, changes)


def count(kind: Kind, event: RunEvent, *, attempt: int, crashes: int) -> tuple[int, int]:
    """Return attempt and crash_count after an event, and check that the attempt has the right number."""
    if kind == Kind.STARTED:
        assert event.attempt == attempt + 1, f"attempt {event.attempt} after {attempt}"
        return event.attempt, crashes
    if kind == Kind.RELEASED:
        return attempt - 1, crashes
    if kind == Kind.REQUEUED:
        return 0, 0
    return attempt, crashes + (
        "crash_count" in (event.data or {})
    )  # lost: back, failed for good, or cancelled


def accepted(run: Run, events: list[RunEvent], changes: list[RunEvent]) -> None:
    """One ending a cycle, nothing after the last, and the result is of the attempt that ended it."""
    endings = [e for e in changes if e.kind in ENDINGS]
    final = run.status in FINAL
    assert len(endings) == run.cycle - (not final), [e.kind for e in changes]
    assert (run.outcome, run.finished_at is not None) == (run.status if final else None, final)
    if final:
        assert changes[-1] is endings[-1], "something happened after the end"
    asked = False
    for event in events:
        asked = (asked or event.kind == Kind.CANCEL_REQUESTED) and event.kind not in ENDINGS
        assert not (asked and event.kind in BACK), "put back although it was to be cancelled"
    for event in changes:
        if event.kind == Kind.RETRYING:  # the decision is of the attempt that the fence let through
            assert event.data["attempt"] == event.attempt, "the failure of another attempt"
    if isinstance(run.result, dict) and "attempt" in run.result:
        assert run.result["attempt"] == endings[-1].attempt == run.attempt, "the result of another attempt"


def bodies(gates: Any, runs: dict[UUID, Run], events: dict[UUID, list[RunEvent]]) -> None:
    """No body began without a claim on record, nor without its run."""
    begun = Counter((e.run, e.attempt) for e in gates.effects())
    claimed = Counter(
        (str(e.run_id), e.attempt) for some in events.values() for e in some if e.kind == Kind.STARTED
    )
    known = {str(pk) for pk in runs}
    assert {run for run, _ in begun} <= known, "a body of a run that does not exist"
    assert begun <= claimed, f"bodies without a claim: {begun - claimed}"


def places(runs: dict[UUID, Run], *, quiet: bool) -> None:
    """An unfinished run is in exactly one place, a finished one in none."""
    outbox = set(Outbox.objects.values_list("run_id", flat=True))
    claims = set(Claim.objects.values_list("run_id", flat=True))
    unfinished = {pk for pk, run in runs.items() if run.status not in FINAL}
    running = {pk for pk, run in runs.items() if run.status == Status.RUNNING}
    assert not outbox & claims, "in two places"
    waiting = set(FlowNode.objects.filter(waiting=True).values_list("run_id", flat=True))
    assert not waiting & (outbox | claims), "in two places"
    assert outbox | claims | waiting == unfinished, f"in no place: {unfinished - outbox - claims - waiting}"
    assert claims == running
    if quiet:
        assert not unfinished, [(str(pk), runs[pk].status) for pk in unfinished]
