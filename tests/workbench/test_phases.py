from __future__ import annotations

import re
from datetime import timedelta

import pytest

from openqueue.control import runs
from openqueue.core import transitions
from openqueue.states import Reason
from openqueue.store import store
from openqueue_workbench.drawing import history, waterfall
from openqueue_workbench.drawing.history import Seen
from tests.store.fleet import START, Clock, FakeWorker, completes, fails, make_run, releases, retries

pytestmark = pytest.mark.django_db


@pytest.fixture
def clock() -> Clock:
    return Clock()


def phases(run, clock: Clock, *, workers=None) -> list[waterfall.Phase]:
    shown = runs.show(run)
    return history.phases(
        shown.timeline,
        created_at=shown.created_at,
        scheduled_for=shown.scheduled_for,
        status=shown.status,
        cycle=shown.cycle,
        now=clock.now,
        workers=workers,
    )


def told(found: list[waterfall.Phase]) -> list[tuple[str, str, float, float | None]]:
    """Label, status, and seconds since START."""

    def after(moment):
        return None if moment is None else (moment - START).total_seconds()

    return [(one.label, one.status, after(one.since), after(one.until)) for one in found]


def test_a_run_that_failed_twice_and_runs_again_is_told_in_order(clock):
    run, worker = make_run(clock), FakeWorker(clock)
    clock.pass_(2.1)
    for _ in range(2):
        (attempt,) = worker.claim()
        clock.pass_(1.2)
        worker.settle(retries(attempt, delay=2.0))
        store().flip_ready(limit=1, now=clock.pass_(2.5))
    worker.claim()
    clock.pass_(1)
    assert told(phases(run, clock)) == [
        ("Waiting in queue", "", 0.0, 2.1),
        ("Attempt 1", "failed", 2.1, 3.3),
        ("Back-off", "", 3.3, 5.3),
        ("Waiting in queue", "", 5.3, 5.8),
        ("Attempt 2", "failed", 5.8, 7.0),
        ("Back-off", "", 7.0, 9.0),
        ("Waiting in queue", "", 9.0, 9.5),
        ("Attempt 3", "running", 9.5, None),
    ]
    page = waterfall.drawn("run", phases(run, clock), now=clock.now)
    assert page.count("ValueError: no") == 2
    assert "1.00 s so far" in page
    assert re.findall(r"<bdi>([\d.]+ m?s)</bdi>", page)[:3] == ["2.10 s", "1.20 s", "2.00 s"]


def test_each_attempt_has_its_own_worker_and_error(clock):
    run, first, second = make_run(clock), FakeWorker(clock), FakeWorker(clock)
    (attempt,) = first.claim()
    first.settle(retries(attempt))
    store().flip_ready(limit=1, now=clock.pass_(1))
    (attempt,) = second.claim()
    second.settle(
        transitions.failed(
            attempt, reason=Reason.ERROR, error={"type": "KeyError", "message": "sku"}, age=0.1
        )
    )
    names = {str(first.id): Seen(name="web-1:17"), str(second.id): Seen(name="web-2:4711", url="?w")}
    tries = [one for one in phases(run, clock, workers=names) if one.kind == "attempt"]
    assert [(one.worker, one.note) for one in tries] == [
        ("web-1:17", "ValueError: no"),
        ("web-2:4711", "KeyError: sku"),
    ]


def test_a_lost_worker_is_told_with_when_it_was_last_heard_of(clock):
    run, worker = make_run(clock), FakeWorker(clock)
    (attempt,) = worker.claim()
    heard = clock.pass_(10)
    clock.pass_(30)
    lost = transitions.lost(run, attempt.token, crash_count=0, max_crashes=3, worker_id=worker.id)
    worker.settle(lost)
    clock.pass_(2)
    worker.settle(completes(*FakeWorker(clock).claim()))
    found = phases(run, clock, workers={str(worker.id): Seen(name="web-2", last_seen=heard)})
    assert told(found)[1:] == [
        ("Attempt 1", "worker_lost", 0.0, 40.0),
        ("Waiting in queue", "", 40.0, 42.0),
        ("Attempt 2", "completed", 42.0, 42.0),
    ]
    assert found[1].note == "worker lost 01:00:10, taken back 01:00:40"
    page = waterfall.drawn("run", found, now=clock.now)
    assert 'fill="url(#run-hatch)"' in page


def test_a_lost_worker_that_is_forgotten_has_its_whole_bar_hatched(clock):
    run, worker = make_run(clock), FakeWorker(clock)
    (attempt,) = worker.claim()
    clock.pass_(40)
    worker.settle(transitions.lost(run, attempt.token, crash_count=2, max_crashes=3, worker_id=worker.id))
    attempt = phases(run, clock)[1]
    assert attempt.status == "failed"
    assert attempt.lost_at == attempt.since
    assert attempt.note.startswith("worker lost, taken back 01:00:40. WorkerLost: 3 workers were lost")


def test_a_delayed_run_waits_until_it_is_due_and_then_in_its_queue(clock):
    run = make_run(clock, delay=60)
    clock.pass_(30)
    assert told(phases(run, clock)) == [("Delayed", "", 0.0, None)]
    clock.pass_(40)
    assert told(phases(run, clock)) == [("Delayed", "", 0.0, 60.0), ("Waiting in queue", "", 60.0, None)]


def test_what_was_given_back_waits_again(clock):
    run, worker = make_run(clock), FakeWorker(clock)
    (attempt,) = worker.claim()
    clock.pass_(3)
    worker.settle(releases(attempt))
    clock.pass_(1)
    assert told(phases(run, clock))[1:] == [
        ("Attempt 1", "released", 0.0, 3.0),
        ("Waiting in queue", "", 3.0, None),
    ]


def test_what_was_cancelled_while_it_waited_ends_there(clock):
    run = make_run(clock)
    transitions.cancel_waiting([run], actor="ada", now=clock.pass_(5))
    clock.pass_(60)
    assert told(phases(run, clock)) == [("Waiting in queue", "cancelled", 0.0, 5.0)]


def test_a_retry_by_an_operator_begins_another_round(clock):
    run, worker = make_run(clock), FakeWorker(clock)
    worker.settle(fails(*worker.claim()))
    clock.pass_(60)
    transitions.requeue([run], actor="ada", head_start=0.0, now=clock.now)
    clock.pass_(1)
    worker.settle(completes(*worker.claim()))
    assert told(phases(run, clock)) == [
        ("Waiting", "", 0.0, 0.0),
        ("Attempt 1", "failed", 0.0, 0.0),
        ("Waiting in queue", "", 60.0, 61.0),
        ("Attempt 1 of round 2", "completed", 61.0, 61.0),
    ]


def test_history_that_begins_in_the_middle_is_told_from_there(clock):
    run, worker = make_run(clock), FakeWorker(clock)
    clock.pass_(1)
    worker.settle(completes(*worker.claim()))
    shown = runs.show(run)
    found = history.phases(
        shown.timeline[1:],
        created_at=shown.created_at,
        scheduled_for=shown.scheduled_for,
        status=shown.status,
        cycle=1,
        now=clock.now + timedelta(hours=1),
    )
    assert [one.label for one in found] == ["Attempt 1"]


def test_nothing_on_record_is_said():
    assert "Nothing is on record" in waterfall.drawn("run", [], now=START)
