"""Kafka goes away in every way a network knows: nothing hangs, and the same objects go on when it is back."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from openqueue.runtimes.base import decode
from openqueue.runtimes.kafka import KafkaRuntime
from openqueue.runtimes.kafka.consumer import KafkaConsumer
from openqueue.runtimes.kafka.refusals import KafkaFailed
from tests.eventually import eventually
from tests.kafka.conftest import committed, fresh, message, receive
from tests.proxy.proxy import Proxy
from tests.servers.kafka import Kafka


@pytest.fixture
def consumer(far: KafkaRuntime, queue: str) -> Iterator[KafkaConsumer]:
    far.declare([queue])
    consumer = far.consumer([queue], prefetch=5)
    eventually(lambda: consumer.tenures)
    yield consumer
    consumer.close()


def publish(runtime: KafkaRuntime, queue: str):
    told = message(queue)
    eventually(lambda: runtime.publish([told])[0].error is None, within=30, every=0.2)
    return told


def lag(runtime: KafkaRuntime, queue: str) -> int | None:
    try:
        return runtime.inspect(queue).lag
    except KafkaFailed:  # an old connection is told so by the first questions after a restart
        return None


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_after_a_restart_the_same_consumer_and_producer_go_on(
    own_kafka: Kafka, far: KafkaRuntime, consumer: KafkaConsumer, queue: str, how: signal.Signals
):
    told = publish(far, queue)
    (receipt,) = receive(consumer, 1)
    assert decode(receipt.body)[0] == told.run_id
    consumer.ack([receipt])
    assert consumer.committed(5)
    own_kafka.stop(how)
    assert far.publish([message(queue)])[0].error is not None
    assert not far.health().ok
    own_kafka.start()
    told = publish(far, queue)
    seen: set[object] = set()

    def came() -> bool:
        receipts = consumer.receive(limit=9, timeout=0.2)
        consumer.ack(receipts)
        seen.update(decode(receipt.body)[0] for receipt in receipts)
        return told.run_id in seen

    eventually(came, within=30)
    eventually(lambda: lag(far, queue) == 0)


def test_a_frozen_broker_is_waited_for_no_longer_than_any(own_kafka: Kafka, far: KafkaRuntime, queue: str):
    publish(far, queue)
    own_kafka.send(signal.SIGSTOP)
    try:
        began = time.monotonic()
        assert not far.publish([message(queue)])[0].certain
        assert not far.health().ok
        with pytest.raises(KafkaFailed):
            far.inspect(queue)
        assert time.monotonic() - began < 12
    finally:
        own_kafka.send(signal.SIGCONT)
    publish(far, queue)


def test_a_member_that_finds_no_coordinator_says_so_and_is_replaced(
    own_kafka: Kafka, far: KafkaRuntime, consumer: KafkaConsumer, queue: str
):
    publish(far, queue)
    receive(consumer, 1)
    own_kafka.send(signal.SIGSTOP)
    try:
        eventually(lambda: consumer.error, within=60)
        with pytest.raises(KafkaFailed):
            eventually(lambda: consumer.receive(limit=1, timeout=0.1), within=10)
    finally:
        own_kafka.send(signal.SIGCONT)
    told = publish(far, queue)

    def came() -> bool:
        with suppress(KafkaFailed):  # until the next member has joined
            return told.run_id in {decode(r.body)[0] for r in consumer.receive(limit=9, timeout=0.5)}
        return False

    eventually(came, within=60)


def test_health_answers_within_two_seconds_in_a_black_hole(own_kafka: Kafka, kafka_proxy: Proxy):
    runtime = KafkaRuntime("default", **own_kafka.options_at("PROXY"), **fresh(timeout=3))
    assert runtime.health().ok
    kafka_proxy.blackhole()
    began = time.monotonic()
    health = runtime.health()
    assert time.monotonic() - began < 2.5
    assert not health.ok
    assert own_kafka.password not in health.detail
    kafka_proxy.reset()
    kafka_proxy.pass_on()
    eventually(lambda: runtime.health().ok)
    runtime.close()


def test_a_consumer_opened_while_nobody_is_there_says_so_and_serves_later(
    own_kafka: Kafka, kafka_proxy: Proxy, queue: str
):
    runtime = KafkaRuntime("default", **own_kafka.options_at("PROXY"), **fresh(timeout=1))
    publish(runtime, queue)
    runtime.close()
    kafka_proxy.refuse()
    threads = threading.active_count()
    consumer = runtime.consumer([queue], prefetch=1)

    def fails() -> bool:
        with pytest.raises(KafkaFailed, match="Kafka at"):
            while not consumer.receive(limit=1, timeout=0.5):
                pass
        return True

    assert fails()
    until = time.monotonic() + 5
    eventually(lambda: time.monotonic() > until)
    assert threading.active_count() <= threads + 3, "each attempt must take its threads along"
    kafka_proxy.pass_on()
    receive(consumer, 1)
    consumer.close()
    runtime.close()


def test_a_commit_whose_answer_is_lost_is_sent_again(
    far: KafkaRuntime, kafka_proxy: Proxy, consumer: KafkaConsumer, queue: str
):
    publish(far, queue)
    receipts = receive(consumer, 1)
    kafka_proxy.lose_the_answer_to(b"OffsetCommit")
    consumer.ack(receipts)
    eventually(lambda: kafka_proxy.lost)
    publish(far, queue)
    consumer.ack(receive(consumer, 1))
    eventually(lambda: lag(far, queue) == 0, within=30)
    assert sum(offset or 0 for offset in committed(far, queue).values()) == 2


def test_connections_that_are_cut_again_and_again_do_not_stop_the_flow(
    far: KafkaRuntime, kafka_proxy: Proxy, consumer: KafkaConsumer, queue: str
):
    told, came = set(), set()
    for _ in range(10):
        told.add(publish(far, queue).run_id)
        kafka_proxy.reset()

    def all_came() -> bool:
        receipts = consumer.receive(limit=20, timeout=0.2)
        consumer.ack(receipts)
        came.update(decode(receipt.body)[0] for receipt in receipts)
        return told <= came

    eventually(all_came, within=60)
