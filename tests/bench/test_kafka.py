"""Kafka in front of PostgreSQL, beside Redis and the database runtime in the same run."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest

from openqueue import runtimes
from openqueue.core import post_commit
from openqueue.management.bench.tasks import noop
from openqueue.models import Outbox
from openqueue.processes.sweeps.announcer import Announcer
from openqueue.store import store
from tests.bench.measuring import TRIES, assert_once, slowness
from tests.eventually import eventually
from tests.servers.kafka import Kafka
from tests.servers.redis import Redis

pytestmark = [pytest.mark.bench, pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]

Environment = Callable[..., dict[str, str]]


@pytest.fixture
def both(process_environment: Environment, redis_server: Redis, kafka_server: Kafka) -> dict[str, str]:
    runtimes = {
        "kafka": {"BACKEND": "openqueue.runtimes.kafka.KafkaRuntime", "OPTIONS": kafka_server.options},
        "redis": {"BACKEND": "openqueue.runtimes.redis.RedisRuntime", "OPTIONS": {"url": redis_server.url}},
        "default": {"BACKEND": "openqueue.runtimes.database.DatabaseRuntime"},
    }
    return process_environment(OPENQUEUE_TEST_SETTINGS=json.dumps({"RUNTIMES": runtimes}))


def test_kafka_drains_two_fifths_of_what_redis_drains(both: dict[str, str]) -> None:
    assert_once(
        both,
        "drain",
        "--runs",
        "20000",
        "--runtime",
        "kafka,redis",
        reaches=lambda f, _: f["kafka"]["runs_per_second"] >= 0.4 * f["redis"]["runs_per_second"],
    )


def test_an_idle_worker_begins_soon_and_costs_little(both: dict[str, str]) -> None:
    assert_once(
        both,
        "latency",
        "--runs",
        "200",
        "--runtime",
        "kafka,default",
        reaches=lambda f, slow: (
            f["kafka"]["p50_ms"] < 30 * slow and f["kafka"]["idle_cpu_percent"] < 1.5 * slow
        ),
    )


def test_ten_thousand_rows_are_published_within_five_seconds_with_all_replicas_confirming(
    both: dict[str, str], kafka_server: Kafka, settings: Any
) -> None:
    """The announcing sweep alone, as after an outage: rows are leased, published, marked."""
    entry = {"BACKEND": "openqueue.runtimes.kafka.KafkaRuntime", "OPTIONS": kafka_server.options}
    settings.OPENQUEUE = {"RUNTIMES": {"default": entry}, "QUEUES": {}}
    queues = [f"outbox-{number}" for number in range(2)]
    runtimes.get("default").declare(queues)
    for _ in range(TRIES):
        slow = slowness()
        Outbox.objects.all().delete()
        with patch.object(post_commit, "announce_on_commit"):
            for queue in queues:  # two, since a window holds 5,000 of a queue
                noop.using(queue=queue).trigger_many([{}] * 5_000)
        Outbox.objects.update(announce_at=store().clock(None))
        announcer, began, sent = Announcer(), time.perf_counter(), 0
        while sent < 10_000:
            told = announcer.step()
            assert told, f"{sent} of 10,000"
            sent += told
        took = time.perf_counter() - began
        sys.stdout.write(f"10,000 rows published in {took:.2f} s, slow by {slow:.2f}\n")
        runtimes.get("default").close()
        with kafka_server.admin() as admin:
            admin.delete_topics([f"openqueue.{queue}" for queue in queues])
            eventually(lambda admin=admin: not {f"openqueue.{q}" for q in queues} & set(admin.list_topics()))
        runtimes.close_all()
        if took < 5 * slow:
            return
    raise AssertionError(f"{took:.2f} s")
