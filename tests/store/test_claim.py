"""Claims: what is taken, in what order, and what each message is answered."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from django.db import OperationalError, connection, connections, transaction

from openqueue.core import transitions
from openqueue.models import Claim, Outbox, QueueState, Run
from openqueue.store import store
from tests.store import fleet
from tests.store.fleet import START, TASK, Clock, FakeWorker

pytestmark = pytest.mark.django_db
POSTGRESQL = connection.vendor == "postgresql"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def worker(clock: Clock) -> FakeWorker:
    return FakeWorker(clock)


def pause(name: str) -> None:
    QueueState.objects.create(name=name, paused=True)


def test_higher_priority_comes_first_then_the_earlier_due_time(clock: Clock, worker: FakeWorker):
    late = fleet.make_run(clock, priority=5)
    clock.now -= timedelta(seconds=1)
    early = fleet.make_run(clock, priority=5)
    low = fleet.make_run(clock, priority=-100)
    high = fleet.make_run(clock, priority=100)
    clock.pass_(1)
    assert [a.run_id for a in worker.claim()] == [high, early, late, low]


def test_a_large_batch_comes_in_order(clock: Clock, worker: FakeWorker):
    order = {}
    for n in range(60):
        order[fleet.make_run(clock, priority=n * 7 % 60)] = -(n * 7 % 60)
    claimed = [a.run_id for a in worker.claim()]
    assert claimed == sorted(order, key=lambda run: order[run])


def test_priority_counts_across_the_queues_of_a_claim(clock: Clock, worker: FakeWorker):
    low = fleet.make_run(clock, queue="a", priority=1)
    high = fleet.make_run(clock, queue="b", priority=2)
    assert [a.run_id for a in worker.claim(1, queues=["a", "b"])] == [high]
    assert [a.run_id for a in worker.claim(1, queues=["a", "b"])] == [low]


def test_a_queue_gives_no_more_than_its_room(clock: Clock, worker: FakeWorker):
    fleet.make_run(clock, runs=3, queue="a", priority=9)
    fleet.make_run(clock, runs=3, queue="b")
    queues = [a.queue for a in worker.claim(4, rooms={"a": 1, "b": 9})]
    assert sorted(queues) == ["a", "b", "b", "b"]


def test_a_queue_that_is_not_named_is_left_alone(clock: Clock, worker: FakeWorker):
    fleet.make_run(clock, queue="elsewhere")
    assert worker.claim() == []


def test_a_row_of_another_runtime_is_left_alone(clock: Clock, worker: FakeWorker):
    fleet.make_run(clock, runtime="broker")
    assert worker.claim() == []


def test_a_paused_queue_is_not_claimed(clock: Clock, worker: FakeWorker):
    fleet.make_run(clock, queue="a")
    run = fleet.make_run(clock, queue="b")
    pause("a")
    assert [a.run_id for a in worker.claim(queues=["a", "b"])] == [run]


def test_a_delayed_run_is_not_claimed_before_its_time(clock: Clock, worker: FakeWorker):
    run = fleet.make_run(clock, delay=10)
    clock.pass_(9.999)
    store().flip_ready(limit=9, now=clock.now)
    assert worker.claim() == []
    clock.pass_(0.001)
    assert store().flip_ready(limit=9, now=clock.now) == [("default", "default")]
    assert [a.run_id for a in worker.claim()] == [run]


def test_a_row_that_was_put_back_is_not_claimed_before_its_time(clock: Clock, worker: FakeWorker):
    run = fleet.make_run(clock)
    Outbox.objects.update(announce_at=clock.now + timedelta(seconds=4))
    clock.pass_(3.9)
    assert worker.claim() == []
    clock.pass_(0.1)
    assert [a.run_id for a in worker.claim()] == [run]


def test_a_run_whose_time_to_live_is_over_is_never_claimed(clock: Clock, worker: FakeWorker):
    fleet.make_run(clock, ttl=5)
    clock.pass_(5)
    assert worker.claim() == []
    run = Run.objects.get().pk
    assert worker.claim_named((run, 1)).answers == {(run, 1): "gone"}


def test_a_task_that_this_process_does_not_know_is_left_alone(clock: Clock, worker: FakeWorker):
    fleet.make_run(clock, task_id="test.newer")
    assert worker.claim() == []
    assert Outbox.objects.get().tries == 0


def test_a_task_without_a_free_slot_is_left_for_others(clock: Clock, worker: FakeWorker):
    run = fleet.make_run(clock)
    full = FakeWorker(clock, full=[TASK])
    assert full.claim() == []
    assert [a.run_id for a in worker.claim()] == [run]


def test_what_is_claimed_says_all_that_a_body_needs(clock: Clock, worker: FakeWorker):
    facts = {"payload": '{"n":18014398509481985}', "meta": '{"a":1}', "options": '{"timeout":3}'}
    run = fleet.make_run(clock, max_attempts=7, traceparent="00-1-2-03", **facts)
    (attempt,) = worker.claim()
    assert (attempt.run_id, attempt.seq, attempt.attempt, attempt.task_id) == (run, 1, 1, TASK)
    assert (attempt.payload, attempt.meta, attempt.options) == tuple(facts.values())
    assert (attempt.max_attempts, attempt.crash_count, attempt.traceparent) == (7, 0, "00-1-2-03")
    (event,) = fleet.events(run, "started")
    assert event.data["worker"] == str(worker.id)
    assert Run.objects.get().worker_id == worker.id


def test_deferring_an_unknown_task_takes_longer_each_time_until_ten(clock: Clock):
    run = fleet.make_run(clock, task_id="test.gone")
    waits = []
    for _ in range(10):
        clock.now = Outbox.objects.get().announce_at + timedelta(seconds=5)
        before = clock.now
        (deferred,) = store().defer_unknown(
            runtime="default",
            queues=["default"],
            known=[TASK],
            older_than=timedelta(seconds=5),
            limit=9,
            now=clock.now,
        )
        waits.append((Outbox.objects.get().announce_at - before).total_seconds())
    assert deferred == (run, 1, "test.gone", 10)
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]
    assert Outbox.objects.get().last_error == "unknown_task"


def test_a_known_task_and_a_fresh_row_are_not_deferred(clock: Clock):
    fleet.make_run(clock)
    fleet.make_run(clock, task_id="test.gone")
    clock.pass_(4)
    wait = timedelta(seconds=5)
    assert (
        store().defer_unknown(
            runtime="default", queues=["default"], known=[TASK], older_than=wait, limit=9, now=clock.now
        )
        == []
    )


# --- messages -----------------------------------------------------------------------------------------------------


def test_a_message_for_a_due_row_is_claimed(clock: Clock, worker: FakeWorker):
    run = fleet.make_run(clock, runtime="broker")
    result = worker.claim_named((run, 1))
    assert [a.run_id for a in result.claimed] == [run]
    assert result.answers == {(run, 1): "claimed"}


def test_the_second_message_of_a_run_is_gone(clock: Clock, worker: FakeWorker):
    run = fleet.make_run(clock)
    worker.claim_named((run, 1))
    assert worker.claim_named((run, 1)).answers == {(run, 1): "gone"}
    assert worker.claim_named((run, 1), (run, 1)).claimed in ((), [])


@pytest.mark.parametrize("seq", [0, 2, 2**31 - 1])
def test_a_message_of_another_seq_is_gone(clock: Clock, worker: FakeWorker, seq: int):
    run = fleet.make_run(clock)
    assert worker.claim_named((run, seq)).answers == {(run, seq): "gone"}
    assert Outbox.objects.exists()


def test_two_messages_of_different_seq_claim_the_run_once(clock: Clock, worker: FakeWorker):
    run = fleet.make_run(clock)
    assert worker.claim_named((run, 1), (run, 2)).answers == {(run, 1): "claimed", (run, 2): "gone"}


def test_a_message_for_an_unknown_run_is_gone(worker: FakeWorker):
    stranger = uuid4()
    assert worker.claim_named((stranger, 1)).answers == {(stranger, 1): "gone"}


def test_a_message_that_came_before_its_time_is_answered_later(clock: Clock, worker: FakeWorker):
    run = fleet.make_run(clock, delay=5)
    store().mark_announced([(run, 1, 0, "ref", None, 5.5)], now=clock.now)
    assert worker.claim_named((run, 1)).answers == {(run, 1): "later"}
    row = Outbox.objects.get()
    assert (row.ready, row.announced_at, row.broker_ref, row.last_error) == (False, None, None, None)
    assert (row.tries, row.announce_at) == (1, clock.now + timedelta(seconds=5.5)), "no late mark hits it"


def test_a_message_that_comes_before_the_sweep_claims_the_run_if_it_is_due(clock: Clock, worker: FakeWorker):
    """A broker may keep the time as well; the database's clock decides."""
    run = fleet.make_run(clock, delay=5)
    clock.pass_(4.999)
    assert worker.claim_named((run, 1)).answers == {(run, 1): "later"}
    clock.pass_(0.001)
    assert not Outbox.objects.get().ready
    assert worker.claim_named((run, 1)).answers == {(run, 1): "claimed"}
    assert not Outbox.objects.exists()


