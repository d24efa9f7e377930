"""`--processes 2`: a supervisor, its signals, and its workers that die."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from openqueue.models import Run, Worker
from tests.app.crash_tasks import deadly, gated, parent, reader, stuck
from tests.crash.stage import Gates, Stage, WorkerProcess, kinds, settled
from tests.eventually import eventually
from tests.proxy.proxy import Proxy

pytestmark = pytest.mark.crash

LONG = {"LEASE": 60, "HEARTBEAT": 1}
"""A lease that no test waits for: what comes back, the supervisor gave back."""


def alive() -> set[int]:
    return set(Worker.objects.filter(state="running").values_list("pid", flat=True))


def where(gates: Gates, run: Any) -> int:
    """Return the process that the first body of a run is in."""
    return gates.effects(run)[0].pid


@pytest.fixture
def supervised(stage: Stage) -> WorkerProcess:
    stage.settings |= LONG
    supervisor = stage.worker("--processes", "2", "--concurrency", "2", wait=False)
    eventually(lambda: len(alive()) == 2, within=60)
    assert supervisor.pid not in alive()
    return supervisor


def begun(gates: Gates, count: int = 3) -> list[Any]:
    """Trigger so many runs that wait at their gates, some in each process."""
    runs = [gated.trigger() for _ in range(count)]
    for run in runs:
        gates.wait_inside(run)
    return runs


@pytest.mark.sqlite_too
def test_a_killed_child_is_replaced_and_its_runs_are_given_back_at_once(
    supervised: WorkerProcess, gates: Gates
):
    runs, before = begun(gates), alive()
    pid = where(gates, runs[0])
    struck = [run for run in runs if where(gates, run) == pid]
    killed_at = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    for run in struck:
        gates.wait_inside(run, attempt=2)
    assert time.monotonic() - killed_at < 10  # and not after the lease of 60 s
    eventually(lambda: len(alive()) == 2)
    assert len(alive() - before) == 1
    gates.open()
    for run in runs:
        row = settled(run)
        assert (row.attempt, row.crash_count) == ((2, 1) if run in struck else (1, 0))
    assert kinds(struck[0]) == ["triggered", "started", "worker_lost", "started", "completed"]
    assert Worker.objects.get(pid=pid).state == "lost"
    supervised.send(signal.SIGTERM)
    assert supervised.ends(within=15) == 0
    assert [w.state for w in Worker.objects.exclude(pid=pid)] == ["stopped", "stopped"]


def test_an_exit_in_a_body_is_no_success_and_the_other_process_hears_nothing_of_it(
    supervised: WorkerProcess, gates: Gates
):
    neighbours = begun(gates)
    killer = deadly.trigger(["exit 0", "exit 137"])
    row = settled(killer, within=20)
    assert (row.attempt, row.crash_count) == (3, 2)
    assert gates.starts(killer) == [1, 2, 3]
    gates.open()
    struck = {effect.pid for effect in gates.effects(killer)}
    for run in neighbours:
        if where(gates, run) not in struck:
            assert settled(run).crash_count == 0
    assert "code=137" in supervised.said()


def test_what_a_body_started_ends_with_its_process(supervised: WorkerProcess, gates: Gates, tmp_path: Path):
    run = parent.trigger()
    gates.wait_inside(run)
    left = int((tmp_path / f"left-{run.id}-1").read_text())
    os.kill(Worker.objects.get(pk=Run.objects.get(pk=run.id).worker_id).pid, signal.SIGKILL)
    eventually(lambda: not runs_still(left))
    gates.open()
    assert settled(run).crash_count == 1


def runs_still(pid: int) -> bool:
    """Tell whether a process lives; one that nobody has reaped yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_handed_on_and_bodies_have_their_grace(
    supervised: WorkerProcess, gates: Gates, number: signal.Signals
):
    runs = begun(gates)
    supervised.send(number)
    eventually(lambda: Worker.objects.filter(state="stopping").count() == 2, within=5)
    gates.open()
    assert supervised.ends(within=15) == 0
    for run in runs:
        assert (settled(run).attempt, kinds(run)[-1]) == (1, "completed")


