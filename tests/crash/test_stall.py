"""Connections that swallow an answer: the watchdog has others do the work, and nothing is lost, doubled or charged."""

from __future__ import annotations

import signal

import pytest

from openqueue.models import Worker
from tests.app.crash_tasks import gated, hog, quick
from tests.crash.stage import CLAIM, SETTLE, Gates, Stage, kinds, late_results, settled
from tests.eventually import eventually
from tests.proxy.proxy import Proxy

pytestmark = [pytest.mark.crash, pytest.mark.postgresql]

BEAT = b"UPDATE openqueue_worker"


def test_a_claim_that_is_never_answered_does_not_stop_the_intake(stage: Stage, gates: Gates, proxy: Proxy):
    worker = stage.worker(port=proxy.port)
    proxy.lose_the_answer_to(CLAIM, silently=True)
    run = quick.trigger()
    row = settled(run, within=40)
    assert proxy.lost == 1
    assert (row.attempt, row.crash_count) == (1, 0)
    assert gates.starts(run) == [1]
    assert kinds(run) == ["triggered", "started", "released", "started", "completed"]
    assert len(worker.incarnations) == 1
    assert "part=intake-default" in worker.said()
    worker.send(signal.SIGTERM)
    assert worker.ends(within=15) == 0


def test_a_settle_that_is_never_answered_is_sent_again(stage: Stage, gates: Gates, proxy: Proxy):
    run = gated.trigger()
    worker = stage.worker(port=proxy.port)
    gates.wait_inside(run)
    proxy.lose_the_answer_to(SETTLE, silently=True)
    gates.open()
    assert settled(run).attempt == 1
    other = quick.trigger()
    assert settled(other, within=40).attempt == 1
    assert proxy.lost == 1
    assert (kinds(run).count("completed"), late_results(run)) == (1, 0)
    assert "part=recorder" in worker.said()


def test_a_heartbeat_that_is_never_answered_costs_no_lease(stage: Stage, gates: Gates, proxy: Proxy):
    run = gated.trigger()
    worker = stage.worker(port=proxy.port, LEASE=12, HEARTBEAT=1)
    gates.wait_inside(run)
    proxy.lose_the_answer_to(BEAT, silently=True)
    eventually(lambda: "part=heartbeat" in worker.said(), within=20)
    stage.worker(LEASE=12, HEARTBEAT=1)
    eventually(lambda: "makes progress again" in worker.said())
    gates.open()
    assert (settled(run).attempt, settled(run).crash_count) == (1, 0)
    assert len(worker.incarnations) == 1


def test_an_overloaded_worker_says_so_claims_less_and_recovers(stage: Stage, gates: Gates):
    worker = stage.worker("--concurrency", "8", LEASE=30, HEARTBEAT=1)
    hogs = [hog.trigger(1.5) for _ in range(2)]
    for run in hogs:
        gates.wait_inside(run, within=30)
    eventually(lambda: "overloaded" in worker.said(), within=40)
    eventually(lambda: Worker.objects.get(pid=worker.pid).lag > 0, within=40)
    waiting = [gated.trigger() for _ in range(4)]
    other = stage.worker("--concurrency", "4", LEASE=30, HEARTBEAT=1)
    for run in waiting:  # all on the other, though the first has six free slots
        gates.wait_inside(run, within=30)
    assert {effect.pid for run in waiting for effect in gates.effects(run)} == {other.pid}
    gates.open()
    for run in [*hogs, *waiting]:
        assert settled(run, within=40).attempt == 1
    eventually(lambda: "no longer overloaded" in worker.said(), within=40)
    eventually(lambda: Worker.objects.get(pid=worker.pid).lag == 0)
