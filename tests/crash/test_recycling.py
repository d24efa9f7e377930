"""A worker that makes room for a fresh process: between bodies, with nothing lost and nothing charged."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from openqueue.models import Worker
from tests.app.crash_tasks import gated, leaky, quick
from tests.crash.stage import Gates, Stage, kinds, settled
from tests.eventually import eventually

pytestmark = pytest.mark.crash


def attempts(runs: list[Any]) -> set[tuple[int, int]]:
    return {(row.attempt, row.crash_count) for row in (settled(run, within=60) for run in runs)}


@pytest.mark.sqlite_too
def test_after_so_many_runs_it_re_executes_itself_between_bodies(stage: Stage, gates: Gates):
    worker = stage.worker("--concurrency", "2", "--max-runs", "5")
    runs = [quick.trigger(longest=0.5) for _ in range(40)]
    assert attempts(runs) == {(1, 0)}
    assert [len(gates.starts(run)) for run in runs] == [1] * 40
    assert len(worker.incarnations) > 2
    assert {effect.pid for effect in gates.effects()} == {worker.pid}
    worker.send(signal.SIGTERM)
    assert worker.ends(within=20) == 0


def test_a_body_that_runs_is_waited_for_however_long_and_the_runway_goes_elsewhere(
    stage: Stage, gates: Gates
):
    long = gated.trigger()
    worker = stage.worker("--concurrency", "2", "--max-runs", "3", SHUTDOWN_GRACE=0.5)
    gates.wait_inside(long)
    for _ in range(4):
        quick.trigger()
    eventually(lambda: Worker.objects.filter(pid=worker.pid, state="stopping").exists())
    late = quick.trigger()
    other = stage.worker()
    assert settled(late).result["pid"] == other.pid
    assert kinds(long) == ["triggered", "started"]
    gates.open()
    row = settled(long)
    assert (row.attempt, row.result["pid"]) == (1, worker.pid)
    eventually(lambda: len(worker.incarnations) == 2)


def test_a_stop_while_it_waits_begins_the_grace(stage: Stage, gates: Gates):
    long = gated.trigger()
    worker = stage.worker("--concurrency", "2", "--max-runs", "1", SHUTDOWN_GRACE=1)
    gates.wait_inside(long)
    quick.trigger()
    eventually(lambda: Worker.objects.filter(pid=worker.pid, state="stopping").exists())
    worker.send(signal.SIGTERM)
    assert worker.ends(within=8) == 0
    assert kinds(long) == ["triggered", "started", "released"]


def test_a_worker_that_leaks_is_replaced_before_it_has_too_much(stage: Stage):
    stage.worker("--processes", "2", "--concurrency", "1", "--max-rss", "150", wait=False)
    runs = [leaky.trigger(10) for _ in range(60)]
    assert attempts(runs) == {(1, 0)}
    eventually(lambda: Worker.objects.count() > 2)
    assert not Worker.objects.filter(state="lost").exists()


def test_a_change_of_its_code_lets_bodies_end_and_brings_a_fresh_process(
    stage: Stage, gates: Gates, tmp_path: Path
):
    source = tmp_path / "edited_settings.py"
    source.write_text("from tests.settings import *\n")
    environment = stage.environment
    stage.environment = lambda **more: environment(
        **more,
        DJANGO_SETTINGS_MODULE="edited_settings",
        PYTHONPATH=os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2]), *sys.path[:0]]),
    )
    supervisor = stage.worker("--reload", "--concurrency", "2", wait=False)
    eventually(lambda: Worker.objects.filter(state="running").exists(), within=60)
    first = Worker.objects.get().pid
    run = gated.trigger()
    gates.wait_inside(run)
    source.touch()
    eventually(lambda: "changed, reloading" in supervisor.said())
    eventually(lambda: Worker.objects.filter(state="stopping").exists())
    gates.open()
    assert settled(run).attempt == 1
    eventually(lambda: Worker.objects.filter(state="running").exclude(pid=first).exists(), within=60)
    assert quick.trigger().wait(timeout=10)["pid"] != first
    source.write_text("from tests.settings import *\nsyntax error\n")
    eventually(lambda: "SyntaxError" in supervisor.said(), within=60)
    source.write_text("from tests.settings import *\n")
    assert quick.trigger().wait(timeout=60)
    supervisor.send(signal.SIGINT)
    assert supervisor.ends(within=20) == 0
