from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from openqueue import Flow, enqueue_flow, registry
from openqueue.core import rehearsal
from openqueue.declaration import Task
from tests.flows.running import Begin, Running, Shape
from tests.store import fleet
from tests.store.fleet import Clock, FakeWorker


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(rehearsal, "_clock", lambda: clock.now)
    return clock


@pytest.fixture
def worker(clock: Clock) -> FakeWorker:
    return FakeWorker(clock)


@pytest.fixture
def task() -> Iterator[Any]:
    def anything() -> None: ...

    made: Any = Task(anything, id=fleet.TASK)
    yield made
    registry.remove(made)


@pytest.fixture
def begin(task: Any, worker: FakeWorker) -> Begin:
    def begin(shape: Shape, *, on_failure: Any = "fail", using: dict[str, Any] | None = None) -> Running:
        flow = Flow("test", on_failure=on_failure)
        for name, after in shape.items():
            flow.add(task.using(**(using or {})).bind(), name=name, after=after)
        return Running(enqueue_flow(flow), worker)

    return begin
