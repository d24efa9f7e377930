"""Delay lanes: the broker holds what is due soon, and lets it go by its own clock, never early."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

from openqueue.control.doctor.brokers import judge
from openqueue.runtimes.base import Consumer, Receipt, decode
from openqueue.runtimes.rabbitmq import topology
from openqueue.runtimes.rabbitmq.refusals import TopologyDiffers
from tests.eventually import eventually
from tests.rabbitmq.conftest import Open, message, purge
from tests.servers.rabbitmq import ADMIN, RabbitMQ

LANE = "openqueue.delay:1"


def take(consumer: Consumer, count: int = 1) -> Sequence[Receipt]:
    got: list[Receipt] = []
    eventually(lambda: got.extend(consumer.receive(limit=10, timeout=0.2)) or len(got) >= count)
    consumer.ack(got)
    return got


def soon(seconds: float = 0.7) -> float:
    return time.monotonic() + seconds


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"exchange_type": "topic"},
        {"queue_type": "classic", "priorities": "native"},
    ],
    ids=str,
)
def test_a_message_leaves_its_lane_when_it_is_due_for_the_queue_it_is_for(
    open_runtime: Open, queue: str, options: dict[str, str]
):
    runtime = open_runtime(delay_lanes=[5, 1], **options)
    assert runtime.capabilities.ahead == 5
    names = [queue, f"{queue}.urgent"]
    consumers = {name: runtime.consumer([name], prefetch=5) for name in names}
    due = soon()
    told = {name: message(name, due=due, priority=n) for n, name in enumerate(names)}
    assert [answer.error for answer in runtime.publish(list(told.values()))] == [None, None]
    for name in names:
        (receipt,) = take(consumers[name])
        assert 0 <= time.monotonic() - due < 2
        assert decode(receipt.body) == (told[name].run_id, 1)
        consumers[name].close()


def test_a_lane_is_the_shortest_that_is_long_enough_and_each_message_has_its_own_time(
    open_runtime: Open, rabbitmq_server: RabbitMQ, queue: str
):
    runtime = open_runtime(delay_lanes=[1, 5, 30])
    dues = [soon(seconds) for seconds in (0.9, 3, 4.9, 29)]
    runtime.publish([message(queue, due=due) for due in dues])
    for lane, held in ((1, 1), (5, 2), (30, 1)):
        name = f"openqueue.delay:{lane}"
        assert runtime.broker.count([name])[0].ready == held
        arguments = rabbitmq_server.queues()[name]["arguments"]
        assert arguments == {
            "x-queue-type": "quorum",
            "x-message-ttl": lane * 1000,
            "x-dead-letter-exchange": "openqueue",
            "x-max-length": topology.HELD,
            "x-overflow": "reject-publish",
        }
    consumer = runtime.consumer([queue], prefetch=5)
    for due in dues[:3]:
        take(consumer)
        assert time.monotonic() >= due
    consumer.close()


def test_what_is_due_by_now_takes_no_lane(open_runtime: Open, queue: str):
    runtime = open_runtime(delay_lanes=[1])
    runtime.publish([message(queue, due=time.monotonic() - 1)])
    eventually(lambda: runtime.inspect(queue).depth == 1)


def test_a_lane_that_was_deleted_is_made_again(open_runtime: Open, rabbitmq_server: RabbitMQ, queue: str):
    runtime = open_runtime(delay_lanes=[1])
    runtime.declare([queue])
    rabbitmq_server.delete_queue(LANE)
    consumer = runtime.consumer([queue], prefetch=5)
    assert runtime.publish([message(queue, due=soon())])[0].error is None
    take(consumer)
    consumer.close()


def test_a_full_lane_refuses_and_the_sweeps_have_the_rest(
    open_runtime: Open, queue: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(topology, "HELD", 3)
    runtime = open_runtime(delay_lanes=[30])
    answers = [runtime.publish([message(queue, due=soon(20))])[0] for _ in range(8)]
    assert answers[0].error is None
    assert answers[-1].error is not None
    assert (answers[-1].certain, answers[-1].refused) == (True, False)


def test_what_came_by_a_lane_is_not_missing_while_it_waits_behind_others(
    open_runtime: Open, rabbitmq_server: RabbitMQ, queue: str
):
    """Its place in the queue is that of the moment at which it came there, not of its publishing."""
    runtime = open_runtime(delay_lanes=[1, 30])
    now = time.monotonic()
    late, long_ago = message(queue, due=now + 0.9), message(queue, due=now + 29)
    first, other = runtime.publish([late, long_ago])
    eventually(lambda: runtime.inspect(queue).depth == 1)
    assert int(other.ref) - int(first.ref) > 20
    assert list(runtime.missing([late], [first.ref])) == [False]
    purge(rabbitmq_server, runtime, queue, of=1)
    assert list(runtime.missing([late], [first.ref])) == [True]


def test_lanes_that_differ_and_lanes_that_no_option_names_are_found_by_the_doctor(
    open_runtime: Open, rabbitmq_server: RabbitMQ, queue: str
):
    open_runtime(delay_lanes=[1, 5]).declare([queue, "delay"])  # a queue may have that name
    more = {"url": rabbitmq_server.url_of(ADMIN), "management": rabbitmq_server.management}
    facts = open_runtime(delay_lanes=[1, 5], **more).configuration()
    assert (facts.differing, facts.left_over) == ((), ())
    facts = open_runtime(delay_lanes=[5], **more).configuration()
    assert (facts.differing, facts.left_over) == ((), (LANE,))
    assert [(finding.id, finding.level) for finding in judge("default", facts)] == [
        ("queue_left_over", "info")
    ]
    rabbitmq_server.delete_queue("openqueue.delay:5")
    vhost, name = rabbitmq_server.vhost, "openqueue.delay%3A5"
    rabbitmq_server.api("PUT", f"queues/{vhost}/{name}", durable=True, arguments={"x-message-ttl": 9})
    runtime = open_runtime(delay_lanes=[1, 5], **more)
    (found,) = runtime.configuration().differing
    assert "x-message-ttl" in found
    with pytest.raises(TopologyDiffers, match="delay:5"):
        runtime.declare([queue])
