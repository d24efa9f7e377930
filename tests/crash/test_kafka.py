"""Kafka rebalances, dies and forgets under load, with real workers: it costs time, never a run."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from openqueue.models import Outbox
from tests.app.crash_tasks import gated, quick
from tests.crash.carriers import RealKafka
from tests.crash.invariants import check
from tests.crash.stage import RECOVERY, Gates, Stage, kinds, settled
from tests.eventually import eventually

pytestmark = pytest.mark.crash
PATIENCE = RECOVERY + 30
"""Seconds: a broker that crashed on a busy machine takes its time."""


def crash(kafka: RealKafka) -> None:
    kafka.server.stop(signal.SIGKILL)
    kafka.server.start()


def cut_off(kafka: RealKafka) -> None:
    kafka.front.reset()


def freeze(kafka: RealKafka) -> None:
    kafka.server.send(signal.SIGSTOP)
    threading.Event().wait(4)
    kafka.server.send(signal.SIGCONT)


def members(kafka: RealKafka) -> set[str]:
    """Return who holds partitions of any queue: they are shared out over all queues together."""
    return set(kafka.runtime.cluster.group(kafka.runtime.group)[1].values())


@pytest.mark.parametrize(("befalls", "times"), [(RealKafka.flush, 1), (crash, 1), (cut_off, 4), (freeze, 1)])
def test_whatever_befalls_kafka_under_load_every_run_ends_and_no_body_runs_twice(
    stage: Stage, gates: Gates, on_kafka: RealKafka, befalls: Callable[[RealKafka], None], times: int
):
    stage.settings["RUNTIMES"]["default"] = on_kafka.settings(on_kafka.front.port)
    for _ in range(2):
        stage.worker()
    runs: list[Any] = []
    for _ in range(times):
        runs += quick.trigger_many([{"longest": 0.05}] * 10)
        befalls(on_kafka)
        runs.append(quick.trigger())
        settled(runs[0], within=PATIENCE)
    for run in runs:
        assert settled(run, within=PATIENCE).attempt == 1
        assert gates.starts(run) == [1]
    check(gates, quiet=True)


def test_workers_come_and_go_while_a_body_runs_and_it_runs_once(
    stage: Stage, gates: Gates, on_kafka: RealKafka
):
    """Its partition goes to others and comes back: the offset was committed at the claim, the claim is the lease."""
    stage.worker()
    run = gated.trigger()
    gates.wait_inside(run)
    eventually(lambda: on_kafka.depth == 0)
    for _ in range(2):
        other = stage.worker("--no-scheduler")
        eventually(lambda: len(members(on_kafka)) == 2, within=PATIENCE)
        other.send(signal.SIGTERM)
        other.ends(within=20)
    gates.open()
    assert settled(run).attempt == 1
    assert gates.starts(run) == [1]
    assert kinds(run) == ["triggered", "started", "completed"]


def test_a_body_that_takes_longer_than_the_poll_interval_keeps_its_worker_in_the_group(
    stage: Stage, gates: Gates, on_kafka: RealKafka
):
    options = stage.settings["RUNTIMES"]["default"]["OPTIONS"]
    options["poll_interval"] = options["session_timeout"] = 2
    stage.worker("--concurrency", "1")
    run = gated.trigger()
    gates.wait_inside(run)
    holders = {one.holder for one in on_kafka.runtime.inspect("default").partitions}
    until = time.monotonic() + 7
    eventually(lambda: time.monotonic() > until)
    assert {one.holder for one in on_kafka.runtime.inspect("default").partitions} == holders
    gates.open()
    assert settled(run).attempt == 1
    assert gates.starts(run) == [1]


def test_what_a_killed_worker_had_received_goes_to_another_and_is_not_charged(
    stage: Stage, gates: Gates, on_kafka: RealKafka
):
    """One body runs, thirty announcements wait in its process: those were never claimed."""
    first = stage.worker("--concurrency", "1")
    held = gated.trigger()
    gates.wait_inside(held)
    runs = quick.trigger_many([{}] * 30)
    eventually(lambda: not Outbox.objects.filter(announced_at=None).exists())
    first.kill()
    gates.open()
    stage.worker()
    for run in runs:
        row = settled(run, within=PATIENCE)
        assert (row.attempt, row.crash_count) == (1, 0)
        assert gates.starts(run) == [1]
    assert settled(held, within=PATIENCE).crash_count == 1
    eventually(lambda: on_kafka.depth == 0)


def test_a_slow_body_holds_up_none_behind_it(stage: Stage, gates: Gates, on_kafka: RealKafka):
    """One partition, a body at its head that does not end: what follows it is claimed and ends."""
    stage.settings["RUNTIMES"]["default"]["OPTIONS"]["partitions"] = 1
    stage.worker("--concurrency", "3")
    slow = gated.trigger()
    gates.wait_inside(slow)
    for run in quick.trigger_many([{}] * 20):
        settled(run)
    eventually(lambda: on_kafka.depth == 0)
    gates.open()
    settled(slow)


def test_while_kafka_is_away_a_worker_waits_quietly_and_comes_back(
    stage: Stage, gates: Gates, on_kafka: RealKafka
):
    stage.settings["RUNTIMES"]["default"] = on_kafka.settings(on_kafka.front.port)
    worker = psutil.Process(stage.worker().pid)
    run = gated.trigger()
    gates.wait_inside(run)
    on_kafka.front.blackhole()
    gates.open()
    settled(run)
    before, since = sum(worker.cpu_times()[:2]), time.monotonic()
    eventually(lambda: time.monotonic() - since > 4)
    assert (sum(worker.cpu_times()[:2]) - before) / (time.monotonic() - since) < 0.3
    on_kafka.front.reset()
    on_kafka.front.pass_on()
    settled(quick.trigger(), within=PATIENCE)
