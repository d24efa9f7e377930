"""Redis forgets, dies, is cut off and replaced under load: it costs time, never a run."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import psutil
import pytest
import redis

from openqueue.models import Outbox, Run
from openqueue.processes.sweeps.announcer import Announcer
from openqueue.runtimes.redis import RedisRuntime
from tests.app.crash_tasks import gated, quick
from tests.crash.carriers import RealRedis
from tests.crash.invariants import check
from tests.crash.stage import Gates, Stage, settled
from tests.eventually import eventually
from tests.proxy.proxy import Proxy
from tests.servers.redis import Redis, Sentinel

pytestmark = pytest.mark.crash


def forget(server: Redis) -> None:
    with server.client as admin:
        admin.flushall()


def crash(server: Redis) -> None:
    server.stop(signal.SIGKILL)
    server.start()


def cut_off(server: Redis) -> None:
    with server.client as admin:
        admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


def freeze(server: Redis) -> None:
    server.send(signal.SIGSTOP)
    threading.Event().wait(1)
    server.send(signal.SIGCONT)


@pytest.mark.sqlite_too
@pytest.mark.parametrize("befalls", [forget, crash, cut_off, freeze])
def test_whatever_befalls_redis_under_load_every_run_ends_and_no_body_runs_twice(
    stage: Stage, gates: Gates, on_redis: RealRedis, befalls: Callable[[Redis], None]
):
    for _ in range(2):
        stage.worker()
    runs: list[Any] = []
    for _ in range(6):
        runs += quick.trigger_many([{"longest": 0.05}] * 10)
        befalls(on_redis.server)
        runs.append(quick.trigger())
        settled(runs[0])
    for run in runs:
        assert settled(run).attempt == 1
        assert gates.starts(run) == [1]
    eventually(lambda: on_redis.depth == 0)
    check(gates, quiet=True)


def test_while_redis_is_out_of_reach_bodies_go_on_and_the_worker_waits_quietly_and_comes_back(
    stage: Stage, gates: Gates, on_redis: RealRedis
):
    with Proxy(on_redis.port) as proxy:
        stage.settings["RUNTIMES"]["default"] = on_redis.settings(proxy.port)
        worker = psutil.Process(stage.worker().pid)
        run = gated.trigger()
        gates.wait_inside(run)
        proxy.blackhole()
        gates.open()
        settled(run)
        eventually(lambda: len(proxy.connections) > 2)
        before, since = sum(worker.cpu_times()[:2]), time.monotonic()
        eventually(lambda: time.monotonic() - since > 4)
        assert (sum(worker.cpu_times()[:2]) - before) / (time.monotonic() - since) < 0.05
        proxy.reset()
        proxy.pass_on()
        back = time.monotonic()
        settled(quick.trigger())
        assert time.monotonic() - back < 10


def test_what_gathered_while_redis_was_away_comes_by_priority(
    stage: Stage, gates: Gates, on_redis: RealRedis
):
    on_redis.stop()
    runs = [quick.using(priority=priority).trigger() for priority in (0, -5, 7, 0, 100, -100, 7)]
    eventually(lambda: not Outbox.objects.filter(announced_at__isnull=False).exists())
    on_redis.start()
    announcer = Announcer()
    eventually(lambda: announcer.step() + Outbox.objects.filter(announced_at__isnull=False).count() >= 7)
    eventually(lambda: announcer.step() == 0 and on_redis.depth == 7)
    stage.worker("--concurrency", "1", "--no-scheduler")
    for run in runs:
        settled(run)
    priorities = {str(row.pk): row.priority for row in Run.objects.all()}
    assert [priorities[effect.run] for effect in gates.effects()] == [100, 7, 7, 0, 0, -5, -100]


def test_a_healthy_backlog_is_not_amplified(on_redis: RealRedis, settings: Any):
    """Announced again every second for a while: what is there is not sent once more."""
    settings.OPENQUEUE = settings.OPENQUEUE | {"REPUBLISH_AFTER": 0.5}
    quick.trigger_many([{}] * 2_000)
    eventually(lambda: on_redis.depth == 2_000)
    announcer, until = Announcer(), time.monotonic() + 5
    while time.monotonic() < until:
        announcer.step()
        assert on_redis.depth == 2_000
    assert Outbox.objects.filter(tries__gt=1).count() == 2_000, "nothing was looked at again"


@pytest.fixture
def watched(redis_server: Redis) -> Iterator[tuple[Redis, Redis, Sentinel]]:
    """A primary, its replica, and who watches them."""
    with ExitStack() as stack:
        primary = Redis()
        replica = Redis(password=primary.password, replicaof=f"127.0.0.1 {primary.port}")
        sentinel = Sentinel(primary)
        for server in (primary, replica, sentinel):
            server.open()
            stack.callback(server.close)
        with sentinel.client as admin:
            eventually(lambda: admin.sentinel_master(sentinel.service)["num-slaves"] == 1, within=30)
        yield primary, replica, sentinel


def test_a_failover_that_lost_writes_costs_no_run(
    stage: Stage, gates: Gates, watched: tuple[Redis, Redis, Sentinel], settings: Any
):
    primary, replica, sentinel = watched
    options = {
        "url": f"redis://openqueue:{primary.password}@",
        "sentinels": [f"127.0.0.1:{sentinel.port}"],
        "service": sentinel.service,
        "sentinel_username": "openqueue",
        "sentinel_password": sentinel.password,
        "in_flight": 2,
        "timeout": 2,
    }
    entry = {"BACKEND": "openqueue.runtimes.redis.RedisRuntime", "OPTIONS": options}
    stage.settings["RUNTIMES"] = {"default": entry}
    settings.OPENQUEUE = stage.settings
    early = quick.trigger_many([{}] * 10)
    with replica.client as admin:
        eventually(lambda: admin.zcard("{openqueue:default}:waiting") == 10)
    with primary.client as admin:
        admin.execute_command("ACL", "SETUSER", "replica", "-psync")
        admin.execute_command("CLIENT", "KILL", "TYPE", "replica")
    lost = quick.trigger_many([{}] * 10)
    runtime = RedisRuntime("look", **options)
    eventually(lambda: runtime.inspect("default").depth == 20)
    primary.stop(signal.SIGKILL)  # at once: a replica that was cut off for ten seconds is not chosen
    stage.worker()
    late = quick.trigger_many([{}] * 10)
    for run in [*early, *lost, *late]:
        assert settled(run, within=60).attempt == 1
        assert gates.starts(run) == [1]
    with replica.client as admin:
        assert admin.info("replication")["role"] == "master"
    runtime.close()
    check(gates, quiet=True)


def test_a_worker_starts_while_redis_is_down_and_serves_when_it_is_there(
    stage: Stage, gates: Gates, on_redis: RealRedis
):
    on_redis.stop()
    stage.worker()
    run = quick.trigger()
    with pytest.raises(redis.ConnectionError), on_redis.server.client as admin:
        admin.ping()
    on_redis.start()
    assert settled(run).attempt == 1
