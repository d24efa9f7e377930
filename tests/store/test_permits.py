"""Limits of the whole fleet: who is let through, who waits, and what a permit comes back with."""

from __future__ import annotations

import pytest

from openqueue import registry
from openqueue.core import cancellation, transitions
from openqueue.declaration import Task
from openqueue.models import Limit, Outbox, Permit, Run
from openqueue.processes.sweeps import reaper
from openqueue.store import store
from tests.store import fleet
from tests.store.fleet import Clock, FakeWorker, completes, fails, releases, retries
from tests.store.limited import claimed, clock, limited, make_runs, sweep, worker

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["clock", "limited", "worker"]


def test_a_run_of_a_limited_key_waits_until_it_is_let_through(clock: Clock, worker: FakeWorker):
    (run,) = make_runs(clock, concurrency_key="customer:7")
    assert claimed(worker) == []
    row = Outbox.objects.get(pk=run)
    assert (row.ready, row.waits_for) == (False, "customer:7")
    assert sweep(clock) == 1
    assert claimed(worker) == [run]
    assert Run.objects.get(pk=run).concurrency_key == "customer:7"


def test_a_key_alone_lets_one_run_at_a_time(clock: Clock, worker: FakeWorker):
    runs = make_runs(clock, 3, concurrency_key="customer:7")
    for run in runs:
        sweep(clock)
        (attempt,) = worker.claim()
        assert attempt.run_id == run
        assert sweep(clock) == 0
        worker.settle(completes(attempt))


def test_so_many_at_once_as_the_task_allows(clock: Clock, worker: FakeWorker, limited):
    limited(max_concurrency=3)
    make_runs(clock, 5, concurrency_key=f"task:{fleet.TASK}")
    assert sweep(clock) == 3
    first, second, third = worker.claim()
    assert sweep(clock) == 0
    worker.settle(completes(first), fails(second))
    assert sweep(clock) == 2
    assert len(worker.claim()) == 2
    assert sweep(clock) == 0
    worker.settle(completes(third))
    assert sweep(clock) == 0, "nobody waits any more"


def test_keys_do_not_wait_for_each_other(clock: Clock, worker: FakeWorker):
    a, _, c, _ = (make_runs(clock, concurrency_key=key)[0] for key in ("a", "a", "b", "b"))
    sweep(clock)
    assert set(claimed(worker)) == {a, c}


def test_more_limits_than_one_look_takes_in_are_all_seen(clock: Clock, worker: FakeWorker):
    for number in range(230):
        make_runs(clock, concurrency_key=f"customer:{number}")
    assert sweep(clock) == 230


def test_more_permits_than_one_look_gives_are_all_given(clock: Clock, limited):
    limited(max_concurrency=250)
    make_runs(clock, 300, concurrency_key=f"task:{fleet.TASK}")
    assert sweep(clock) == 250


def test_the_highest_priority_is_next_then_the_longest_due(clock: Clock, worker: FakeWorker):
    (holder,) = make_runs(clock, concurrency_key="a")
    sweep(clock)
    clock.pass_(1)
    (low,) = make_runs(clock, concurrency_key="a", priority=0)
    clock.pass_(1)
    (high,) = make_runs(clock, concurrency_key="a", priority=5)
    order = []
    for _ in range(3):
        (attempt,) = worker.claim()
        order.append(attempt.run_id)
        worker.settle(completes(attempt))
        sweep(clock)
    assert order == [holder, high, low]


def test_who_has_room_does_not_overtake_who_has_none(clock: Clock, worker: FakeWorker, limited):
    roomy = Task(lambda: None, id="test.roomy", max_concurrency=5)
    try:
        limited(max_concurrency=1)
        make_runs(clock, concurrency_key="door")
        sweep(clock)
        make_runs(clock, concurrency_key="door")
        make_runs(clock, task_id=roomy.id, concurrency_key="door")
        assert sweep(clock) == 0
    finally:
        registry.remove(roomy)


def test_a_delayed_run_takes_no_permit_before_its_time(clock: Clock, worker: FakeWorker):
    (later,) = make_runs(clock, concurrency_key="a", delay=60.0)
    (now,) = make_runs(clock, concurrency_key="a")
    sweep(clock)
    (attempt,) = worker.claim()
    assert attempt.run_id == now
    worker.settle(completes(attempt))
    clock.pass_(59)
    assert store().flip_ready(limit=10, now=clock.now) == []
    assert sweep(clock) == 0
    clock.pass_(1)
    assert store().flip_ready(limit=10, now=clock.now) == []
    assert sweep(clock) == 1
    assert claimed(worker) == [later]


