"""What must hold of every run at every moment: read from the tables alone."""

from __future__ import annotations

from collections import defaultdict
from uuid import UUID

from openqueue.models import Claim, Outbox, Run, RunEvent
from openqueue.states import FINAL, Kind, Status, allowed

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
    Kind.PROMOTED: Status.QUEUED,
}


def verify() -> set[tuple[Status, Status]]:
    """Check places, versions, and that each row is the fold of its events; return the arrows that were taken."""
    runs = {run.pk: run for run in Run.objects.all()}
    events: dict[UUID, list[RunEvent]] = defaultdict(list)
    for event in RunEvent.objects.order_by("id"):
        events[event.run_id].append(event)
    waiting = dict(Outbox.objects.values_list("run_id", "seq"))
    held = dict(Claim.objects.values_list("run_id", "seq"))
    assert not waiting.keys() & held.keys(), "a run in two places"
    assert waiting.keys() | held.keys() == {pk for pk, run in runs.items() if run.status not in FINAL}
    assert held.keys() == {pk for pk, run in runs.items() if run.status == Status.RUNNING}
    for run_id, seq in waiting.items():
        assert seq == runs[run_id].version, "a seq is the version at which its row was written"
    taken: set[tuple[Status, Status]] = set()
    for run_id, run in runs.items():
        taken |= fold(run, events[run_id])
    return taken


def fold(run: Run, events: list[RunEvent]) -> set[tuple[Status, Status]]:
    changes = [event for event in events if event.version is not None]
    assert [e.version for e in changes] == list(range(1, run.version + 1)), "versions have a gap"
    assert changes[0].kind == Kind.TRIGGERED
    status = Status.SCHEDULED if was_delayed(run, changes) else Status.QUEUED
    attempt = crashes = 0
    cycle = 1
    taken = set()
    for event in changes[1:]:
        if event.kind == Kind.PRIORITISED or (event.kind, status) == (Kind.PROMOTED, Status.RETRYING):
            continue  # it keeps its label
        after = BECOMES[Kind(event.kind)]
        assert allowed(status, after), f"{status} -> {after}"
        taken.add((status, after))
        if event.kind == Kind.STARTED:
            assert event.attempt == attempt + 1
            attempt = event.attempt
        if event.kind == Kind.RELEASED:
            attempt -= 1
        if event.kind == Kind.WORKER_LOST or (event.data or {}).get("reason") == "worker_lost":
            crashes += 1
        if event.kind == Kind.REQUEUED:
            attempt, crashes, cycle = 0, 0, cycle + 1
        status = after
    assert (run.status, run.attempt, run.cycle) == (status, attempt, cycle)
    assert run.crash_count == crashes or run.status == Status.CANCELLED, "a crash is charged once"
    final = run.status in FINAL
    assert (run.outcome, run.finished_at is not None) == (run.status if final else None, final)
    tokens = [e.token for e in events if e.token is not None]
    assert len(tokens) == len(set(tokens)), "a settle was accepted twice, or accepted and refused"
    return taken


def was_delayed(run: Run, changes: list[RunEvent]) -> bool:
    """Tell whether it was for later at its trigger; a promotion, like a new cycle, writes over that."""
    first = next((e.kind for e in changes[1:] if e.kind != Kind.PRIORITISED), None)
    return first == Kind.PROMOTED or (run.cycle == 1 and run.scheduled_for > run.created_at)
