"""Kafka by confluent-kafka, and its share groups, beside Redis in the same run."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.bench.measuring import assert_once
from tests.servers.kafka import Kafka
from tests.servers.redis import Redis

pytestmark = [pytest.mark.bench, pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]


def test_confluent_kafka_drains_seven_tenths_of_what_redis_drains(
    process_environment: Callable[..., dict[str, str]], redis_server: Redis, kafka_server: Kafka
) -> None:
    kafka = "openqueue.runtimes.kafka.KafkaRuntime"
    options = kafka_server.options | {"client": "confluent"}
    runtimes = {
        "kafka": {"BACKEND": kafka, "OPTIONS": options},
        "redis": {"BACKEND": "openqueue.runtimes.redis.RedisRuntime", "OPTIONS": {"url": redis_server.url}},
    }
    environment = process_environment(OPENQUEUE_TEST_SETTINGS=json.dumps({"RUNTIMES": runtimes}))
    assert_once(
        environment,
        "drain",
        "--runs",
        "20000",
        "--runtime",
        "kafka,redis",
        reaches=lambda f, _: f["kafka"]["runs_per_second"] >= 0.7 * f["redis"]["runs_per_second"],
    )
