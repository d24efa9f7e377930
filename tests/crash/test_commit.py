"""What is triggered in a transaction shares its fate; a row that commits late is found late, not never."""

from __future__ import annotations

import threading

import pytest
from django.db import connections, transaction

from openqueue.models import Run
from tests.app.crash_tasks import quick
from tests.crash.stage import Gates, Stage, settled

pytestmark = pytest.mark.crash


class Undone(Exception):
    pass


@pytest.mark.sqlite_too
def test_what_was_rolled_back_never_runs_and_what_was_committed_does(
    runtime: str, stage: Stage, gates: Gates
):
    stage.worker()
    with pytest.raises(Undone), transaction.atomic():
        quick.trigger()
        raise Undone
    with transaction.atomic():
        outer = quick.trigger()
        with pytest.raises(Undone), transaction.atomic():
            quick.trigger()
            raise Undone
        with transaction.atomic():
            inner = quick.trigger()
    last = quick.trigger()
    for run in (outer, inner, last):
        settled(run)
    assert {effect.run for effect in gates.effects()} == {str(run.id) for run in (outer, inner, last)}
    assert Run.objects.count() == 3


@pytest.mark.postgresql
def test_a_row_that_commits_after_its_juniors_is_not_passed_over(runtime: str, stage: Stage, gates: Gates):
    """No cursor over ids or times: an older row may appear behind newer ones that are long done."""
    stage.worker()
    triggered, juniors_done = threading.Event(), threading.Event()
    seniors = []

    def slowly() -> None:
        with transaction.atomic():
            seniors.append(quick.trigger())
            triggered.set()
            assert juniors_done.wait(30)
        connections.close_all()

    thread = threading.Thread(target=slowly)
    thread.start()
    assert triggered.wait(10)
    for _ in range(3):
        settled(quick.trigger())
    (senior,) = seniors
    assert not Run.objects.filter(pk=senior.id).exists()
    juniors_done.set()
    thread.join()
    settled(senior, within=5)
    assert gates.starts(senior) == [1]
