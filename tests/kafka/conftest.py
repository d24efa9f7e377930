from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import uuid4

import pytest

from openqueue.ids import uuid7
from openqueue.runtimes.base import Message, Receipt
from openqueue.runtimes.kafka import KafkaRuntime
from openqueue.runtimes.kafka.consumer import KafkaConsumer
from openqueue.runtimes.kafka.refusals import KafkaFailed
from tests.eventually import eventually
from tests.proxy.proxy import Proxy
from tests.servers.kafka import Kafka


def fresh(**options: Any) -> dict[str, Any]:
    """Return OPTIONS with a group of the test's own."""
    return {"group_id": f"openqueue-{uuid4().hex[:8]}", "partitions": 3, "in_flight": 30} | options


@pytest.fixture
def runtime(kafka_server: Kafka) -> Iterator[KafkaRuntime]:
    runtime = KafkaRuntime("default", **kafka_server.options, **fresh())
    yield runtime
    runtime.close()


@pytest.fixture
def far(own_kafka: Kafka, kafka_proxy: Proxy) -> Iterator[KafkaRuntime]:
    """Reaches its broker through the proxy, and waits a second for anything."""
    options = own_kafka.options_at("PROXY") | fresh(timeout=1, session_timeout=6)
    runtime = KafkaRuntime("default", **options)
    yield runtime
    runtime.close()


@pytest.fixture
def queue() -> str:
    return f"q-{uuid4().hex[:8]}"


def message(queue: str, *, seq: int = 1) -> Message:
    return Message(uuid7(), seq, "shop.any", queue)


def receive(consumer: KafkaConsumer, count: int) -> list[Receipt]:
    """Receive so many, as a worker's loop does: what fails is tried again."""
    receipts: list[Receipt] = []

    def enough() -> bool:
        try:
            receipts.extend(consumer.receive(limit=count - len(receipts), timeout=0.2))
        except KafkaFailed:
            return False
        return len(receipts) >= count

    eventually(enough, within=30)
    return receipts


def offsets(receipts: Sequence[Receipt]) -> list[tuple[int, int]]:
    return [(receipt.origin["partition"], receipt.origin["offset"]) for receipt in receipts]


def committed(runtime: KafkaRuntime, queue: str) -> dict[int, int | None]:
    return {one.number: one.committed for one in runtime.inspect(queue).partitions}
