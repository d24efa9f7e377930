"""kill -9 around the commit of a body that completes in its own transaction: effect and completion always agree."""

from __future__ import annotations

import pytest

from openqueue.models import Run
from tests.app.crash_tasks import paying
from tests.app.models import Note
from tests.crash.stage import Gates, Stage, kinds, late_results, settled
from tests.eventually import eventually
from tests.proxy.proxy import Proxy

pytestmark = [pytest.mark.crash, pytest.mark.mariadb_too]


def paid(run: Run) -> int:
    return Note.objects.filter(text=str(run.pk)).count()


def test_killed_before_the_commit_neither_stands_and_another_attempt_makes_both(stage: Stage, gates: Gates):
    run = paying.trigger("before")
    first = stage.worker()
    gates.wait_inside(run)
    first.kill()
    gates.open()
    stage.worker()
    row = settled(run)
    assert (row.attempt, row.crash_count, row.result["attempt"], paid(row)) == (2, 1, 2, 1)
    assert kinds(run) == ["triggered", "started", "worker_lost", "started", "completed"]


def test_killed_after_the_commit_both_stand_and_the_body_does_not_run_again(stage: Stage, gates: Gates):
    run = paying.trigger("after")
    first = stage.worker()
    gates.wait_inside(run)
    row = settled(run)
    first.kill()
    stage.worker()
    last = settled(
        paying.trigger("nowhere")
    )  # the second worker serves, and has nothing left of the first one's
    assert (row.attempt, row.result["attempt"], paid(row), paid(last)) == (1, 1, 1, 1)
    assert gates.starts(run) == [1]
    assert kinds(run) == ["triggered", "started", "completed"]


def test_a_commit_whose_answer_is_lost_has_happened_once(stage: Stage, gates: Gates, proxy: Proxy):
    run = paying.trigger("before")
    stage.worker(port=proxy.port)
    gates.wait_inside(run)
    proxy.lose_the_answer_to(b"COMMIT")
    gates.open()
    row = settled(run)
    eventually(lambda: proxy.lost)
    assert paid(row) == 1
    assert kinds(run).count("completed") == 1
    assert late_results(run) == 0
    last = settled(paying.trigger("nowhere"))
    assert paid(last) == 1


def test_killed_at_any_moment_each_run_is_paid_once(stage: Stage, gates: Gates):
    gates.open()
    runs = [paying.trigger("nowhere") for _ in range(300)]
    for after in (20, 90, 160):
        worker = stage.worker()
        eventually(lambda after=after: Note.objects.count() >= after)
        worker.kill()
        assert Note.objects.count() == Run.objects.filter(status="completed").count()
    stage.worker()
    assert {paid(settled(run)) for run in runs} == {1}
    assert Note.objects.count() == 300
