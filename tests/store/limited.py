"""Runs of a task with limits, on a test's clock: fixtures and steps for those who need them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from openqueue import registry
from openqueue.core import rehearsal
from openqueue.declaration import Task
from openqueue.models import Outbox
from openqueue.processes.sweeps.permits import Permits
from tests.store import fleet
from tests.store.fleet import Clock, FakeWorker, completes


@pytest.fixture
def clock():
    """The one moment for all: this process's publisher, whose clock is the real one, lets nobody through."""
    clock = Clock()
    with rehearsal.rehearsing(lambda: clock.now):
        yield clock


@pytest.fixture
def worker(clock: Clock) -> FakeWorker:
    return FakeWorker(clock)


@pytest.fixture
def limited():
    """Declare the task that the runs are of, with limits."""
    made = []

    def declare(**options: Any) -> Task[..., Any]:
        made.append(Task(lambda: None, id=fleet.TASK, **options))
        return made[-1]

    yield declare
    for task in made:
        registry.remove(task)


def make_runs(clock: Clock, number: int = 1, **facts: Any) -> list[UUID]:
    made = fleet.make_run(clock, runs=number, **facts)
    return made if number > 1 else [made]


def sweep(clock: Clock) -> int:
    return Permits().step(clock.now)


def claimed(worker: FakeWorker) -> list[UUID]:
    return [attempt.run_id for attempt in worker.claim()]


def drain(clock: Clock, worker: FakeWorker) -> list[UUID]:
    order = []
    while sweep(clock) or Outbox.objects.filter(ready=True).exists():
        (attempt,) = worker.claim()
        order.append(attempt.run_id)
        assert sweep(clock) == 0
        worker.settle(completes(attempt))
    return order