@pytest.mark.parametrize("way", ["twice", "SIGQUIT"])
def test_told_twice_or_to_quit_running_bodies_are_given_back_at_once(
    stage: Stage, supervised: WorkerProcess, gates: Gates, way: str
):
    runs = begun(gates)
    supervised.send(signal.SIGQUIT if way == "SIGQUIT" else signal.SIGTERM)
    if way == "twice":
        eventually(lambda: Worker.objects.filter(state="stopping").count() == 2, within=5)
        supervised.send(signal.SIGTERM)
    assert supervised.ends(within=9) == 0
    for run in runs:
        assert kinds(run) == ["triggered", "started", "released"]
        assert Run.objects.get(pk=run.id).attempt == 0


def test_when_the_supervisor_is_killed_its_workers_stop_in_order(supervised: WorkerProcess, gates: Gates):
    runs, pids = begun(gates), alive()
    supervised.kill()
    eventually(lambda: Worker.objects.filter(state="stopping").count() == 2, within=5)
    gates.open()
    eventually(lambda: not any(runs_still(pid) for pid in pids))
    for run in runs:
        assert (settled(run).attempt, kinds(run)[-1]) == (1, "completed")
    assert {w.state for w in Worker.objects.all()} == {"stopped"}


def test_a_worker_with_a_body_that_cannot_be_interrupted_is_replaced_without_loss(
    supervised: WorkerProcess, gates: Gates
):
    before = alive()
    run = stuck.trigger()
    assert settled(run, "failed", within=20).reason == "timed_out"
    eventually(lambda: len(alive()) == 2 and len(alive() - before) == 1, within=20)
    assert "a worker died" not in supervised.said()
    assert Worker.objects.filter(state="stopped").count() == 1
    assert not Worker.objects.filter(state="lost").exists()


@pytest.mark.sqlite_too
def test_two_processes_drain_side_by_side_with_connections_of_their_own(stage: Stage, gates: Gates):
    runs = reader.trigger_many([{}] * 100)
    supervisor = stage.worker("--processes", "2", "--concurrency", "5", "--drain", wait=False)
    assert supervisor.ends(within=60) == 0
    assert {settled(run).attempt for run in runs} == {1}
    assert len(gates.effects()) == 100
    assert Worker.objects.filter(state="stopped").count() == 2


@pytest.mark.postgresql
def test_it_goes_while_the_database_is_away(stage: Stage, gates: Gates, proxy: Proxy):
    stage.settings |= {"SHUTDOWN_GRACE": 1}
    supervisor = stage.worker("--processes", "2", "--concurrency", "2", wait=False, port=proxy.port)
    eventually(lambda: len(alive()) == 2, within=60)
    (run,) = begun(gates, 1)
    proxy.blackhole()
    supervisor.send(signal.SIGTERM)
    assert supervisor.ends(within=1 + 5 + 5 + 2) == 0
    gates.open()
    stage.worker()
    row = settled(run)
    assert (row.attempt, row.crash_count) == (2, 1)


@pytest.mark.postgresql
def test_a_child_that_dies_while_the_database_is_away_is_buried_when_it_is_back(
    stage: Stage, gates: Gates, proxy: Proxy
):
    stage.settings |= LONG
    supervisor = stage.worker("--processes", "2", "--concurrency", "2", wait=False, port=proxy.port)
    eventually(lambda: len(alive()) == 2, within=60)
    runs = begun(gates)
    pid = where(gates, runs[0])
    proxy.refuse()
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: "a worker died" in supervisor.said())
    proxy.pass_on()
    gates.wait_inside(runs[0], attempt=2, within=20)
    gates.open()
    assert settled(runs[0]).crash_count == 1
