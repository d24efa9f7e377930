"""RabbitMQ in front of PostgreSQL, beside Redis and the database runtime in the same run."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from openqueue import runtimes
from openqueue.core import post_commit
from openqueue.management.bench.tasks import noop
from openqueue.models import Outbox
from openqueue.processes.sweeps.announcer import Announcer
from openqueue.store import store
from tests.bench.measuring import TRIES, assert_once, slowness
from tests.servers.rabbitmq import ADMIN, RabbitMQ
from tests.servers.redis import Redis

pytestmark = [pytest.mark.bench, pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]

Environment = Callable[..., dict[str, str]]
RABBITMQ = "openqueue.runtimes.rabbitmq.RabbitMQRuntime"
ROWS = 10_000
HEAD_START = timedelta(seconds=3)
"""More than a row waits for the publisher of its process."""


@pytest.fixture
def three(process_environment: Environment, rabbitmq_server: RabbitMQ, redis_server: Redis) -> dict[str, str]:
    runtimes = {
        "rabbitmq": {
            "BACKEND": RABBITMQ,
            "OPTIONS": {"url": rabbitmq_server.url_of(ADMIN), "management": rabbitmq_server.management},
        },
        "redis": {"BACKEND": "openqueue.runtimes.redis.RedisRuntime", "OPTIONS": {"url": redis_server.url}},
        "default": {"BACKEND": "openqueue.runtimes.database.DatabaseRuntime"},
    }
    return process_environment(OPENQUEUE_TEST_SETTINGS=json.dumps({"RUNTIMES": runtimes}))


def test_it_drains_at_six_tenths_of_redis(three: dict[str, str]) -> None:
    assert_once(
        three,
        "drain",
        "--runs",
        "20000",
        "--runtime",
        "redis,rabbitmq",
        reaches=lambda f, _: f["rabbitmq"]["runs_per_second"] >= 0.6 * f["redis"]["runs_per_second"],
    )


def test_an_idle_worker_begins_soon_and_costs_next_to_nothing(three: dict[str, str]) -> None:
    assert_once(three, "latency", "--runs", "200", "--runtime", "rabbitmq,default", reaches=quick)


def quick(figures: Any, slow: float) -> bool:
    """Tell whether a run begins soon; where the database alone takes long, hardly later than with it alone."""
    told, alone = figures["rabbitmq"], figures["default"]
    begins = told["p50_ms"] < max(15 * slow, 1.25 * alone["p50_ms"])
    return bool(begins and told["idle_cpu_percent"] < max(1.5 * slow, 1.1 * alone["idle_cpu_percent"]))


def test_ten_thousand_rows_are_published_and_confirmed_within_five_seconds(
    rabbitmq_server: RabbitMQ, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.OPENQUEUE = {"RABBITMQ": rabbitmq_server.url}
    monkeypatch.setattr(post_commit, "put", lambda alias, messages: None)  # the sweep has all of it
    queues = ("a", "b", "c", "d")  # a window of 5,000 each
    runtimes.get("default").declare(queues)
    for _ in range(TRIES):
        Outbox.objects.all().delete()
        for queue in queues:
            noop.using(queue=queue).trigger_many([{}] * (ROWS // len(queues)))
        slow = slowness()
        with ThreadPoolExecutor(1) as thread:
            announced, took = thread.submit(announce_all).result()
        sys.stdout.write(f"{announced} rows confirmed in {took:.2f} s, slow by {slow:.2f}\n")
        if announced == ROWS and took < 5 * slow:
            return
    raise AssertionError("10,000 rows take longer; the figures are above")


def announce_all() -> tuple[int, float]:
    """Do as the announcing sweep does, on a thread and a connection of its own; return how many, and how long."""
    store().pin_plans()
    announcer, announced, began = Announcer(), 0, time.monotonic()
    try:
        while announced < ROWS and time.monotonic() - began < 30:
            announced += announcer.step(timezone.now() + HEAD_START)
        return announced, time.monotonic() - began
    finally:
        connections.close_all()
