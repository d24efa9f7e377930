"""Children that end in the middle of a body: only that attempt is lost, at once, and it is never a success."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from openqueue.models import RunEvent
from tests.eventually import eventually
from tests.processes import isolated
from tests.processes.test_children import has_logged, is_alive

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("isolated_tasks")]

ENDS = {
    "exit 0": {"exit_code": 0},
    "exit 137": {"exit_code": 137},
    "segfault": {"signal": "SIGSEGV"},
    "kill": {"signal": "SIGKILL"},
}


def test_an_attempt_whose_child_ends_is_lost_and_its_run_says_how(drain: Any, quick: Any):
    quick.OPENQUEUE = {**quick.OPENQUEUE, "MAX_CRASHES": 1}
    runs = {way: isolated.leave.trigger(way) for way in ENDS}
    others = [isolated.add.trigger(n, 2) for n in range(3)]
    assert drain(slots=2) == 0
    for way, run in runs.items():
        row = run.refresh().row
        ((name, value),) = ENDS[way].items()
        assert (row.status, row.reason, row.crash_count) == ("failed", "worker_lost", 1), way
        assert f"{name} {value}" in row.error["message"]
        closing = RunEvent.objects.get(run_id=run.id, kind="failed")
        assert (closing.data[name], closing.data["crash_count"], closing.token) == (value, 1, None)
    assert [(other.refresh().status, other.attempt) for other in others] == [("completed", 1)] * 3


def test_a_lost_attempt_is_made_up_for_at_once_and_not_charged(drain: Any, quick: Any):
    quick.OPENQUEUE = {**quick.OPENQUEUE, "MAX_CRASHES": 2}
    run = isolated.leave.trigger("exit 0")
    drain(slots=1)
    row = run.refresh().row
    assert (row.max_attempts, row.attempt, row.crash_count, row.reason) == (1, 2, 2, "worker_lost")
    lost = RunEvent.objects.get(run_id=run.id, kind="worker_lost")
    assert (lost.data["exit_code"], lost.data["crash_count"], lost.token) == (0, 1, None)


def test_after_a_loss_the_next_one_keeps_nobody_waiting(serving: Any, quick: Any):
    """Quick bodies have no spare, until one of them was lost: a project may take many seconds to start."""
    quick.OPENQUEUE = {**quick.OPENQUEUE, "MAX_CRASHES": 1}
    with serving(slots=1) as worker:
        children = worker.executor.children
        ended = isolated.leave.trigger("segfault")
        eventually(lambda: ended.refresh().status == "failed", within=30)
        first = isolated.add.trigger(1, 1)
        eventually(lambda: first.refresh().status == "completed", within=30)
        eventually(lambda: [child.is_ready for child in children.children] == [True, True], within=30)
        ready = {child.pid for child in children.children}
        ended, following = isolated.leave.trigger("kill"), isolated.add.trigger(1, 1)
        eventually(lambda: following.refresh().status == "completed")
        assert ended.refresh().status == "failed"
        assert following.result["pid"] in ready
        assert (following.row.started_at - ended.row.finished_at).total_seconds() < 2


def test_a_task_that_may_not_be_run_twice_fails_with_its_first_loss(drain: Any):
    run = isolated.leave_once.trigger()
    drain(slots=1)
    assert (run.refresh().status, run.reason, run.attempt) == ("failed", "worker_lost", 1)


def test_a_child_that_is_killed_from_outside_is_noticed_at_once(serving: Any):
    run = isolated.block.using(max_attempts=1).trigger()
    with serving(slots=1, sweeps=False):
        os.kill(int(has_logged(run).split()[1]), signal.SIGKILL)
        eventually(lambda: RunEvent.objects.filter(run_id=run.id, kind="worker_lost").exists(), within=3)
        run.cancel()
        eventually(lambda: run.refresh().status == "cancelled")


def test_a_cancelled_run_whose_child_ends_is_cancelled(serving: Any):
    run = isolated.block.trigger()
    with serving(slots=1, sweeps=False) as worker:
        pid = int(has_logged(run).split()[1])
        worker.loops["heartbeat"].stop()
        worker.loops["heartbeat"].join()
        assert run.cancel() == "requested"
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: run.refresh().status == "cancelled")


def test_a_child_that_ends_without_work_costs_nobody_anything(serving: Any):
    with serving(slots=1) as worker:
        children = worker.executor.children.children
        eventually(lambda: [child.is_ready for child in children] == [True])
        (idle,) = children
        os.kill(idle.pid, signal.SIGKILL)
        eventually(idle.has_ended)
        run = isolated.add.trigger(1, 2)
        eventually(lambda: run.refresh().status == "completed")
    assert run.row.crash_count == 0


# --- memory -----------------------------------------------------------------------------------------------------------


def test_a_body_that_asks_for_more_memory_than_its_limit_fails_and_the_child_lives_on(drain: Any):
    runs = [isolated.grow.trigger(10), isolated.grow.trigger(400), isolated.grow.trigger(20)]
    drain(slots=1)
    assert [run.refresh().status for run in runs] == ["completed", "failed", "completed"]
    assert (runs[1].reason, runs[1].error["type"]) == ("error", "MemoryError")
    assert "grow" in runs[1].error["traceback"], "raised in the body"
    assert runs[0].result == runs[2].result


def test_a_body_that_takes_more_memory_than_its_limit_in_another_way_is_killed(drain: Any):
    run = isolated.map_shared.trigger(400)
    drain(slots=1)
    assert (run.refresh().status, run.reason, run.error["type"]) == ("failed", "error", "MemoryError")
    assert "memory_limit=209,715,200" in run.error["message"]


# --- what a body leaves behind ----------------------------------------------------------------------------------------


def test_a_run_ends_though_its_body_left_a_process_behind_which_goes_with_the_child(drain: Any):
    run = isolated.fork.trigger("stay")
    drain(slots=1)
    assert run.refresh().status == "completed"
    eventually(lambda: not is_alive(run.result))


def test_a_process_left_behind_cannot_hide_the_end_of_its_child(drain: Any, quick: Any):
    quick.OPENQUEUE = {**quick.OPENQUEUE, "MAX_CRASHES": 1}
    run = isolated.fork.trigger("die")
    drain(slots=1)
    assert (run.refresh().status, run.reason) == ("failed", "worker_lost")


def test_a_body_that_comes_back_twice_is_heard_once(drain: Any):
    run, next_one = isolated.fork.trigger("return"), isolated.add.trigger(1, 2)
    drain(slots=1)
    assert run.refresh().status == "completed"
    assert run.result > 0
    assert next_one.refresh().result["sum"] == 3
