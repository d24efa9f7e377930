"""A failure at every single statement between a trigger and the end of its run, one after the other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from django.db import DatabaseError, InterfaceError, OperationalError, connection, connections, transaction

from openqueue import TaskContext
from openqueue.core import cancellation, post_commit
from openqueue.models import Claim, Outbox, Run, RunEvent, RunLog, Sweep, Worker
from openqueue.processes.sweeps import Sweeps
from openqueue.processes.sweeps.depths import Depths
from openqueue.processes.sweeps.reaper import Reaper
from openqueue.processes.sweeps.retention import Retention
from openqueue.processes.sweeps.rollups import Rollups
from openqueue.processes.worker.worker import Worker as WorkerProcess
from openqueue.store import store
from tests.app.models import Note
from tests.crash.driver import Driver, PowerCut
from tests.crash.invariants import check

pytestmark = [pytest.mark.crash, pytest.mark.sqlite_too, pytest.mark.django_db(transaction=True)]

MOST_ROUNDS = 12
HOUSEKEEPING = (Depths, Retention, Rollups)
FEWEST_CALLS = 25
"""Below this the scenario does not do what it should."""


@dataclass
class Effects:
    """What bodies did, as the checker wants to read it."""

    begun: list[Any] = field(default_factory=list)

    def effects(self) -> list[Any]:
        return self.begun


class Day:
    """One client and one worker whose parts are stepped by hand, in one thread: the same statements every time."""

    def __init__(self, task: Any, effects: Effects) -> None:
        self.task = task
        self.effects = effects
        self.confirmed: list[UUID] = []
        self.is_evening = False
        """Nothing fails any more, and what moves no run need not be done."""
        self.worker = self.hire()

    def hire(self) -> WorkerProcess:
        worker = WorkerProcess(queues=["default"], slots=2)
        for intake in worker.intakes:
            intake.submit = worker.executor.run
        worker.recorder.writer = threading.current_thread()  # it does the recorder's work
        return worker

    # --- the scenario ----------------------------------------------------------------------------------------------

    def steps(self) -> list[Callable[[], Any]]:
        """Return a day on which one run completes, one fails first, and one is cancelled."""
        round_ = [self.beat, self.claim, self.record, self.sweep]
        return [self.beat, self.trigger, *round_, self.cancel, *round_]

    def trigger(self) -> None:
        try:
            with transaction.atomic():
                note = Note.objects.create(text="ordered")
                runs = [
                    self.task.using(meta={"note": note.pk}).trigger(failures=0),
                    self.task.using(meta={"note": note.pk}).trigger(failures=1),
                    self.task.using(meta={"note": note.pk}, delay=3600).trigger(failures=0),
                ]
        except (DatabaseError, InterfaceError):
            connections.close_all()  # a client whose commit is in doubt goes on with something else
            return
        self.confirmed += [run.id for run in runs]
        post_commit.publisher.flush_now()

    def beat(self) -> None:
        self.worker.heartbeat.step()

    def claim(self) -> None:
        for intake in self.worker.intakes:
            intake.hungry = True  # it does not wait
            intake.step()

    def record(self) -> None:
        while not self.worker.recorder.items.empty():
            self.worker.recorder.persist(self.worker.recorder.gather())

    def sweep(self) -> None:
        sweeps = Sweeps()
        sweeps.sweeps = [Reaper(trusting=True) if isinstance(s, Reaper) else s for s in sweeps.sweeps]
        if self.is_evening:
            sweeps.sweeps = [sweep for sweep in sweeps.sweeps if not isinstance(sweep, HOUSEKEEPING)]
        sweeps.step()

    def cancel(self) -> None:
        later = Run.objects.filter(status="scheduled").values_list("pk", flat=True)
        cancellation.cancel(list(later), actor="me")

    # --- how it goes on --------------------------------------------------------------------------------------------

    def live(self, driver: Driver) -> None:
        """Do every step; what fails is done again, as a loop does it. After a power cut another worker goes on."""
        with driver.driving():
            for step in self.steps():
                try:
                    self.insist(step)
                except PowerCut:
                    self.die()
                    self.insist(step)

    @staticmethod
    def insist(step: Callable[[], Any]) -> None:
        try:
            step()
        except (DatabaseError, InterfaceError):
            connections.close_all()
            step()

    def die(self) -> None:
        """The process is gone, and its lease with it."""
        connections.close_all()
        self.leave()
        dead, self.worker = self.worker, self.hire()
        store().declare_lost(dead.ledger.worker_id)

    def leave(self) -> None:
        for intake in self.worker.intakes:
            if intake.consumer is not None:
                intake.consumer.close()

    def end(self) -> None:
        """Let time pass, and work until nothing is left to do."""
        self.is_evening = True
        for _ in range(MOST_ROUNDS):
            Outbox.objects.filter(ready=True).update(announce_at=store().clock(None))
            Sweep.objects.all().delete()  # so long ago that it is everybody's turn
            for step in (self.beat, self.claim, self.record, self.sweep, self.cancel):
                step()
            if not Run.objects.filter(outcome__isnull=True).exists():
                return
        raise AssertionError(f"stuck: {list(Run.objects.filter(outcome__isnull=True).values())}")


class Publisher(post_commit.Publisher):
    """Publishes in the thread that says so, so that its statements come in their place."""

    def put(self, alias: str, messages: Any) -> None:
        self.batches.put((alias, messages))

    def flush_now(self) -> None:
        while not self.batches.empty():
            self.step([self.batches.get()])
        self.mark()

    def flush(self) -> None:
        """Drop what is left: its process ended."""


@pytest.fixture
def effects() -> Effects:
    return Effects()


@pytest.fixture
def task(declare: Callable[..., Any], effects: Effects) -> Any:
    @declare(backoff=0)
    def ordered(ctx: TaskContext, failures: int) -> dict[str, Any]:
        effects.begun.append(SimpleNamespace(run=str(ctx.run_id), attempt=ctx.attempt))
        ctx.logger.warning("working")
        if ctx.attempt <= failures:
            raise ValueError("not yet")
        return {"attempt": ctx.attempt}

    return ordered


@pytest.fixture
def runtime(request: pytest.FixtureRequest, settings: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    kind = {"database": "database.DatabaseRuntime", "memory": "memory.MemoryRuntime"}[request.param]
    settings.OPENQUEUE = {"RUNTIMES": {"default": {"BACKEND": f"openqueue.runtimes.{kind}"}}}
    monkeypatch.setattr(post_commit, "publisher", Publisher())
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", None)  # a new one for each body takes time
    return str(request.param)


def clear() -> None:
    for model in (Claim, Outbox, RunEvent, RunLog, Run, Worker, Sweep, Note):
        model.objects.all()._raw_delete(model.objects.db)


def judge(day: Day) -> None:
    """Nothing is lost, nothing counts twice, and the client's data is there with its runs or not at all."""
    check(day.effects, expected=day.confirmed, quiet=True)
    assert Run.objects.count() == 3 * Note.objects.count()
    assert {run.meta["note"] for run in Run.objects.all()} == set(Note.objects.values_list("pk", flat=True))
    assert set(Run.objects.values_list("status", flat=True)) <= {"completed", "cancelled"}


