"""What the head of a lane says of announcements that nobody claimed."""

from __future__ import annotations

import pytest

from openqueue.runtimes.base import Published
from openqueue.runtimes.rabbitmq import RabbitMQRuntime
from openqueue.runtimes.rabbitmq import runtime as room
from openqueue.runtimes.rabbitmq.broker import Head
from openqueue.runtimes.rabbitmq.runtime import SKEW, passed
from tests.eventually import eventually
from tests.rabbitmq.conftest import Open, message, purge
from tests.servers.rabbitmq import RabbitMQ


def at(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    monkeypatch.setattr(room.time, "time", lambda: seconds)


def test_what_stands_before_or_beside_the_head_is_there(runtime: RabbitMQRuntime, queue: str):
    messages = [message(queue) for _ in range(5)]
    refs = [answer.ref for answer in runtime.publish(messages)]
    assert list(runtime.missing(messages, refs)) == [False] * 5
    eventually(lambda: runtime.inspect(queue).depth == 5)  # the look took nothing away


def test_what_was_published_long_before_the_head_is_gone(
    runtime: RabbitMQRuntime, rabbitmq_server: RabbitMQ, queue: str, monkeypatch: pytest.MonkeyPatch
):
    """One message was lost, and the queue is never empty: what came later has passed it."""
    at(monkeypatch, 1_000_000)
    lost = message(queue)
    (answer,) = runtime.publish([lost])
    purge(rabbitmq_server, runtime, queue, of=1)
    at(monkeypatch, 1_000_000 + SKEW / 2)
    near = message(queue)
    (second,) = runtime.publish([near])
    assert list(runtime.missing([lost, near], [answer.ref, second.ref])) == [False, False], (
        "clocks may differ"
    )
    purge(rabbitmq_server, runtime, queue, of=1)
    at(monkeypatch, 1_000_000 + SKEW + 1)
    late = message(queue)
    (third,) = runtime.publish([late])
    assert list(runtime.missing([lost, late], [answer.ref, third.ref])) == [True, False]


def test_an_empty_lane_has_nothing_and_says_nothing_of_the_others(runtime: RabbitMQRuntime, queue: str):
    usual, urgent = message(queue), message(queue, priority=1)
    (answer,) = runtime.publish([usual])
    assert list(runtime.missing([usual, urgent], [answer.ref, answer.ref])) == [False, True]


def test_in_a_queue_that_was_deleted_everything_is_missing(
    runtime: RabbitMQRuntime, rabbitmq_server: RabbitMQ, queue: str
):
    told = message(queue)
    (answer,) = runtime.publish([told])
    rabbitmq_server.delete_queue(f"openqueue.{queue}")
    assert list(runtime.missing([told], [answer.ref])) == [True]


def test_a_message_without_a_reference_may_be_missing(runtime: RabbitMQRuntime, queue: str):
    runtime.publish([message(queue)])
    assert list(runtime.missing([message(queue)], [None])) == [True]


def test_a_stranger_s_message_at_the_head_says_nothing(runtime: RabbitMQRuntime, admin, queue: str):
    runtime.declare([queue])
    admin.confirm_delivery()
    admin.basic_publish("openqueue", queue, b"stranger")
    told = message(queue)
    (answer,) = runtime.publish([told])
    assert list(runtime.missing([told], [answer.ref])) == [False]


@pytest.mark.parametrize(
    ("head", "priority", "gone"),
    [
        (Head(2_000, 5), 5, True),
        (Head(1_000, 5), 5, False),
        (Head(2_000, 9), 5, False),
        (Head(1_000, 1), 5, True),
        (None, 5, True),
        (None, None, True),
    ],
)
def test_a_native_queue_gives_the_most_urgent_first(head: Head | None, priority: int | None, gone: bool):
    """Below the head nobody knows; above it nothing waits."""
    assert passed(head, "1000", priority=priority) is gone


def test_looking_does_not_disturb_the_order(open_runtime: Open, queue: str):
    from openqueue.runtimes.base import decode

    runtime = open_runtime()
    messages = [message(queue) for _ in range(4)]
    answers: list[Published] = list(runtime.publish(messages))
    for _ in range(30):
        runtime.missing(messages, [answer.ref for answer in answers])
    consumer = runtime.consumer([queue], prefetch=10)
    came: list[object] = []

    def all_came() -> bool:
        receipts = consumer.receive(limit=10, timeout=0.5)
        consumer.ack(receipts)
        came.extend(decode(receipt.body)[0] for receipt in receipts)
        return len(came) == 4

    eventually(all_came)
    assert came == [m.run_id for m in messages]
    consumer.close()
