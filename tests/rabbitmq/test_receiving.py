"""Messages come while there is room, go back when there is none, and come again after whatever befalls."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from openqueue.runtimes.base import Receipt, decode
from openqueue.runtimes.rabbitmq import RabbitMQRuntime, feed
from openqueue.runtimes.rabbitmq.consumer import KEPT, RabbitMQConsumer
from openqueue.runtimes.rabbitmq.refusals import RabbitMQFailed
from tests.eventually import eventually
from tests.proxy.proxy import Proxy
from tests.rabbitmq.conftest import Open, message
from tests.servers.rabbitmq import RabbitMQ


@pytest.fixture
def consumer(runtime: RabbitMQRuntime, queue: str) -> Iterator[RabbitMQConsumer]:
    consumer = runtime.consumer([queue], prefetch=5)
    yield consumer
    consumer.close()


def some(consumer: RabbitMQConsumer, limit: int = 1) -> list[Receipt]:
    """Receive as a worker's loop does: what fails is tried again."""
    try:
        return list(consumer.receive(limit=limit, timeout=0.2))
    except RabbitMQFailed:
        return []


def waiting(consumer: RabbitMQConsumer) -> int:
    """Count what came and was not asked for."""
    return sum(len(feed.waiting) for feed in consumer.every(consumer.queues))


def test_a_worker_without_room_keeps_nothing_from_the_others(
    runtime: RabbitMQRuntime, consumer: RabbitMQConsumer, queue: str
):
    """It asked for one, five more were on their way: they go back, and another gets them."""
    runtime.publish([message(queue) for _ in range(6)])
    mine = eventually(lambda: some(consumer))
    eventually(lambda: waiting(consumer) > 0)
    began = time.monotonic()
    other = runtime.consumer([queue], prefetch=10)
    got = 0

    def others_got_all() -> bool:
        nonlocal got
        receipts = some(other, 10)
        other.ack(receipts)
        got += len(receipts)
        return got == 5

    eventually(others_got_all)
    assert time.monotonic() - began < 10 * KEPT
    consumer.ack(mine)
    other.close()


def test_no_more_is_on_its_way_than_there_are_slots(
    runtime: RabbitMQRuntime, consumer: RabbitMQConsumer, queue: str
):
    runtime.publish([message(queue) for _ in range(50)])
    consumer.ack(eventually(lambda: some(consumer)))
    most = 0

    def given_back() -> bool:
        nonlocal most
        most = max(most, waiting(consumer))
        return most > 0 and waiting(consumer) == 0

    eventually(given_back)
    assert most == 5


def test_whoever_asks_for_more_gets_more_at_a_time(
    runtime: RabbitMQRuntime, consumer: RabbitMQConsumer, queue: str
):
    runtime.publish([message(queue) for _ in range(200)])
    consumer.ack(eventually(lambda: some(consumer, 5)))
    largest = 0
    for _ in range(50):
        receipts = some(consumer, 100)
        consumer.ack(receipts)
        largest = max(largest, len(receipts))
    assert largest > 20
    assert consumer.prefetch == 5, "nothing comes any more, and what comes next should be shared"


def test_what_a_worker_forgot_comes_again(open_runtime: Open, queue: str):
    runtime = open_runtime(in_flight=0.3)
    runtime.publish([message(queue)])
    consumer = runtime.consumer([queue], prefetch=5)
    first = eventually(lambda: some(consumer))
    again = eventually(lambda: some(consumer))
    assert decode(first[0].body) == decode(again[0].body)
    consumer.ack(first)  # too late: it has no hold on the second delivery
    consumer.ack(again)
    consumer.close()
    eventually(lambda: runtime.inspect(queue).depth == 0)


def test_acknowledgements_out_of_order_settle_what_they_name_and_nothing_else(
    runtime: RabbitMQRuntime, consumer: RabbitMQConsumer, queue: str
):
    runtime.publish([message(queue) for _ in range(5)])
    held: list[Receipt] = []
    while len(held) < 5:
        held += some(consumer, 5 - len(held))
    consumer.ack([held[1], held[3]])
    consumer.release([held[4]])
    (again,) = eventually(lambda: some(consumer, 5))
    assert decode(again.body) == decode(held[4].body)
    consumer.ack([again, held[0]])
    consumer.close()
    other = runtime.consumer([queue], prefetch=5)
    (left,) = eventually(lambda: some(other, 5))
    assert decode(left.body) == decode(held[2].body)
    other.ack([left])
    other.close()


def test_what_is_rejected_lands_in_the_dead_letter_queue_with_where_it_came_from(
    runtime: RabbitMQRuntime, admin: Any, consumer: RabbitMQConsumer, queue: str
):
    runtime.declare([queue])
    admin.basic_publish("openqueue", queue, b"poison")
    (receipt,) = eventually(lambda: some(consumer))
    consumer.reject([receipt], reason="poison")
    eventually(lambda: runtime.inspect(queue).rejected == 1)
    _, properties, body = admin.basic_get("openqueue.dlx:rejected", auto_ack=True)
    assert body == b"poison"
    assert properties.headers["x-death"][0]["queue"] == f"openqueue.{queue}"
    assert properties.headers["x-death"][0]["reason"] == "rejected"
    assert runtime.inspect(queue).depth == 0


def test_a_queue_that_is_deleted_under_a_consumer_is_made_again_and_served(
    runtime: RabbitMQRuntime, rabbitmq_server: RabbitMQ, consumer: RabbitMQConsumer, queue: str,
    caplog: pytest.LogCaptureFixture,
):  # fmt: skip
    assert some(consumer) == []
    rabbitmq_server.delete_queue(f"openqueue.{queue}")
    began = time.monotonic()
    eventually(lambda: "ended a consumer" in caplog.text)
    some(consumer)
    runtime.publish([message(queue)])
    consumer.ack(eventually(lambda: some(consumer)))
    assert time.monotonic() - began < 5


