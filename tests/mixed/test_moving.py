"""A queue moves from each runtime to each other with its backlog: nothing is lost, nothing begins twice."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from django.db import OperationalError, connections, transaction

from openqueue import trigger_many
from openqueue.control import queue_acts
from openqueue.control.actor import Actor
from openqueue.core import post_commit
from openqueue.models import Outbox, QueueState, Run, RunEvent
from tests.app.crash_tasks import quick
from tests.crash.driver import Driver, PowerCut
from tests.crash.invariants import check
from tests.crash.stage import Gates, Stage, settled
from tests.crash.waiting import somebody_waits
from tests.eventually import eventually
from tests.mixed.conftest import PAIRS

pytestmark = [pytest.mark.crash, pytest.mark.sqlite_too]

ADA = Actor(name="ada")
BACKLOG = 10


def backlog(**options: Any) -> list[Any]:
    """Trigger some runs in the queue of each pair."""
    calls = [quick.using(queue=f"{a}-to-{b}", **options).bind() for a, b in PAIRS for _ in range(BACKLOG)]
    return trigger_many(calls)


def move(pair: tuple[str, str]) -> None:
    queue_acts.move("-to-".join(pair), to=pair[1], actor=ADA)


def ended_once(runs: list[Any], gates: Gates) -> None:
    """Every run ends, on the other runtime, its body begun once."""
    for run in runs:
        row = settled(run, within=90)
        assert gates.starts(run) == [1], row.queue
        assert row.queue.endswith(f"-to-{row.runtime}")
    check(gates, expected=[run.id for run in runs], quiet=True)


@pytest.mark.mariadb_too
def test_a_backlog_that_its_brokers_hold_already_moves(mixed: Stage, gates: Gates):
    runs = backlog()
    brokers = Outbox.objects.exclude(runtime="default")
    eventually(lambda: not brokers.filter(announced_at=None).exists(), within=30)
    for pair in PAIRS:
        move(pair)
    assert RunEvent.objects.filter(kind="moved").count() == len(runs)
    mixed.worker()
    ended_once(runs, gates)


@pytest.mark.mariadb_too
def test_it_moves_while_workers_run_and_while_it_grows(mixed: Stage, gates: Gates):
    for _ in range(2):
        mixed.worker()
    runs = backlog()
    for _ in range(3):
        for pair in PAIRS:
            move(pair)
        runs += backlog()
    for pair in PAIRS:  # what still waits; the settings send new runs to the first of each pair
        move(pair)
    for run in runs:
        assert settled(run, within=90).attempt == 1
        assert gates.starts(run) == [1]
    check(gates, expected=[run.id for run in runs], quiet=True)


@pytest.mark.postgresql
@pytest.mark.mariadb
def test_killed_in_the_middle_of_the_move_nothing_has_moved_and_the_next_one_moves_all(
    mixed: Stage, gates: Gates
):
    runs = backlog()
    for pair in PAIRS[::4]:
        queue = "-to-".join(pair)
        last = Outbox.objects.filter(queue=queue).order_by("run_id").last()
        with transaction.atomic():
            Outbox.objects.select_for_update().get(pk=last.pk)
            process = subprocess.Popen(
                [sys.executable, "-m", "django", "openqueue_queues", "move", queue, "--to", pair[1]],
                env=mixed.surroundings(),
            )
            eventually(somebody_waits, within=30)
            process.kill()
            process.wait()
        assert set(Outbox.objects.filter(queue=queue).values_list("runtime", "seq")) == {(pair[0], 1)}
    for pair in PAIRS:
        move(pair)
    mixed.worker()
    ended_once(runs, gates)


@pytest.fixture
def silence(monkeypatch: pytest.MonkeyPatch, transactional_db: None) -> Iterator[None]:
    """No thread that announces: it would use the database besides."""
    monkeypatch.setattr(post_commit, "put", lambda *_: None)
    yield
    connections.close_all()


@pytest.mark.usefixtures("silence")
@pytest.mark.parametrize("answered", [False, True])
def test_whichever_statement_of_a_move_fails_all_has_moved_or_nothing(answered: bool, settings: Any):
    memory = {"BACKEND": "openqueue.runtimes.memory.MemoryRuntime"}
    settings.OPENQUEUE = {"RUNTIMES": {"new": memory}}
    for at in count(1):
        runs = quick.trigger_many([{}] * 3)
        driver = Driver(at=at, answered=answered, error=PowerCut)
        try:
            with driver.driving():
                queue_acts.move("default", to="new", actor=ADA)
        except (PowerCut, OperationalError):  # of the end of a transaction whose connection is gone
            connections.close_all()
            assert Outbox.objects.values("runtime", "seq").distinct().count() == 1, driver.failed_at
            queue_acts.move("default", to="new", actor=ADA)
        assert list(Outbox.objects.values_list("runtime", "seq")) == [("new", 2)] * 3
        check(None, expected=[run.id for run in runs])
        for model in (Outbox, RunEvent, Run, QueueState):
            model.objects.all()._raw_delete(model.objects.db)
        if driver.calls < at:
            break
    assert at > 3
