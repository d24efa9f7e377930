"""Share groups beyond the contract: refusals, five deliveries, and workers that are killed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from openqueue import checks, runtimes
from openqueue.runtimes.kafka import KafkaRuntime
from openqueue.runtimes.kafka.refusals import KafkaFailed
from tests.eventually import eventually
from tests.kafka.conftest import fresh, message, receive
from tests.servers.kafka import Kafka

SHARE = {"client": "confluent", "group_mode": "share"}


@pytest.fixture
def shared(kafka_server: Kafka) -> Iterator[KafkaRuntime]:
    """One partition, which consumers of a share group have in common; as an administrator, who may set its reset."""
    where = {"brokers": [f"127.0.0.1:{kafka_server.ports['ADMIN']}"]}
    runtime = KafkaRuntime("default", **where, **SHARE, **fresh(partitions=1))
    yield runtime
    runtime.close()


def test_a_client_without_share_groups_is_refused_by_check_and_exception(settings: Any):
    entry = {
        "BACKEND": "openqueue.runtimes.kafka.KafkaRuntime",
        "OPTIONS": {"brokers": ["k:9092"], "group_mode": "share"},
    }
    settings.OPENQUEUE = {"RUNTIMES": {"default": entry}}
    (problem,) = checks.runtimes_can_be_made()
    assert (problem.id, "kafka-python has no share groups" in problem.msg) == ("openqueue.E020", True)
    with pytest.raises(ImproperlyConfigured, match="'client': 'confluent'"):
        runtimes.get("default")


def test_a_broker_without_share_groups_is_refused_and_says_what_it_takes(queue: str):
    server = Kafka(group_coordinator_rebalance_protocols="classic,consumer")
    server.format = ("--standalone", "--feature", "share.version=0")
    server.open()
    try:
        runtime = KafkaRuntime("default", **server.options, **SHARE, **fresh())
        runtime.declare([queue])
        consumer = runtime.consumer([queue], prefetch=1)
        with pytest.raises(KafkaFailed, match="share groups"):
            for _ in range(20):
                consumer.receive(limit=1, timeout=1)
        consumer.close()
        runtime.close()
    finally:
        server.close()


def test_more_consumers_than_partitions_have_work(shared: KafkaRuntime, queue: str):
    shared.declare([queue])
    consumers = [shared.consumer([queue], prefetch=1) for _ in range(3)]
    busy = set()

    def take() -> bool:
        shared.publish([message(queue) for _ in range(20)])
        for number, consumer in enumerate(consumers):
            if receipts := consumer.receive(limit=1, timeout=0.5):
                busy.add(number)
                consumer.ack(receipts)
        return len(busy) == len(consumers)

    eventually(take, within=60)
    for consumer in consumers:
        consumer.close()


def test_what_the_broker_gives_away_no_more_is_missing_and_is_announced_again(
    shared: KafkaRuntime, queue: str
):
    """Five deliveries, and the broker puts a record aside: its run must not wait for ever."""
    told = message(queue)
    (sent,) = shared.publish([told])
    consumer = shared.consumer([queue], prefetch=1)
    for _ in range(5):
        consumer.release(receive(consumer, 1))
    eventually(lambda: shared.missing([told], [sent.ref]) == [True], within=20)
    (again,) = shared.publish([told])
    assert again.error is None
    consumer.ack(receive(consumer, 1))
    assert consumer.committed(5)
    consumer.close()


def test_what_nobody_has_room_for_goes_back_to_the_group(
    shared: KafkaRuntime, queue: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("openqueue.runtimes.kafka.share.HOLD", 0.2)
    shared.publish([message(queue) for _ in range(4)])
    full, idle = (shared.consumer([queue], prefetch=1) for _ in range(2))
    kept = receive(full, 1)
    found = receive(idle, 3)
    idle.ack(found)
    full.ack(kept)
    assert full.committed(5)
    assert idle.committed(5)
    eventually(lambda: shared.inspect(queue).depth == 0)
    for consumer in (full, idle):
        consumer.close()
