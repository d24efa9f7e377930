"""Timeouts end, whatever the body does and wherever it runs: the table of docs/guides/cancellation-and-timeouts.md."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from openqueue import registry
from openqueue.models import Run
from tests.app import stubborn_tasks as stubborn
from tests.app.crash_tasks import quick
from tests.crash.stage import Stage, late_results, settled
from tests.eventually import eventually

pytestmark = pytest.mark.crash
TIMEOUT = 0.5
SLACK = 1.5
"""Seconds for a busy machine."""

# How many seconds after its timeout the attempt has ended at the latest, and whether the worker replaces itself.
TABLE = {
    ("thread", "spins"): (2.0, False),
    ("thread", "sleeps"): (2.0, False),
    ("thread", "swallows"): (4.0, True),
    ("thread", "blocks"): (4.0, True),
    ("async", "spins"): (2.2, False),
    ("async", "sleeps"): (0.0, False),
    ("async", "swallows"): (4.4, True),
    ("async", "blocks"): (4.4, True),
    ("process", "spins"): (1.0, False),
    ("process", "sleeps"): (1.0, False),
    ("process", "swallows"): (1.0, False),
    ("process", "blocks"): (1.0, False),
}
IN = {"thread": stubborn.in_thread, "async": stubborn.on_the_loop, "process": stubborn.in_process}


@pytest.fixture(autouse=True)
def _stubborn(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("OPENQUEUE_TEST_MORE_TASKS", stubborn.__name__)
    for one in stubborn.TASKS:
        registry.add(one, given_id=one.given_id)
    yield
    for one in stubborn.TASKS:
        registry.remove(one)


def pid_of(stage: Stage, run: Any) -> int:
    file = stage.folder / f"pid-{run.id}"
    return int(eventually(lambda: file.exists() and file.read_text()))


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize(("executor", "kind"), TABLE)
def test_a_body_without_end_is_timed_out_in_time_and_the_next_one_runs(
    stage: Stage, executor: str, kind: str
):
    late, hands_over = TABLE[executor, kind]
    worker = stage.worker("--concurrency", "1")
    run = IN[executor].using(timeout=TIMEOUT).trigger(kind)
    row = settled(run, "failed")
    assert row.reason == "timed_out"
    assert row.error["type"] == "openqueue.errors.TaskTimeout"
    assert (row.finished_at - row.started_at).total_seconds() < TIMEOUT + late + SLACK
    if executor == "process":
        assert not is_alive(pid_of(stage, run))
    settled(quick.trigger())
    assert (len(worker.incarnations) > 1) == hands_over
    if kind != "blocks":  # its work has really ended: at once, or when the worker replaced itself
        tick = stage.folder / f"tick-{run.id}"
        eventually(lambda: time.time() - tick.stat().st_mtime > 1)


def test_c_code_that_holds_the_global_lock_beyond_the_lease_is_fenced_like_a_zombie(stage: Stage):
    first = stage.worker("--concurrency", "2")
    run = stubborn.hold_the_lock.trigger(seconds=20)
    pid_of(stage, run)
    stage.worker("--concurrency", "2")
    row = settled(run)
    assert (row.result, row.attempt, row.crash_count) == (2, 2, 1)
    eventually(lambda: late_results(run) == 1, within=30)
    assert Run.objects.get(pk=run.id).result == 2
    eventually(lambda: len(first.incarnations) == 2)


def test_children_do_not_outlive_a_worker_that_was_killed(stage: Stage):
    worker = stage.worker("--concurrency", "2")
    run = stubborn.in_process.trigger("blocks")
    pid = pid_of(stage, run)
    worker.kill()
    eventually(lambda: not is_alive(pid), within=5)


def test_whoever_stops_the_worker_may_signal_its_children_too(stage: Stage):
    worker = stage.worker("--concurrency", "2", SHUTDOWN_GRACE=20)
    run = stubborn.polite.trigger(seconds=2.0)
    pid = pid_of(stage, run)
    for one in (pid, worker.pid):  # as systemd does with all processes of a service
        os.kill(one, signal.SIGTERM)
    assert worker.ends(within=15) == 0
    assert settled(run).attempt == 1
    assert not is_alive(pid)


def test_a_body_that_outlives_the_grace_is_killed_and_given_back(stage: Stage):
    first = stage.worker("--concurrency", "2", SHUTDOWN_GRACE=1)
    run = stubborn.in_process.trigger("blocks")
    pid = pid_of(stage, run)
    first.send(signal.SIGTERM)
    assert first.ends(within=15) == 0
    assert not is_alive(pid)
    assert (run.refresh().status, run.attempt) == ("queued", 0)
    run.cancel()
