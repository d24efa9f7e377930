"""A test's own clock, and a worker that serves the task with keys."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from openqueue.core import rehearsal
from tests.app.tasks import add
from tests.store.fleet import Clock, FakeWorker


@pytest.fixture
def clock() -> Iterator[Clock]:
    clock = Clock()
    with rehearsal.rehearsing(lambda: clock.now):
        yield clock


@pytest.fixture
def worker(clock: Clock) -> FakeWorker:
    return FakeWorker(clock, known=[add.id])
