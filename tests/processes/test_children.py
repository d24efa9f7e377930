"""Bodies in processes of their own: run, used again, spoken with, killed."""

from __future__ import annotations

import os
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from openqueue.models import RunEvent, RunLog
from openqueue.processes.worker.children import pool
from tests.app.models import Note
from tests.eventually import eventually
from tests.processes import isolated

pytestmark = [
    pytest.mark.once,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("isolated_tasks"),
]


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def has_logged(run: Any) -> str:
    """Return the first line of a run's log once there is one: its body is inside."""
    return eventually(lambda: RunLog.objects.filter(run_id=run.id).values_list("text", flat=True).first())


def test_a_body_runs_in_a_child_that_is_used_again_and_ends_with_the_worker(drain: Any):
    runs = [isolated.add.trigger(n, 1) for n in range(3)]
    assert drain(slots=1) == 0
    results = [run.refresh().result for run in runs]
    assert [result["sum"] for result in results] == [1, 2, 3]
    (pid,) = {result["pid"] for result in results}
    assert pid != os.getpid()
    assert not is_alive(pid)


def test_what_fills_the_pipe_many_times_over_arrives_whole(drain: Any):
    text = "Zoë \N{PILE OF POO} " * 15_000
    runs = [isolated.echo.trigger(text), isolated.echo.trigger("short")]
    drain(slots=1)
    assert [(run.refresh().status, run.attempt) for run in runs] == [("completed", 1)] * 2, runs[0].error
    assert [run.result for run in runs] == [text, "short"]
    assert has_logged(runs[0]).startswith("Zoë \N{PILE OF POO} Zoë")


def test_a_child_is_given_two_sockets_and_a_process_group_and_nothing_else(drain: Any):
    run = isolated.surroundings.trigger()
    connection.ensure_connection()
    drain(slots=1)
    assert run.refresh().result == {"sockets": 2, "group": True}


def test_a_worker_whose_queues_have_an_isolated_task_starts_a_child_ahead(serving: Any):
    with serving(slots=3) as worker:
        eventually(lambda: [child.is_ready for child in worker.executor.children.children] == [True])


def test_a_body_fails_in_a_child_as_it_does_in_a_thread(drain: Any):
    ways = ["error", "exit", "never", "later", "result"]
    runs = {how: isolated.fail.trigger(how) for how in ways}
    drain(slots=1)
    rows = {how: run.refresh().row for how, run in runs.items()}
    assert {how: (row.status, row.reason, row.attempt) for how, row in rows.items()} == {
        "error": ("failed", "error", 2),
        "exit": ("failed", "error", 2),
        "never": ("failed", "non_retryable", 1),
        "later": ("retrying", "error", 1),
        "result": ("failed", "result_invalid", 1),
    }
    assert rows["error"].error["message"] == "Zoë"
    assert "fail" in rows["error"].error["traceback"]


def test_a_body_finds_the_child_clean_whatever_the_one_before_left(drain: Any):
    runs = [isolated.fail.trigger("connection"), isolated.fail.trigger("manners"), isolated.look.trigger()]
    drain(slots=1)
    assert [run.refresh().result for run in runs] == [
        "left open",
        "changed",
        {
            "in_transaction": False,
            "folder": False,
            "signal": False,
            "database": str(connection.settings_dict["NAME"]),
        },
    ]


def test_a_coroutine_runs_in_a_child_and_ends_at_its_timeout(drain: Any):
    brief, endless = isolated.asleep.trigger(0.01), isolated.asleep.using(timeout=0.1).trigger(60)
    assert drain(slots=1) == 0
    assert brief.refresh().status == "completed"
    assert brief.result != os.getpid()
    assert has_logged(brief) == "slept"
    assert (endless.refresh().status, endless.reason) == ("failed", "timed_out")


def test_hooks_run_in_the_worker(drain: Any):
    isolated.HOOKS.clear()
    isolated.hooked.trigger()
    drain(slots=1)
    assert [("start", os.getpid()), ("success", os.getpid(), "done", 1)] == isolated.HOOKS


def test_a_secret_is_masked_before_it_leaves_the_child(drain: Any):
    run = isolated.secretive.trigger(password="hunter22")
    drain(slots=1)
    assert run.refresh().result == {"password": "[secret]"}
    assert has_logged(run) == "it is [secret]"
    assert RunEvent.objects.get(run_id=run.id, kind="progress").data["message"] == "[secret]"


def test_the_trace_of_the_trigger_goes_on_in_the_child(drain: Any):
    from opentelemetry import trace

    context = trace.SpanContext(
        trace_id=2**127 + 1, span_id=7, is_remote=False, trace_flags=trace.TraceFlags(1)
    )
    with trace.use_span(trace.NonRecordingSpan(context)):
        run = isolated.traced.trigger()
    drain(slots=1)
    assert run.refresh().result == context.trace_id


