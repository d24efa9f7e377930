"""A worker in this process: quick heartbeats, stopped with its test."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connections

from openqueue.testing.conformance.suite import Served

LONGEST = 40.0


@pytest.fixture
def quick(settings) -> Any:
    """Heartbeats ten times a second; returns the settings."""
    settings.OPENQUEUE = {"LEASE": 6, "HEARTBEAT": 0.1, "SHUTDOWN_GRACE": 10}
    return settings


@pytest.fixture
def serving(quick: Any) -> Callable[..., Any]:
    """A context in which a worker serves; its value is the worker, whose `code` is there afterwards."""

    @contextmanager
    def serving(**options: Any) -> Iterator[Any]:
        worker: Any = Served(**{"queues": ["default"], "slots": 4} | options)
        worker.code, worker.over = None, threading.Event()

        def run() -> None:
            try:
                worker.code = worker.run()
            finally:
                connections.close_all()
                worker.over.set()

        thread = threading.Thread(target=run, name="test-worker")
        thread.start()
        try:
            yield worker
        finally:
            if not worker.asked:
                worker.stop()
            thread.join(LONGEST)
        assert not thread.is_alive(), "the worker did not stop"

    return serving


@pytest.fixture
def drain(serving: Callable[..., Any]) -> Callable[..., int]:
    """Execute what is due; returns the exit code."""

    def drain(**options: Any) -> int:
        with serving(**{"drain": True} | options) as worker:
            assert worker.over.wait(LONGEST), f"not drained: {list(worker.ledger.jobs)}"
        return worker.code

    return drain


@pytest.fixture
def unpleasant_tasks() -> Iterator[None]:
    """The tasks of tests/processes/unpleasant.py, registered for the test alone."""
    from openqueue import registry
    from tests.processes.unpleasant import aunpleasant, unpleasant

    tasks = (unpleasant, aunpleasant)
    for one in tasks:
        registry.add(one, given_id=one.given_id)
    yield
    for one in tasks:
        registry.remove(one)


@pytest.fixture
def isolated_tasks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The tasks of tests/processes/isolated.py, registered for the test alone. Their children start quickly."""
    from openqueue import registry
    from tests.processes.isolated import TASKS

    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "tests.child_settings")
    monkeypatch.delenv("PYTHONDEVMODE", raising=False)
    for one in TASKS:
        registry.add(one, given_id=one.given_id)
    yield
    for one in TASKS:
        registry.remove(one)