def test_what_comes_before_its_time_takes_no_room_from_what_is_due(clock: Clock):
    early, due, noted = (fleet.make_run(clock, delay=delay) for delay in (9, 5, 0))
    clock.pass_(5)
    worker = FakeWorker(clock, task_rooms={TASK: 1})
    told = worker.claim_named((early, 1), (due, 1), (noted, 1)).answers
    assert told == {(early, 1): "later", (due, 1): "claimed", (noted, 1): "deferred"}


@pytest.mark.parametrize(
    ("why", "wait"), [("paused", 1), ("unknown_task", 1), ("no_slot", 1)], ids=["paused", "unknown", "full"]
)
def test_what_cannot_be_served_here_is_put_back_unannounced(clock: Clock, why: str, wait: float):
    run = fleet.make_run(clock, queue="q")
    store().mark_announced([(run, 1, 0, "ref", None, 60.0)], now=clock.now)
    if why == "paused":
        pause("q")
    known, full = ([] if why == "unknown_task" else [TASK]), ([TASK] if why == "no_slot" else [])
    result = FakeWorker(clock, known=known, full=full).claim_named((run, 1))
    assert result.answers == {(run, 1): "deferred"}
    assert result.deferred == [(run, 1, TASK, int(why == "unknown_task"), why)]
    row = Outbox.objects.get()
    assert (row.announced_at, row.broker_ref, row.tries, row.last_error) == (None, None, 1, why)
    assert row.announce_at == clock.now + timedelta(seconds=wait)


