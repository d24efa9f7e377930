"""Workers under a supervisor that are told through the database: to be quiet, to go on, to stop."""

from __future__ import annotations

import os
from typing import Any
from uuid import UUID

import pytest

from openqueue.control import worker_acts
from openqueue.control.actor import Actor
from openqueue.models import Run, Worker
from tests.app.crash_tasks import gated
from tests.crash.stage import Gates, Stage, WorkerProcess, kinds, settled
from tests.eventually import eventually

pytestmark = pytest.mark.crash
ADA = Actor(name="ada")


def alive() -> list[UUID]:
    return list(Worker.objects.filter(state="running").order_by("started_at").values_list("pk", flat=True))


@pytest.fixture
def supervised(stage: Stage) -> WorkerProcess:
    stage.settings |= {"LEASE": 60, "HEARTBEAT": 20}  # a second's obedience, which no heartbeat explains
    supervisor = stage.worker("--processes", "2", "--concurrency", "2", wait=False)
    eventually(lambda: len(alive()) == 2, within=60)
    return supervisor


def in_worker(gates: Gates, run: Any) -> UUID:
    gates.wait_inside(run)
    worker: UUID = Run.objects.get(pk=run.id).worker_id
    return worker


@pytest.mark.sqlite_too
def test_a_quiet_child_ends_its_bodies_while_the_other_takes_what_comes(
    supervised: WorkerProcess, gates: Gates
):
    first = gated.trigger()
    quiet = in_worker(gates, first)
    assert worker_acts.quiet([quiet], actor=ADA) == {quiet: "asked"}
    eventually(lambda: Worker.objects.get(pk=quiet).obeys == "quiet", within=5)
    runs = [gated.trigger(), gated.trigger()]
    (other,) = {in_worker(gates, run) for run in runs}
    assert other != quiet
    held = gated.trigger()  # the other is full, and this one is quiet
    gates.open(first)
    assert settled(first).status == "completed"
    assert kinds(held) == ["triggered"]
    worker_acts.resume([quiet], actor=ADA)
    assert in_worker(gates, held) == quiet
    gates.open()
    for run in (*runs, held):
        assert settled(run).attempt == 1


@pytest.mark.sqlite_too
def test_children_that_are_told_to_stop_have_their_grace_and_are_not_replaced(
    supervised: WorkerProcess, gates: Gates
):
    run = gated.trigger()
    stopped = in_worker(gates, run)
    (other,) = set(alive()) - {stopped}
    pid = Worker.objects.get(pk=stopped).pid
    worker_acts.stop([stopped], actor=ADA)
    eventually(lambda: Worker.objects.get(pk=stopped).obeys == "stop", within=5)
    gates.open(run)
    assert (settled(run).attempt, kinds(run)[-1]) == (1, "completed")
    eventually(lambda: Worker.objects.get(pk=stopped).state == "stopped")
    eventually(lambda: not os.path.exists(f"/proc/{pid}"))
    following = gated.trigger()
    assert in_worker(gates, following) == other
    gates.open()
    settled(following)
    assert alive() == [other]
    worker_acts.stop([other], actor=ADA)
    assert supervised.ends(within=15) == 0  # the last one has gone: there is nobody to supervise
    assert not alive()
