"""The Kafka runtime keeps the whole contract, on a real broker, as a user with few rights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from openqueue import runtimes
from openqueue.runtimes.base import Runtime
from openqueue.testing.conformance import RuntimeConformance
from tests.servers.kafka import Kafka

pytestmark = pytest.mark.contract("kafka")


class TestKafkaRuntime(RuntimeConformance):
    soon = 60.0  # a group that takes somebody in stands still for as long as its slowest member needs

    @pytest.fixture
    def runtime(self, settings: Any, kafka_server: Kafka) -> Iterator[Runtime]:
        options = kafka_server.options | {
            "group_id": f"openqueue-{uuid4().hex[:8]}",
            "partitions": 3,
            "in_flight": 0.5,
        }
        entry = {"BACKEND": "openqueue.runtimes.kafka.KafkaRuntime", "OPTIONS": options}
        settings.OPENQUEUE = {"RUNTIMES": {"default": entry}, "LEASE": 6, "HEARTBEAT": 0.1}
        yield runtimes.get("default")
        runtimes.close_all()