def test_a_mixed_batch_of_messages_is_answered_one_by_one(clock: Clock, worker: FakeWorker):
    due, later = fleet.make_run(clock), fleet.make_run(clock, delay=5)
    unknown, dead = fleet.make_run(clock, task_id="test.x"), fleet.make_run(clock)
    transitions.cancel_waiting([dead], actor="", now=clock.now)
    result = worker.claim_named((due, 1), (later, 1), (unknown, 1), (dead, 1))
    told = {(due, 1): "claimed", (later, 1): "later", (unknown, 1): "deferred", (dead, 1): "gone"}
    assert result.answers == told


@contextmanager
def elsewhere(act: Callable[[], Any]) -> Iterator[None]:
    """Do something in a transaction of another connection, and keep it open meanwhile."""
    done, leave, errors = threading.Event(), threading.Event(), []

    def hold() -> None:
        try:
            with transaction.atomic():
                act()
                done.set()
                leave.wait(20)
        except Exception as error:
            errors.append(error)
        finally:
            done.set()
            connections.close_all()

    thread = threading.Thread(target=hold)
    thread.start()
    assert done.wait(10)
    try:
        yield
    finally:
        leave.set()
        thread.join(10)
    assert not errors


@pytest.mark.postgresql
@pytest.mark.mariadb
@pytest.mark.django_db(transaction=True)
def test_a_locked_row_is_unavailable_and_asking_again_at_once_does_not_wait(clock: Clock, worker: FakeWorker):
    locked, free = fleet.make_run(clock), fleet.make_run(clock)
    with elsewhere(lambda: list(Outbox.objects.select_for_update().filter(pk=locked))):
        with pytest.raises(OperationalError) as refused:
            worker.claim_named((locked, 1), (free, 1), nowait=True)
        assert not transitions.connection_is_gone(refused.value)
        assert worker.claim_named((free, 1), nowait=True).answers == {(free, 1): "claimed"}
        assert worker.claim() == [], "a claim of due rows skips what is locked"
    assert worker.claim_named((locked, 1), nowait=True).answers == {(locked, 1): "claimed"}


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_the_patience_of_a_claim_does_not_outlive_it(clock: Clock, worker: FakeWorker):
    worker.claim_named((fleet.make_run(clock), 1), nowait=True)
    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone() == ("0",)


