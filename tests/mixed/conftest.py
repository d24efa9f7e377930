from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from openqueue import runtimes
from tests.crash.conftest import gates, stage
from tests.crash.stage import Stage
from tests.servers.kafka import Kafka
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import Redis

__all__ = ["gates", "mixed", "stage"]

RUNTIMES = ("default", "redis", "rabbitmq", "kafka")
"""`default` is the database itself."""
PAIRS = tuple((a, b) for a in RUNTIMES for b in RUNTIMES if a != b)
KINDS = {
    "redis": "openqueue.runtimes.redis.RedisRuntime",
    "rabbitmq": "openqueue.runtimes.rabbitmq.RabbitMQRuntime",
    "kafka": "openqueue.runtimes.kafka.KafkaRuntime",
}


@pytest.fixture
def mixed(
    stage: Stage, settings: Any, redis_server: Redis, rabbitmq_server: RabbitMQ, kafka_server: Kafka
) -> Iterator[Stage]:
    """A project with four runtimes: a queue of its own on each, and one for each pair, which begins on the first."""
    options: dict[str, dict[str, Any]] = {
        "redis": {"url": redis_server.url},
        "rabbitmq": {"url": rabbitmq_server.url},
        "kafka": kafka_server.options | {"group_id": f"openqueue-{uuid4().hex[:8]}"},
    }
    stage.settings["RUNTIMES"] = {
        alias: {"BACKEND": kind, "OPTIONS": options[alias]} for alias, kind in KINDS.items()
    }
    stage.settings["QUEUES"] = {f"on-{alias}": {"runtime": alias} for alias in RUNTIMES} | {
        f"{a}-to-{b}": {"runtime": a} for a, b in PAIRS
    }
    settings.OPENQUEUE = stage.settings
    yield stage
    stage.close()  # before their brokers go
    runtimes.close_all()