def test_a_retry_gives_its_permit_to_the_next_and_waits_for_another(clock: Clock, worker: FakeWorker):
    first, second = make_runs(clock, 2, concurrency_key="a")
    sweep(clock)
    worker.settle(*(retries(attempt, 10) for attempt in worker.claim()))
    sweep(clock)
    (attempt,) = worker.claim()
    assert attempt.run_id == second
    clock.pass_(11)
    assert sweep(clock) == 0
    worker.settle(completes(attempt))
    sweep(clock)
    (again,) = worker.claim()
    assert (again.run_id, again.attempt) == (first, 2)


def test_a_released_attempt_waits_again(clock: Clock, worker: FakeWorker):
    first, _ = make_runs(clock, 2, concurrency_key="a")
    sweep(clock)
    worker.settle(*map(releases, worker.claim()))
    assert worker.claim() == []
    assert sweep(clock) == 1
    assert claimed(worker) == [first]


def test_the_permit_of_a_lost_worker_comes_back_with_its_claim(clock: Clock, worker: FakeWorker):
    first, _ = make_runs(clock, 2, concurrency_key="a")
    sweep(clock)
    assert claimed(worker) == [first]
    assert sweep(clock) == 0
    store().declare_lost(worker.id)
    reaper.give_back(store().orphans(limit=10), now=clock.now)
    assert sweep(clock) == 1
    assert claimed(FakeWorker(clock)) == [first]


def test_a_late_result_frees_no_permit_of_another(clock: Clock, worker: FakeWorker):
    make_runs(clock, 2, concurrency_key="a")
    sweep(clock)
    (zombie,) = worker.claim()
    store().declare_lost(worker.id)
    reaper.give_back(store().orphans(limit=10), now=clock.now)
    sweep(clock)
    other = FakeWorker(clock)
    assert claimed(other) == [zombie.run_id]
    worker.settle(completes(zombie))
    assert sweep(clock) == 0


def test_a_permit_that_was_not_used_comes_back_when_its_run_is_cancelled(clock: Clock, worker: FakeWorker):
    first, second = make_runs(clock, 2, concurrency_key="a")
    sweep(clock)
    cancellation.cancel([first], actor="ada", now=clock.now)
    assert sweep(clock) == 1
    assert claimed(worker) == [second]


def test_who_waits_can_be_cancelled_and_expires(clock: Clock, worker: FakeWorker):
    make_runs(clock, concurrency_key="a")
    sweep(clock)
    (cancelled,) = make_runs(clock, concurrency_key="a")
    (expired,) = make_runs(clock, concurrency_key="a", ttl=5.0)
    cancellation.cancel([cancelled], actor="ada", now=clock.now)
    clock.pass_(6)
    worker.settle(*map(completes, worker.claim()))
    assert sweep(clock) == 0
    assert transitions.expire(limit=10, now=clock.now) == [expired]
    assert sorted(Run.objects.values_list("status", flat=True)) == ["cancelled", "completed", "expired"]


def test_an_operators_retry_waits_like_any_other(clock: Clock, worker: FakeWorker):
    (run,) = make_runs(clock, concurrency_key="a")
    sweep(clock)
    worker.settle(*map(fails, worker.claim()))
    make_runs(clock, concurrency_key="a")
    sweep(clock)
    worker.claim()
    transitions.requeue([run], actor="ada", head_start=0.0, now=clock.now)
    assert sweep(clock) == 0
    assert worker.claim() == []


def test_a_queue_that_is_moved_takes_its_limits_along(clock: Clock, worker: FakeWorker):
    make_runs(clock, 2, concurrency_key="a", runtime="old")
    assert store().move("default", runtime="default", actor="ada", now=clock.now) == (2, 0)
    assert worker.claim() == []
    assert sweep(clock) == 1


def test_a_message_for_a_run_that_waits_is_answered_later(clock: Clock, worker: FakeWorker):
    (run,) = make_runs(clock, concurrency_key="a")
    clock.pass_(5)
    assert worker.claim_named((run, 1)).answers == {(run, 1): "later"}
    sweep(clock)
    assert worker.claim_named((run, 1)).answers == {(run, 1): "claimed"}


def test_what_no_process_here_knows_runs_one_at_a_time(clock: Clock):
    make_runs(clock, 2, concurrency_key="task:of.another.release", task_id="of.another.release")
    assert sweep(clock) == 1
    assert sweep(clock) == 0


def test_a_new_release_changes_the_limit_of_what_waits(clock: Clock, limited):
    registry.remove(limited(max_concurrency=1))
    limited(max_concurrency=2)
    make_runs(clock, 3, concurrency_key=f"task:{fleet.TASK}")
    assert sweep(clock) == 2


def test_runs_without_keys_leave_no_trace(clock: Clock, worker: FakeWorker):
    fleet.make_run(clock, runs=3)
    worker.settle(*map(completes, worker.claim()))
    assert sweep(clock) == 0
    assert (Limit.objects.count(), Permit.objects.count()) == (0, 0)