@pytest.mark.parametrize("named", [False, True], ids=["due", "named"])
def test_a_row_whose_run_cannot_be_claimed_is_deleted_and_reported(
    clock: Clock, worker: FakeWorker, caplog: pytest.LogCaptureFixture, named: bool
):
    broken, sound = fleet.make_run(clock, runs=2)
    Run.objects.filter(pk=broken).update(status="completed")
    if named:
        result = worker.claim_named((broken, 1), (sound, 1))
        assert result.answers == {(broken, 1): "gone", (sound, 1): "claimed"}
        claimed = result.claimed
    else:
        claimed = worker.claim()
    assert [a.run_id for a in claimed] == [sound]
    assert [record.run_id for record in caplog.records] == [str(broken)]
    assert list(Claim.objects.values_list("run_id", flat=True)) == [sound]
    assert not Outbox.objects.exists()


def test_a_task_that_another_live_worker_serves_is_not_deferred(clock: Clock):
    fleet.make_run(clock, task_id="test.theirs")
    other = FakeWorker(clock, tasks=["test.theirs"])
    clock.pass_(6)
    ask = partial(store().defer_unknown, runtime="default", queues=["default"], known=[TASK], limit=9)
    assert ask(older_than=timedelta(seconds=5), now=clock.now) == []
    store().declare_lost(other.id)
    assert len(ask(older_than=timedelta(seconds=5), now=clock.now)) == 1


def test_rows_of_a_paused_queue_are_not_deferred(clock: Clock):
    fleet.make_run(clock, task_id="test.gone")
    QueueState.objects.create(name="default", paused=True)
    clock.pass_(6)
    wait = timedelta(seconds=5)
    assert (
        store().defer_unknown(
            runtime="default", queues=["default"], known=[], older_than=wait, limit=9, now=clock.now
        )
        == []
    )


def test_the_moment_of_a_claim_is_the_clock_s(clock: Clock, worker: FakeWorker):
    run = fleet.make_run(clock)
    clock.pass_(3)
    worker.claim()
    assert Run.objects.get(pk=run).started_at == START + timedelta(seconds=3)
    assert Claim.objects.get().claimed_at == START + timedelta(seconds=3)


@pytest.mark.parametrize("limited", ["task", "queue"])
def test_a_batch_of_messages_takes_no_more_than_the_room_of_a_task_or_queue(
    clock: Clock, worker: FakeWorker, limited: str
):
    runs = fleet.make_run(clock, runs=5)
    other = fleet.make_run(clock, task_id="test.other", queue="other")
    rooms = {"task": {"task_rooms": {TASK: 2}}, "queue": {"queue_rooms": {"default": 2}}}[limited]
    request = replace(worker.request(), known=[TASK, "test.other"], **rooms)
    named = [(run, 1) for run in [*runs, other]]
    result = transitions.claim_named(request, announcements=named, now=clock.now)
    assert {a.run_id for a in result.claimed} == {*runs[:2], other}
    assert {d.why for d in result.deferred} == {"no_slot"}
    assert len(result.deferred) == 3


@pytest.mark.sqlite
@pytest.mark.django_db(transaction=True)
def test_a_claim_that_was_rolled_back_leaves_the_connection_able_to_claim(clock: Clock, worker: FakeWorker):
    connection.close()
    run = fleet.make_run(clock)
    with transaction.atomic():
        assert [attempt.run_id for attempt in worker.claim()] == [run]
        transaction.set_rollback(True)
    assert [attempt.run_id for attempt in worker.claim()] == [run]
