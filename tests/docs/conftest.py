"""What the code blocks of a page run in: a module of the shop's app, and a worker that serves it."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import pytest
from django.conf import settings
from django.db import connections

from openqueue import registry, signals
from openqueue.conf import forget
from openqueue.control import tokens
from openqueue.control.actor import Actor
from openqueue.core import post_commit
from openqueue.processes.worker.worker import Worker

QUEUES = ["default", "email"]
SIGNALS = [signals.run_started, signals.run_settled, signals.worker_started, signals.worker_stopped]


@pytest.fixture
def module() -> Iterator[ModuleType]:
    """A module whose tasks are the shop's, and the only ones; afterwards all is as it was."""
    declared = dict(registry._declared)
    receivers = [(one, one.receivers[:]) for one in SIGNALS]
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    logger = logging.getLogger("openqueue")
    logged = logger.handlers[:], logger.level, logger.propagate
    registry._declared.clear()
    made = sys.modules["shop.docs"] = ModuleType("shop.docs")
    yield made
    del sys.modules["shop.docs"]
    registry._declared.clear()
    registry._declared.update(declared)
    registry._indexed = 0
    for one, were in receivers:
        one.receivers[:] = were
        one.sender_receivers_cache.clear()
    for number, handler in handlers.items():
        signal.signal(number, handler)
    post_commit.publisher.flush()  # it would hold on to the test's database
    post_commit.after_fork()
    logger.handlers[:], logger.level, logger.propagate = logged


@contextmanager
def working() -> Iterator[None]:
    """Have a worker of this process execute what is triggered."""
    worker = Worker(queues=QUEUES, slots=4)

    def serve() -> None:
        worker.run()
        connections.close_all()

    thread = threading.Thread(target=serve, name="docs-worker")
    thread.start()
    try:
        yield
    finally:
        worker.stop()
        thread.join(40)
        assert not thread.is_alive()


@pytest.fixture
def worker(module: ModuleType, transactional_db: None) -> Iterator[None]:
    """A worker that serves the tasks of the page."""
    with working():
        yield


@pytest.fixture
def served(live_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The API, listening, and in the environment what a client needs for it."""
    token = tokens.create("docs", scopes=["admin"], actor=Actor(name="docs"))
    monkeypatch.setenv("OPENQUEUE_URL", f"{live_server.url}/openqueue/")
    monkeypatch.setenv("OPENQUEUE_TOKEN", token)


@pytest.fixture
def project(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Settings that a block may replace."""
    yield monkeypatch
    monkeypatch.undo()
    for setting in ("OPENQUEUE", "DATABASES"):
        forget(setting=setting)
    assert settings.DATABASES