def test_a_limit_of_bodies_at_one_time_holds_for_children(drain: Any):
    runs = [isolated.alone.trigger() for _ in range(3)]
    drain(slots=3)
    spans = sorted(run.refresh().result for run in runs)
    assert all(ended <= begun for (_, ended), (begun, _) in pairwise(spans))


# --- ended from outside -----------------------------------------------------------------------------------------------


def test_a_body_that_blocks_is_killed_after_its_timeout_and_its_child_replaced(drain: Any):
    run, other = isolated.block.using(timeout=0.2).trigger(), isolated.add.trigger(1, 2)
    assert drain(slots=1) == 0
    assert (run.refresh().status, run.reason) == ("failed", "timed_out")
    assert (run.row.finished_at - run.row.started_at).total_seconds() < 0.2 + pool.PATIENCE + 1.5
    assert not is_alive(int(has_logged(run).split()[1]))
    assert other.refresh().status == "completed"


def test_a_body_ends_at_a_checkpoint_after_its_timeout_and_its_child_lives_on(drain: Any):
    run = isolated.wait.using(timeout=0.2).trigger()
    assert drain(slots=1) == 0
    assert (run.refresh().status, run.reason) == ("failed", "timed_out")
    assert Note.objects.get().text == "cancelled: False"


def test_a_cancelled_body_hears_of_it_and_one_that_does_not_is_killed(serving: Any):
    polite, deaf = isolated.wait.trigger(), isolated.block.trigger()
    with serving(slots=2):
        has_logged(polite)
        pid = int(has_logged(deaf).split()[1])
        for run in (polite, deaf):
            assert run.cancel() == "requested"
        for run in (polite, deaf):
            eventually(lambda run=run: run.refresh().status == "cancelled")
        assert not is_alive(pid)
    assert Note.objects.get().text == "cancelled: True"


def test_while_a_body_lasts_long_a_spare_child_is_made_ready(serving: Any, monkeypatch: Any):
    monkeypatch.setattr(pool, "SPARE_AFTER", 0.05)
    run = isolated.block.trigger()
    with serving(slots=1) as worker:
        has_logged(run)
        children = worker.executor.children
        eventually(lambda: sorted(child.is_ready for child in children.children) == [True, True])
        next_one = isolated.add.trigger(1, 1)
        assert next_one.refresh().status == "queued", "one body at a time in one slot"
        run.cancel()
        eventually(lambda: next_one.refresh().status == "completed")


def test_no_body_begins_in_a_child_while_the_lease_is_not_sure(serving: Any, monkeypatch: Any):
    with serving(slots=1, sweeps=False) as worker:
        eventually(lambda: [child.is_ready for child in worker.executor.children.children] == [True])
        monkeypatch.setattr(worker.ledger, "may_begin", lambda job: False)
        run = isolated.add.trigger(1, 1)
        eventually(lambda: RunEvent.objects.filter(run_id=run.id, kind="released").exists())
        assert {child.runs for child in worker.executor.children.children} == {0}
        monkeypatch.undo()
        eventually(lambda: run.refresh().status == "completed")


# --- used up ----------------------------------------------------------------------------------------------------------


def test_a_child_is_replaced_between_bodies_after_its_runs(drain: Any, quick: Any):
    quick.OPENQUEUE = {**quick.OPENQUEUE, "CHILD_MAX_RUNS": 2}
    runs = [isolated.add.trigger(n, 1) for n in range(4)]
    assert drain(slots=1) == 0
    pids = [run.refresh().result["pid"] for run in runs]
    assert pids[0] == pids[1] != pids[2] == pids[3]


def test_a_child_that_has_grown_is_replaced_between_bodies(drain: Any, quick: Any):
    quick.OPENQUEUE = {**quick.OPENQUEUE, "CHILD_MAX_RSS": "300MB"}
    runs = [isolated.leak.trigger(150) for _ in range(4)]
    assert drain(slots=1) == 0
    pids = [run.refresh().result for run in runs]
    assert pids[0] == pids[1] != pids[2] == pids[3]


def test_a_child_that_cannot_start_is_tried_again(drain: Any, monkeypatch: Any, caplog: Any):
    from openqueue.processes.worker.children import child

    boots = iter(["import sys; sys.exit(7)"])
    boot = child.BOOT
    monkeypatch.setattr(child, "BOOT", Text(boots, boot))
    run = isolated.add.trigger(1, 2)
    drain(slots=1)
    assert run.refresh().status == "completed"
    (told,) = [record for record in caplog.records if "could not start" in record.message]
    assert told.exit_code == 7


class Text:
    def __init__(self, first: Any, then: str) -> None:
        self.first, self.then = first, then

    def format(self, **given: Any) -> str:
        return next(self.first, self.then).format(**given)


def test_work_that_comes_at_once_is_shared_by_as_many_children_as_there_are_slots(drain: Any):
    begun = time.monotonic()
    runs = [isolated.asleep.trigger(1.0) for _ in range(3)]
    drain(slots=3)
    assert len({run.refresh().result for run in runs}) > 1, f"after {time.monotonic() - begun} s"
