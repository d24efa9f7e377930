"""SIGTERM: a worker that is asked to go."""

from __future__ import annotations

import signal
import time

import pytest

from openqueue.models import Outbox, Run, Worker
from tests.app.crash_tasks import agated, gated, quick
from tests.crash.stage import Gates, Stage, kinds, settled
from tests.eventually import eventually
from tests.proxy.proxy import Proxy

pytestmark = pytest.mark.crash


@pytest.mark.sqlite_too
def test_an_idle_worker_goes_at_once_and_says_so(stage: Stage):
    worker = stage.worker()
    began = time.monotonic()
    worker.send(signal.SIGTERM)
    assert worker.ends(within=10) == 0
    assert time.monotonic() - began < 3
    assert [w.state for w in Worker.objects.all()] == ["stopped"]


@pytest.mark.sqlite_too
def test_within_the_grace_a_body_ends_as_usual_and_nothing_new_begins(stage: Stage, gates: Gates):
    runs = [gated.trigger(), agated.trigger()]
    worker = stage.worker()
    for run in runs:
        gates.wait_inside(run)
    worker.send(signal.SIGTERM)
    eventually(lambda: Worker.objects.filter(state="stopping").exists(), within=5)
    late = quick.trigger()
    gates.open()
    assert worker.ends(within=10) == 0
    for run in runs:
        assert settled(run).attempt == 1
        assert kinds(run) == ["triggered", "started", "completed"]
    assert gates.starts(late) == []
    assert Run.objects.get(pk=late.id).status == "queued"


@pytest.mark.postgresql
@pytest.mark.parametrize("signals", [1, 2])
def test_beyond_the_grace_or_told_twice_it_gives_the_run_back_and_another_starts_it_at_once(
    runtime: str, stage: Stage, gates: Gates, signals: int
):
    run = gated.trigger()
    first = stage.worker(SHUTDOWN_GRACE=1 if signals == 1 else 60)
    gates.wait_inside(run)
    second = stage.worker()
    first.send(signal.SIGTERM)
    if signals == 2:
        eventually(lambda: Worker.objects.filter(state="stopping").exists(), within=5)
        first.send(signal.SIGTERM)
    eventually(lambda: "released" in kinds(run), within=6)
    released = time.monotonic()
    eventually(lambda: gates.starts(run) == [1, 1])
    assert time.monotonic() - released < 3
    gates.open()
    row = settled(run)
    assert (row.attempt, row.crash_count, row.result["pid"]) == (1, 0, second.pid)
    assert kinds(run) == ["triggered", "started", "released", "started", "completed"]
    assert first.ends(within=10) == 0


@pytest.mark.postgresql
@pytest.mark.parametrize("way", ["refuse", "blackhole"])
def test_it_goes_while_the_database_is_away_and_its_run_is_found_later(
    stage: Stage, gates: Gates, proxy: Proxy, way: str
):
    run = gated.trigger()
    worker = stage.worker(port=proxy.port, SHUTDOWN_GRACE=1)
    gates.wait_inside(run)
    getattr(proxy, way)()
    worker.send(signal.SIGTERM)
    worker.ends(within=1 + 5 + 1)
    gates.open()
    stage.worker()
    row = settled(run)
    assert (row.attempt, row.crash_count) == (2, 1)
    assert not Outbox.objects.exists()
