"""The announcing sweep: what is announced, what again, and what is left alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from openqueue import runtimes
from openqueue.core import rehearsal, window
from openqueue.models import Outbox, QueueState
from openqueue.processes.sweeps.announcer import Announcer
from openqueue.processes.sweeps.due import Due
from openqueue.runtimes.base import Message, Published, decode
from openqueue.runtimes.memory import MemoryRuntime
from tests.store import fleet
from tests.store.fleet import Clock, FakeWorker

pytestmark = pytest.mark.django_db
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Broker(MemoryRuntime):
    """Memory, with the bad days of a broker."""

    def __init__(self, alias: str) -> None:
        super().__init__(alias)
        self.fails: Exception | None = None
        self.loses = False
        self.published: list[Message] = []

    def publish(self, messages: Sequence[Message]) -> Sequence[Published]:
        if self.fails is not None:
            raise self.fails
        self.published += messages
        return [Published(ref="lost")] * len(messages) if self.loses else super().publish(messages)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def broker(settings) -> Broker:
    settings.OPENQUEUE = {"RUNTIMES": {"default": {"BACKEND": f"{__name__}.Broker"}}}
    return runtimes.get("default")  # type: ignore[return-value]


def make_run(clock: Clock, **facts: Any) -> Any:
    return fleet.make_run(clock, head_start=2.0, **facts)


def test_a_row_that_nobody_announced_is_announced_after_its_head_start(clock: Clock, broker: Broker):
    run = make_run(clock)
    assert Announcer().step(clock.now) == 0
    clock.pass_(2)
    assert Announcer().step(clock.now) == 1
    (_, _, body) = broker.waiting["default"][0]
    assert decode(body) == (run, 1)
    row = Outbox.objects.get()
    assert (row.tries, row.announced_at, row.broker_ref) == (1, clock.now, "1")
    assert (row.announce_at - clock.now).total_seconds() == 60
    assert Announcer().step(clock.now) == 0


def test_a_delayed_run_is_announced_as_soon_as_it_is_due(clock: Clock, broker: Broker, declare):
    """It needs no head start: nobody publishes it on commit."""

    @declare
    def later() -> None: ...

    with rehearsal.rehearsing(lambda: clock.now):
        later.using(delay=5).trigger()
    clock.pass_(5)
    assert Due().step(clock.now) == 1
    assert Announcer().step(clock.now) == 1


def test_what_the_sweep_sends_carries_the_trace_of_its_run(clock: Clock, broker: Broker):
    traces = {make_run(clock, traceparent=trace): trace for trace in (TRACE, None, TRACE[:-1] + "0")}
    clock.pass_(2)
    assert Announcer().step(clock.now) == 3
    assert {message.run_id: message.traceparent for message in broker.published} == traces


def test_a_row_is_leased_for_a_moment_and_marked_only_when_its_message_is_out(
    clock: Clock, broker: Broker, monkeypatch
):
    make_run(clock)
    clock.pass_(2)
    publish, seen = broker.publish, []

    def watched(messages: Sequence[Message]) -> Sequence[Published]:
        row = Outbox.objects.get()
        seen.append((row.announced_at, (row.announce_at - clock.now).total_seconds()))
        return publish(messages)

    monkeypatch.setattr(broker, "publish", watched)
    assert Announcer().step(clock.now) == 1
    assert seen == [(None, 1.0)]


def test_higher_priority_is_announced_first(clock: Clock, broker: Broker):
    low, high = make_run(clock, priority=-5), make_run(clock, priority=5)
    clock.pass_(2)
    Announcer().step(clock.now)
    assert [m.run_id for m in broker.published] == [high, low]


def test_a_delayed_row_is_not_announced(clock: Clock, broker: Broker):
    make_run(clock, delay=60)
    clock.pass_(30)
    assert Announcer().step(clock.now) == 0


def test_an_expired_row_is_not_announced(clock: Clock, broker: Broker):
    make_run(clock, ttl=1)
    clock.pass_(2)
    assert Announcer().step(clock.now) == 0


def test_a_paused_queue_is_left_alone(clock: Clock, broker: Broker):
    make_run(clock, queue="a")
    make_run(clock, queue="b")
    QueueState.objects.create(name="a", paused=True)
    clock.pass_(2)
    assert Announcer().step(clock.now) == 1
    assert [m.queue for m in broker.published] == ["b"]
    assert Outbox.objects.get(queue="a").tries == 0


def test_what_the_broker_lost_is_announced_again(clock: Clock, broker: Broker):
    run = make_run(clock)
    broker.loses = True
    clock.pass_(2)
    assert Announcer().step(clock.now) == 1
    broker.loses = False
    clock.pass_(59)
    assert Announcer().step(clock.now) == 0
    clock.pass_(1)
    assert Announcer().step(clock.now) == 1
    assert [m.run_id for m in broker.published] == [run, run]
    assert (Outbox.objects.get().announce_at - clock.now).total_seconds() == 120


def test_a_healthy_backlog_is_not_amplified(clock: Clock, broker: Broker):
    make_run(clock, runs=20)
    for _ in range(30):
        clock.pass_(61)
        Announcer().step(clock.now)
    assert len(broker.waiting["default"]) == 20
    assert len(broker.published) == 20


def test_what_a_worker_has_in_flight_is_not_announced_again(clock: Clock, broker: Broker):
    make_run(clock)
    clock.pass_(2)
    Announcer().step(clock.now)
    broker.consumer(["default"], prefetch=1).receive(limit=1, timeout=0)
    clock.pass_(61)
    Announcer().step(clock.now)
    assert len(broker.published) == 1


def test_a_broker_that_refuses_is_tried_again_with_back_off(clock: Clock, broker: Broker):
    make_run(clock)
    broker.fails = ConnectionRefusedError("no")
    clock.pass_(2)
    waits = []
    for _ in range(4):
        assert Announcer().step(clock.now) == 0
        row = Outbox.objects.get()
        assert (row.announced_at, row.last_error) == (None, "no")
        waits.append((row.announce_at - clock.now).total_seconds())
        clock.now = row.announce_at
    assert waits == [1, 2, 4, 8]
    broker.fails = None
    assert Announcer().step(clock.now) == 1
    assert Outbox.objects.get().last_error is None


def test_a_publish_of_unknown_outcome_waits_before_it_is_sent_again(clock: Clock, broker: Broker):
    make_run(clock)
    broker.fails = TimeoutError("no answer")
    clock.pass_(2)
    assert Announcer().step(clock.now) == 0
    row = Outbox.objects.get()
    assert (row.announce_at - clock.now).total_seconds() == 60
    assert row.last_error == "TimeoutError: no answer"


def test_one_row_that_cannot_be_published_does_not_stop_the_others(clock: Clock, broker: Broker, monkeypatch):
    bad, good = make_run(clock), make_run(clock)
    publish = broker.publish

    def choosy(messages: Sequence[Message]) -> Sequence[Published]:
        return [Published(error="too large") if m.run_id == bad else publish([m])[0] for m in messages]

    monkeypatch.setattr(broker, "publish", choosy)
    clock.pass_(2)
    assert Announcer().step(clock.now) == 1
    assert [m.run_id for m in broker.published] == [good]
    assert Outbox.objects.get(pk=bad).last_error == "too large"


def test_no_more_is_announced_than_the_window_holds(clock: Clock, broker: Broker, monkeypatch):
    monkeypatch.setattr(window, "WINDOW", 10)
    make_run(clock, runs=15)
    clock.pass_(2)
    assert Announcer().step(clock.now) == 10
    assert Announcer().step(clock.now) == 0
    consumer = broker.consumer(["default"], prefetch=9)
    consumer.ack(consumer.receive(limit=4, timeout=0))
    assert Announcer().step(clock.now) == 4


def test_the_window_of_one_queue_is_not_another_s(clock: Clock, broker: Broker, monkeypatch):
    monkeypatch.setattr(window, "WINDOW", 2)
    make_run(clock, runs=5, queue="a")
    make_run(clock, runs=5, queue="b")
    clock.pass_(2)
    assert Announcer().step(clock.now) == 4


def test_a_broker_that_cannot_be_asked_is_published_to_all_the_same(
    clock: Clock, broker: Broker, monkeypatch
):
    def away(*_: object) -> Any:
        raise OSError("away")

    monkeypatch.setattr(broker, "inspect", away)
    monkeypatch.setattr(broker, "missing", away)
    make_run(clock)
    clock.pass_(2)
    assert Announcer().step(clock.now) == 1
    clock.pass_(61)
    assert Announcer().step(clock.now) == 1


def test_a_message_that_overtakes_its_mark_is_claimed_and_the_mark_hits_nothing(
    clock: Clock, broker: Broker, monkeypatch
):
    run = make_run(clock)
    worker = FakeWorker(clock)
    publish = broker.publish
    answers = []

    def overtaken(messages: Sequence[Message]) -> Sequence[Published]:
        done = publish(messages)
        answers.append(worker.claim_named((run, 1)).answers)
        return done

    monkeypatch.setattr(broker, "publish", overtaken)
    clock.pass_(2)
    Announcer().step(clock.now)
    assert answers == [{(run, 1): "claimed"}]
    assert not Outbox.objects.exists()


def test_two_announcers_announce_each_row_once(clock: Clock, broker: Broker):
    make_run(clock, runs=9)
    clock.pass_(2)
    assert Announcer().step(clock.now) + Announcer().step(clock.now) == 9
    assert len(broker.published) == 9


def test_a_deferred_row_is_announced_again_when_its_time_comes(clock: Clock, broker: Broker):
    run = make_run(clock)
    clock.pass_(2)
    Announcer().step(clock.now)
    consumer = broker.consumer(["default"], prefetch=1)
    consumer.ack(consumer.receive(limit=1, timeout=0))
    assert FakeWorker(clock, known=[]).claim_named((run, 1)).answers == {(run, 1): "deferred"}
    clock.pass_(2)
    assert Announcer().step(clock.now) == 1
    assert len(broker.waiting["default"]) == 1


def test_the_database_runtime_needs_no_announcing(clock: Clock):
    fleet.make_run(clock)
    clock.pass_(100)
    assert Announcer().step(clock.now) == 0
    assert Outbox.objects.get().tries == 0