def test_a_channel_that_ends_over_a_wrong_tag_is_opened_again_and_gives_back(
    runtime: RabbitMQRuntime, consumer: RabbitMQConsumer, queue: str
):
    runtime.publish([message(queue)])
    (receipt,) = eventually(lambda: some(consumer))
    channel = receipt.handle[0].channel
    consumer.do(lambda: channel.basic_ack(4711))
    with pytest.raises(RabbitMQFailed, match="PRECONDITION_FAILED"):
        consumer.receive(limit=1, timeout=5)
    (again,) = eventually(lambda: some(consumer))
    assert decode(again.body) == decode(receipt.body)
    consumer.ack([receipt])  # of the channel that is gone: it settles nothing
    consumer.ack([again])
    consumer.close()
    eventually(lambda: runtime.inspect(queue).depth == 0)


def test_connections_that_an_operator_closes_are_opened_again(
    runtime: RabbitMQRuntime, rabbitmq_server: RabbitMQ, consumer: RabbitMQConsumer, queue: str
):
    assert runtime.publish([message(queue)])[0].error is None
    consumer.ack(eventually(lambda: some(consumer)))
    eventually(lambda: len(rabbitmq_server.connections()) == 2)
    assert rabbitmq_server.cut_off() == 2
    eventually(lambda: runtime.publish([message(queue)])[0].error is None)
    consumer.ack(eventually(lambda: some(consumer)))
    assert runtime.health().ok


def test_a_wait_in_a_black_hole_ends_and_the_same_consumer_goes_on(
    far: RabbitMQRuntime, rabbitmq_proxy: Proxy, queue: str
):
    consumer = far.consumer([queue], prefetch=5)
    assert some(consumer) == []
    rabbitmq_proxy.blackhole()
    began = time.monotonic()
    with pytest.raises(RabbitMQFailed):
        consumer.receive(limit=1, timeout=20)
    assert time.monotonic() - began < 15
    rabbitmq_proxy.reset()
    rabbitmq_proxy.pass_on()
    eventually(lambda: far.publish([message(queue)])[0].error is None)
    consumer.ack(eventually(lambda: some(consumer)))
    consumer.close()


def test_a_message_wakes_who_waits_and_a_call_does_too(
    runtime: RabbitMQRuntime, consumer: RabbitMQConsumer, queue: str
):
    some(consumer)
    took: list[float] = []

    def receive() -> None:
        began = time.monotonic()
        consumer.ack(consumer.receive(limit=1, timeout=10))
        took.append(time.monotonic() - began)

    for end in (lambda: runtime.publish([message(queue)]), consumer.wake):
        thread = threading.Thread(target=receive)
        thread.start()
        eventually(lambda: consumer.receiving)
        end()
        thread.join(10)
    assert len(took) == 2
    assert max(took) < 5


def test_what_is_urgent_overtakes_what_waits_in_every_queue(runtime: RabbitMQRuntime, queue: str):
    names = [queue, f"{queue}.b"]
    runtime.declare(names)
    for name in names:
        runtime.publish([message(name, priority=priority) for priority in (0, 0, -1, 1)])
    eventually(lambda: all(runtime.inspect(name).depth == 4 for name in names))
    consumer = runtime.consumer(names, prefetch=10)
    receipts: list[Receipt] = []
    while len(receipts) < 8:
        receipts += some(consumer, 1)
    lanes = [receipt.origin["routing_key"].partition(":")[2] for receipt in receipts]
    assert lanes == ["high", "high", "", "", "", "", "low", "low"]
    consumer.ack(receipts)
    consumer.close()


def test_no_queue_of_several_starves(runtime: RabbitMQRuntime, queue: str):
    names = [f"{queue}.{letter}" for letter in "abc"]
    runtime.declare(names)
    runtime.publish([message(name) for name in names for _ in range(10)])
    consumer = runtime.consumer(names, prefetch=10)
    first = {some(consumer, 2)[0].queue for _ in range(3)}
    assert first == set(names)
    consumer.close()


def test_a_paused_queue_gives_back_what_it_had_sent(
    runtime: RabbitMQRuntime, rabbitmq_server: RabbitMQ, consumer: RabbitMQConsumer, queue: str
):
    runtime.publish([message(queue) for _ in range(3)])
    mine = eventually(lambda: some(consumer))
    consumer.pause([queue])
    eventually(lambda: runtime.inspect(queue).depth == 2)
    eventually(lambda: runtime.inspect(queue).consumers == 0)
    assert some(consumer, 5) == []
    consumer.resume([queue])
    consumer.ack(mine)
    assert len(eventually(lambda: some(consumer, 5))) >= 1


def test_a_queue_that_does_not_answer_holds_up_no_other(
    runtime: RabbitMQRuntime, queue: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """A quorum queue without a leader leaves its channel without a word for half a minute, and longer."""
    names = [queue, f"{queue}.dead"]
    runtime.declare(names)
    consume = feed.Feed.consume

    def silently(one: feed.Feed, channel: Any) -> None:
        if one.lane.queue != names[1]:
            consume(one, channel)

    monkeypatch.setattr(feed.Feed, "consume", silently)
    consumer = runtime.consumer(names, prefetch=5)
    runtime.publish([message(queue) for _ in range(3)])
    began = time.monotonic()
    consumer.ack(eventually(lambda: some(consumer)))
    assert time.monotonic() - began < 10
    assert "does not answer" in caplog.text
    consumer.ack(eventually(lambda: some(consumer, 5)))
    began = time.monotonic()
    some(consumer, 50)  # more than before: those that answer begin anew
    assert time.monotonic() - began < 1
    consumer.close()
