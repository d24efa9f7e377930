"""Offsets follow the claims: nothing that was not settled is ever passed, and nothing settled comes again."""

from __future__ import annotations

import pytest

from openqueue.runtimes.base import decode
from openqueue.runtimes.kafka import KafkaRuntime
from tests.eventually import eventually
from tests.kafka.conftest import committed, fresh, message, offsets, receive
from tests.servers.kafka import Kafka


@pytest.fixture
def narrow(kafka_server: Kafka):
    """One partition, so that records have an order."""
    runtime = KafkaRuntime("default", **kafka_server.options, **fresh(partitions=1))
    yield runtime
    runtime.close()


def test_acked_out_of_order_the_offset_waits_for_the_first_that_is_open(narrow: KafkaRuntime, queue: str):
    narrow.publish([message(queue) for _ in range(8)])
    consumer = narrow.consumer([queue], prefetch=8)
    receipts = receive(consumer, 8)
    assert offsets(receipts) == [(0, n) for n in range(8)]
    consumer.ack([receipts[n] for n in (1, 2, 5, 7)])
    assert consumer.committed(5)
    assert committed(narrow, queue)[0] in {None, 0}
    consumer.ack([receipts[0]])
    eventually(lambda: committed(narrow, queue) == {0: 3})
    consumer.ack([receipts[n] for n in (3, 4)])
    eventually(lambda: committed(narrow, queue) == {0: 6})
    consumer.close()
    again = narrow.consumer([queue], prefetch=8)
    assert offsets(receive(again, 2)) == [(0, 6), (0, 7)], "from the first that was open, 7 once more"
    again.close()


def test_released_it_comes_again_and_holds_the_offset(narrow: KafkaRuntime, queue: str):
    told = [message(queue) for _ in range(3)]
    narrow.publish(told)
    consumer = narrow.consumer([queue], prefetch=3)
    first, second, third = receive(consumer, 3)
    consumer.ack([second, third])
    for _ in range(4):
        consumer.release([first])
        (first,) = receive(consumer, 1)
        assert decode(first.body)[0] == told[0].run_id
        assert committed(narrow, queue)[0] in {None, 0}
    consumer.ack([first])
    eventually(lambda: committed(narrow, queue) == {0: 3})
    consumer.close()


def test_what_a_consumer_held_when_it_died_comes_to_another(narrow: KafkaRuntime, queue: str):
    """Closed without a word to the database: its claims were never made."""
    told = [message(queue) for _ in range(5)]
    narrow.publish(told)
    consumer = narrow.consumer([queue], prefetch=5)
    consumer.ack(receive(consumer, 5)[:2])
    consumer.close()
    other = narrow.consumer([queue], prefetch=5)
    assert [decode(receipt.body)[0] for receipt in receive(other, 3)] == [one.run_id for one in told[2:]]
    other.close()


def test_a_receipt_of_before_the_deadline_settles_nothing_twice(kafka_server: Kafka, queue: str):
    """Handed out, not settled in time, handed out again: the second settles, the first is heard no more."""
    runtime = KafkaRuntime("default", **kafka_server.options, **fresh(partitions=1, in_flight=0.2))
    runtime.publish([message(queue)])
    consumer = runtime.consumer([queue], prefetch=1)
    (first,) = receive(consumer, 1)
    (second,) = receive(consumer, 1)
    consumer.ack([second])
    consumer.ack([first])
    consumer.release([first])
    assert list(consumer.receive(limit=1, timeout=0.5)) == []
    eventually(lambda: committed(runtime, queue) == {0: 1})
    consumer.close()
    runtime.close()


def test_missing_is_exact(narrow: KafkaRuntime, queue: str):
    told = [message(queue) for _ in range(4)]
    refs = [answer.ref for answer in narrow.publish(told)]
    assert list(narrow.missing(told, refs)) == [False] * 4
    consumer = narrow.consumer([queue], prefetch=4)
    receipts = receive(consumer, 4)
    assert list(narrow.missing(told, refs)) == [False] * 4, "received is not settled"
    consumer.ack(receipts[:3])
    assert list(narrow.missing(told, refs)) == [True, True, True, False]
    last = refs[3]
    assert last is not None
    strange = [None, "", "no ref", last.replace(last[:8], "00000000"), f"{last.rpartition(':')[0]}:99", last]
    assert list(narrow.missing([told[3]] * 6, strange)) == [True] * 5 + [False]
    consumer.close()


def test_a_hundred_are_asked_for_in_as_many_questions_as_one(narrow: KafkaRuntime, queue: str, monkeypatch):
    told = [message(queue) for _ in range(100)]
    refs = [answer.ref for answer in narrow.publish(told)]
    asked = []
    ask = narrow.cluster.ask
    monkeypatch.setattr(narrow.cluster, "ask", lambda question: asked.append(1) or ask(question))
    assert list(narrow.missing(told, refs)) == [False] * 100
    assert len(asked) == 4


def test_of_a_topic_that_was_made_again_everything_is_missing(
    narrow: KafkaRuntime, kafka_server: Kafka, queue: str
):
    told = [message(queue)]
    (before,) = narrow.publish(told)
    with kafka_server.admin() as admin:
        admin.delete_topics([f"openqueue.{queue}"])
    eventually(lambda: narrow.missing(told, [before.ref]) == [True])
    eventually(lambda: narrow.publish(told)[0].error is None)
    assert list(narrow.missing(told, [before.ref])) == [True], "the same offset of another log"