@pytest.mark.parametrize(
    ("runtime", "error", "answered"),
    [
        pytest.param("database", OperationalError, False, id="it never arrives", marks=pytest.mark.sqlite),
        pytest.param("database", OperationalError, True, id="its answer is lost"),
        pytest.param("database", PowerCut, False, id="the power is cut before"),
        pytest.param("database", PowerCut, True, id="the power is cut behind"),
        pytest.param("memory", OperationalError, True, id="messages, its answer is lost"),
        pytest.param(
            "memory", PowerCut, True, id="messages, the power is cut behind", marks=pytest.mark.sqlite
        ),
    ],
    indirect=["runtime"],
)
def test_whichever_statement_fails_every_run_ends_once(
    runtime: str, task: Any, effects: Effects, error: type[BaseException], answered: bool
):
    at, calls = 0, 1
    while at < calls:
        at += 1
        driver = Driver(at=at, answered=answered, error=error)
        day = Day(task, effects)
        try:
            day.live(driver)
            day.end()
            judge(day)
        except Exception as wrong:
            wrong.add_note(f"call {at} of {driver.calls}: {driver.failed_at}")
            raise
        finally:
            day.leave()
        calls = driver.calls
        clear()
        effects.begun.clear()
    assert at >= FEWEST_CALLS
