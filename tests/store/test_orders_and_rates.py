"""One at a time in due order, and so many starts in a window."""

from __future__ import annotations

from datetime import timedelta

import pytest

from openqueue.core import cancellation, permits, transitions
from openqueue.models import Limit, Outbox, Permit
from openqueue.processes.sweeps import reaper
from openqueue.store import permits as waiting
from openqueue.store import store
from tests.store import fleet
from tests.store.fleet import Clock, FakeWorker, completes, fails, retries
from tests.store.limited import claimed, clock, drain, limited, make_runs, sweep, worker

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["clock", "limited", "worker"]


def test_one_at_a_time_in_due_order_whatever_the_priority(clock: Clock, worker: FakeWorker):
    (soon,) = make_runs(clock, ordering_key="account:7", delay=30.0)
    first, second = make_runs(clock, 2, ordering_key="account:7")
    clock.pass_(10)
    (urgent,) = make_runs(clock, ordering_key="account:7", priority=9)
    clock.pass_(60)
    assert drain(clock, worker) == [first, second, urgent, soon]


def test_the_later_ones_wait_until_the_first_has_ended(clock: Clock, worker: FakeWorker):
    first, second = make_runs(clock, 2, ordering_key="account:7")
    sweep(clock)
    worker.settle(*(retries(attempt, 30) for attempt in worker.claim()))
    assert sweep(clock) == 0
    clock.pass_(31)
    assert sweep(clock) == 0
    store().flip_ready(limit=10, now=clock.now)
    (attempt,) = worker.claim()
    assert (attempt.run_id, attempt.attempt) == (first, 2)
    worker.settle(fails(attempt))
    assert drain(clock, worker) == [second]


def test_a_lost_worker_does_not_let_the_next_overtake(clock: Clock, worker: FakeWorker):
    first, second = make_runs(clock, 2, ordering_key="account:7")
    sweep(clock)
    worker.claim()
    store().declare_lost(worker.id)
    reaper.give_back(store().orphans(limit=10), now=clock.now)
    assert sweep(clock) == 0
    assert drain(clock, FakeWorker(clock)) == [first, second]


def test_a_first_that_is_cancelled_lets_the_next_go(clock: Clock, worker: FakeWorker):
    first, second = make_runs(clock, 2, ordering_key="account:7")
    sweep(clock)
    cancellation.cancel([first], actor="ada", now=clock.now)
    assert drain(clock, worker) == [second]


def test_an_order_and_a_limit_hold_together(clock: Clock, worker: FakeWorker, limited):
    limited(max_concurrency=2)
    key = f"task:{fleet.TASK}"
    a1, a2 = make_runs(clock, 2, ordering_key="a", concurrency_key=key)
    b1, _ = make_runs(clock, 2, ordering_key="b", concurrency_key=key)
    (c1,) = make_runs(clock, ordering_key="c", concurrency_key=key)
    assert sweep(clock) == 2
    first, second = worker.claim()
    assert {first.run_id, second.run_id} == {a1, b1}
    worker.settle(retries(first, 60))
    assert sweep(clock) == 1, "between attempts a run keeps its order, and no permit"
    assert claimed(worker) == [c1]
    assert Outbox.objects.get(pk=a2).waits_for == "order:a"


# --- rates ---------------------------------------------------------------------------------------------------------


def test_so_many_starts_in_any_window(clock: Clock, worker: FakeWorker, limited):
    limited(rate_limit="3/s")
    make_runs(clock, 12, concurrency_key=f"task:{fleet.TASK}")
    starts: list[float] = []
    for _ in range(40):
        sweep(clock)
        for attempt in worker.claim(limit=2):
            starts.append((clock.now - fleet.START) / timedelta(seconds=1))
            worker.settle(transitions.completed(attempt, result=None, age=0.0))
        clock.pass_(0.1)
    assert len(starts) == 12
    assert all(later - sooner >= 1.0 for sooner, later in zip(starts, starts[3:], strict=False))
    assert starts[-1] <= 4.5


def test_who_was_let_through_and_has_not_begun_counts_against_the_rate(
    clock: Clock, worker: FakeWorker, limited
):
    limited(rate_limit="3/s")
    make_runs(clock, 9, concurrency_key=f"task:{fleet.TASK}")
    assert sweep(clock) == 3
    clock.pass_(60)
    assert sweep(clock) == 0
    assert len(worker.claim()) == 3
    assert sweep(clock) == 0
    clock.pass_(1)
    assert sweep(clock) == 3


def test_long_bodies_do_not_use_up_a_rate(clock: Clock, worker: FakeWorker, limited):
    limited(rate_limit="2/m")
    make_runs(clock, 6, concurrency_key=f"task:{fleet.TASK}")
    for _ in range(3):
        assert sweep(clock) == 2
        assert len(worker.claim()) == 2
        clock.pass_(60)


def test_a_rate_counts_by_key(clock: Clock, worker: FakeWorker, limited):
    limited(rate_limit="1/m")
    for key in ("a", "a", "b"):
        make_runs(clock, concurrency_key=key)
    assert sweep(clock) == 2
    worker.settle(*map(completes, worker.claim()))
    assert sweep(clock) == 0


def test_a_run_that_never_began_gives_its_start_back(clock: Clock, limited):
    limited(rate_limit="1/h")
    first, second = make_runs(clock, 2, concurrency_key=f"task:{fleet.TASK}")
    sweep(clock)
    cancellation.cancel([first], actor="ada", now=clock.now)
    assert sweep(clock) == 1
    assert Outbox.objects.get(pk=second).ready


def test_starts_are_forgotten_after_their_window(clock: Clock, worker: FakeWorker, limited):
    limited(rate_limit="5/s")
    for _ in range(5):
        make_runs(clock, 5, concurrency_key=f"task:{fleet.TASK}")
        sweep(clock)
        worker.settle(*map(completes, worker.claim()))
        clock.pass_(2)
    make_runs(clock, concurrency_key=f"task:{fleet.TASK}")
    sweep(clock)
    assert Permit.objects.count() <= 6


# --- what is left behind ---------------------------------------------------------------------------------------------


def test_limits_that_nobody_uses_are_forgotten(clock: Clock, worker: FakeWorker, limited):
    limited(rate_limit="5/s")
    first, *_ = (make_runs(clock, concurrency_key=key)[0] for key in ("over", "held", "waited for"))
    sweep(clock)
    (over,) = (attempt for attempt in worker.claim() if attempt.run_id == first)
    worker.settle(completes(over))
    clock.pass_(3 * 86_400)
    make_runs(clock, concurrency_key="waited for")
    assert waiting.forget_unused(store(), before=clock.now - timedelta(days=2), limit=10, now=clock.now) == 1
    assert sorted(Limit.objects.values_list("key", flat=True)) == ["held", "waited for"]


# --- names ---------------------------------------------------------------------------------------------------------


def test_the_limits_that_are_waited_for_are_listed_in_pages(clock: Clock):
    for key in ("b", "a", "c", "a"):
        make_runs(clock, concurrency_key=key)
    assert waiting.waited_for(store(), limit=2) == ["a", "b"]
    assert waiting.waited_for(store(), after="b", limit=2) == ["c"]


def test_nobody_is_let_through_twice(clock: Clock):
    make_runs(clock, concurrency_key="a")
    assert len(permits.admit(["a"], now=clock.now)) == 1
    assert permits.admit(["a"], now=clock.now) == []
