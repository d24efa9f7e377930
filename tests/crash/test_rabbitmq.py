"""RabbitMQ forgets, dies, is cut off and blocked under load: it costs time, never a run."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from openqueue.models import Outbox, Run
from openqueue.processes.sweeps.announcer import Announcer
from tests.app.crash_tasks import gated, quick
from tests.crash.carriers import RealRabbitMQ
from tests.crash.invariants import check
from tests.crash.stage import RECOVERY, Gates, Stage, kinds, settled
from tests.eventually import eventually
from tests.proxy.proxy import Proxy
from tests.servers.rabbitmq import RabbitMQ

pytestmark = pytest.mark.crash
PATIENCE = RECOVERY + 25
"""Seconds: a node that crashed on a busy machine takes its time."""


def forget(server: RabbitMQ) -> None:
    for name in server.queues():
        server.delete_queue(name)


def crash(server: RabbitMQ) -> None:
    server.stop(signal.SIGKILL)
    server.start()


def restart(server: RabbitMQ) -> None:
    server.stop()
    server.start()


def cut_off(server: RabbitMQ) -> None:
    server.cut_off()


def freeze(server: RabbitMQ) -> None:
    server.send(signal.SIGSTOP)
    threading.Event().wait(1)
    server.send(signal.SIGCONT)


@pytest.mark.parametrize(
    ("befalls", "times"), [(forget, 4), (crash, 1), (restart, 1), (cut_off, 4), (freeze, 4)]
)
def test_whatever_befalls_rabbitmq_under_load_every_run_ends_and_no_body_runs_twice(
    stage: Stage, gates: Gates, on_rabbitmq: RealRabbitMQ, befalls: Callable[[RabbitMQ], None], times: int
):
    for _ in range(2):
        stage.worker()
    runs: list[Any] = []
    for _ in range(times):
        runs += quick.trigger_many([{"longest": 0.05}] * 10)
        befalls(on_rabbitmq.server)
        runs.append(quick.trigger())
        settled(runs[0], within=PATIENCE)
    for run in runs:
        assert settled(run, within=PATIENCE).attempt == 1
        assert gates.starts(run) == [1]
    eventually(lambda: on_rabbitmq.depth == 0)
    check(gates, quiet=True)


def test_what_came_to_a_worker_that_was_killed_goes_to_another_and_is_not_charged(
    stage: Stage, gates: Gates, on_rabbitmq: RealRabbitMQ
):
    """It had taken more than it had room for."""
    first = stage.worker("--concurrency", "2")
    runs = [gated.trigger() for _ in range(2)]
    for run in runs:
        gates.wait_inside(run)
    waiting = quick.trigger_many([{}] * 20)
    first.kill()
    stage.worker()
    for run in waiting:
        row = settled(run)
        assert (row.attempt, row.crash_count) == (1, 0)
        assert gates.starts(run) == [1]
    gates.open()
    for run in runs:
        assert settled(run).crash_count == 1


def test_a_body_that_outlasts_the_broker_s_patience_keeps_its_worker_connected(
    stage: Stage, gates: Gates, on_rabbitmq: RealRabbitMQ
):
    """Unacknowledged for longer than consumer_timeout a message would end the channel; ours is long acknowledged."""
    on_rabbitmq.server.control("eval", "application:set_env(rabbit, consumer_timeout, 1000).")
    try:
        stage.worker()
        run = gated.trigger()
        gates.wait_inside(run)
        eventually(lambda: on_rabbitmq.depth == 0)
        before = {one["name"] for one in on_rabbitmq.server.connections()}
        since = time.monotonic()
        eventually(lambda: time.monotonic() - since > 4)
        settled(quick.trigger())
        assert before <= {one["name"] for one in on_rabbitmq.server.connections()}
        gates.open()
        assert settled(run).attempt == 1
    finally:
        on_rabbitmq.server.control("eval", "application:set_env(rabbit, consumer_timeout, 1800000).")


def test_the_broker_s_limit_of_deliveries_is_never_what_ends_a_run(
    stage: Stage, gates: Gates, on_rabbitmq: RealRabbitMQ
):
    """A policy lowers it to 2: messages that were given back are dropped, and announced again."""
    vhost = on_rabbitmq.server.vhost
    policy = {"pattern": ".*", "definition": {"delivery-limit": 2}, "apply-to": "queues"}
    on_rabbitmq.server.api("PUT", f"policies/{vhost}/strict", **policy)
    consumer = on_rabbitmq.runtime.consumer(["default"], prefetch=5)
    run = quick.trigger()
    given_back = 0

    def dropped() -> bool:
        nonlocal given_back
        receipts = consumer.receive(limit=1, timeout=0.2)
        consumer.release(receipts)
        given_back += len(receipts)
        return given_back >= 3

    eventually(dropped)
    consumer.close()
    stage.worker()
    row = settled(run)
    assert (row.attempt, row.crash_count) == (1, 0)


def test_while_the_database_is_away_messages_stay_with_the_broker(
    stage: Stage, gates: Gates, on_rabbitmq: RealRabbitMQ, proxy: Proxy
):
    """The worker ends its consumers: it neither holds what it cannot claim, nor takes and gives it back in a loop."""
    stage.worker("--no-scheduler", port=proxy.port)
    settled(quick.trigger())
    proxy.refuse()
    runs = quick.trigger_many([{}] * 5)
    name = "openqueue.default"
    eventually(lambda: on_rabbitmq.server.queues()[name].get("messages_ready") == 5, within=RECOVERY)
    eventually(lambda: on_rabbitmq.server.queues()[name].get("consumers") == 0)
    proxy.pass_on()
    for run in runs:
        row = settled(run, within=PATIENCE)
        assert (row.attempt, row.crash_count) == (1, 0)


def test_a_server_that_takes_no_messages_is_drained_and_all_runs_when_it_takes_them_again(
    stage: Stage, gates: Gates, on_rabbitmq: RealRabbitMQ
):
    early = quick.trigger_many([{}] * 10)
    eventually(lambda: on_rabbitmq.depth == 10)
    with on_rabbitmq.server.short_of("memory"):
        began = time.monotonic()
        late = quick.trigger_many([{}] * 10)
        assert time.monotonic() - began < 2
        stage.worker("--no-scheduler")
        for run in early:
            settled(run)
        assert not Run.objects.filter(pk__in=[run.id for run in late], outcome__isnull=False).exists()
    stage.worker()
    for run in late:
        assert settled(run, within=PATIENCE).attempt == 1


def test_a_worker_that_was_frozen_longer_than_the_heartbeat_comes_back(
    stage: Stage, gates: Gates, on_rabbitmq: RealRabbitMQ
):
    first = stage.worker()
    settled(quick.trigger())
    first.stop()
    eventually(lambda: on_rabbitmq.server.queues()["openqueue.default"].get("consumers") == 0, within=30)
    run = quick.trigger()
    first.go_on()
    assert settled(run, within=PATIENCE).attempt == 1


def test_while_rabbitmq_is_out_of_reach_bodies_go_on_and_the_worker_waits_quietly_and_comes_back(
    stage: Stage, gates: Gates, on_rabbitmq: RealRabbitMQ
):
    with Proxy(on_rabbitmq.port) as proxy:
        stage.settings["RUNTIMES"]["default"] = on_rabbitmq.settings(proxy.port)
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


def test_a_healthy_backlog_is_not_amplified(on_rabbitmq: RealRabbitMQ, settings: Any):
    """Announced again every second for a while: what is there is not sent once more."""
    settings.OPENQUEUE = settings.OPENQUEUE | {"REPUBLISH_AFTER": 0.5}
    quick.trigger_many([{}] * 2_000)
    runtime = on_rabbitmq.runtime
    eventually(lambda: runtime.inspect("default").depth == 2_000)
    announcer, until = Announcer(), time.monotonic() + 5
    while time.monotonic() < until:
        announcer.step()
        assert (runtime.inspect("default").depth or 0) <= 2_000
    assert Outbox.objects.filter(tries__gt=1).count() == 2_000, "nothing was looked at again"
    eventually(lambda: runtime.inspect("default").depth == 2_000)


def test_a_worker_starts_while_rabbitmq_is_down_and_serves_when_it_is_there(
    stage: Stage, gates: Gates, on_rabbitmq: RealRabbitMQ
):
    on_rabbitmq.stop()
    stage.worker()
    run = quick.trigger()
    on_rabbitmq.start()
    assert settled(run, within=PATIENCE).attempt == 1


def test_a_queue_that_was_made_otherwise_stops_its_worker_with_a_word_and_nothing_is_lost(
    stage: Stage, gates: Gates, on_rabbitmq: RealRabbitMQ
):
    vhost = on_rabbitmq.server.vhost
    on_rabbitmq.server.api("PUT", f"queues/{vhost}/openqueue.default", durable=True, arguments={})
    worker = stage.worker()
    run = quick.trigger()
    eventually(lambda: "'openqueue.default' exists with another" in worker.said())
    on_rabbitmq.server.delete_queue("openqueue.default")
    assert settled(run).attempt == 1
    assert kinds(run)[:2] == ["triggered", "started"]


def test_a_delay_outlives_the_broker_and_the_worker_and_ends_when_it_should(
    stage: Stage, gates: Gates, on_rabbitmq: RealRabbitMQ
):
    first = stage.worker()
    run = quick.using(delay=15).trigger()
    retried = quick.using(backoff=15).trigger(failures=1)
    eventually(lambda: Run.objects.get(pk=retried.id).status == "retrying")
    first.kill()
    forget(on_rabbitmq.server)
    on_rabbitmq.server.cut_off()
    stage.worker()
    row = settled(run, within=PATIENCE)
    assert (row.attempt, gates.starts(run)) == (1, [1])
    assert row.started_at is not None
    late = (row.started_at - row.scheduled_for).total_seconds()
    assert 0 <= late < 3
    assert settled(retried, within=PATIENCE).attempt == 2
    assert gates.starts(retried) == [1, 2]
