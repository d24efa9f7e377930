"""Redis in front of PostgreSQL, beside the database runtime in the same run."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import pytest

from openqueue.management.bench.tasks import noop
from tests.bench.measuring import TRIES, assert_once
from tests.proxy.proxy import Proxy
from tests.servers.redis import Redis

pytestmark = [pytest.mark.bench, pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]

Environment = Callable[..., dict[str, str]]
BOTH = ("--runtime", "redis,default")


@pytest.fixture
def both(process_environment: Environment, redis_server: Redis) -> dict[str, str]:
    runtimes = {
        "redis": {"BACKEND": "openqueue.runtimes.redis.RedisRuntime", "OPTIONS": {"url": redis_server.url}},
        "default": {"BACKEND": "openqueue.runtimes.database.DatabaseRuntime"},
    }
    return process_environment(OPENQUEUE_TEST_SETTINGS=json.dumps({"RUNTIMES": runtimes}))


def test_a_run_takes_little_of_broker_server_and_worker(both: dict[str, str]) -> None:
    assert_once(
        both,
        "drain",
        "--runs",
        "20000",
        *BOTH,
        reaches=lambda f, slow: f["redis"]["cpu_ms_per_run"] <= 0.28 * slow,
    )


def test_an_idle_worker_begins_at_once_and_costs_next_to_nothing(both: dict[str, str]) -> None:
    assert_once(both, "latency", "--runs", "200", *BOTH, reaches=quick)


def quick(figures: Any, slow: float) -> bool:
    """Tell whether a run begins at once; where the database alone takes long, hardly later than with it alone."""
    redis, alone = figures["redis"], figures["default"]
    begins = redis["p50_ms"] < 5 * slow and redis["p99_ms"] < 20 * slow
    as_alone = redis["p50_ms"] < 1.25 * alone["p50_ms"] and redis["p99_ms"] < 2 * alone["p99_ms"]
    return (begins or as_alone) and redis["idle_cpu_percent"] < max(1 * slow, 1.1 * alone["idle_cpu_percent"])


@pytest.mark.parametrize("how", ["refused", "black hole"])
def test_with_redis_away_a_trigger_takes_no_longer(how: str, redis_server: Redis, settings: Any) -> None:
    """A hundred triggers while Redis is there, a hundred while it is not, five times by turns."""
    with Proxy(redis_server.port) as proxy:
        url = redis_server.url.replace(f":{redis_server.port}/", f":{proxy.port}/")
        settings.OPENQUEUE = {"REDIS": url}
        noop.trigger()
        for _ in range(TRIES):
            there, away = [], []
            for _ in range(5):
                there += triggers()
                proxy.refuse() if how == "refused" else proxy.blackhole()
                away += triggers()
                proxy.reset()
                proxy.pass_on()
            ratio = median(away) / median(there)
            sys.stdout.write(
                f"redis {how}: {median(away) * 1000:.3f} ms, there: {median(there) * 1000:.3f} ms\n"
            )
            if ratio <= 1.1:
                return
    raise AssertionError(f"a trigger takes {ratio:.2f} times as long")


def triggers() -> list[float]:
    took = []
    for _ in range(100):
        began = time.perf_counter()
        noop.trigger()
        took.append(time.perf_counter() - began)
    return took
