"""After commit: one lazily started daemon thread a process that publishes what was triggered.

It never works inside the caller's transaction and never makes a request wait: what it does not get to send, the
announcing sweep sends.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Sequence
from functools import partial
from itertools import groupby
from typing import Final

from django.db import connections

from openqueue import runtimes
from openqueue.conf import config
from openqueue.runtimes.base import Message, Published
from openqueue.store import store
from openqueue.store.base import Mark

logger = logging.getLogger("openqueue")

CAPACITY: Final = 1_000
"""Batches that may wait for the thread; what does not fit is left to the announcing sweep."""
MARK_EVERY: Final = 1.0
IDLE: Final = 30.0
"""Seconds without work after which the thread closes its database connection."""
FLUSH: Final = 1.0
Batch = tuple[str, Sequence[Message]]


class Publisher:
    """Takes batches of (runtime alias, messages) and publishes what has gathered, in one go."""

    def __init__(self) -> None:
        self.batches: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        self.marks: list[Mark] = []
        self.marked_at = time.monotonic()
        self.thread: threading.Thread | None = None
        self.starting = threading.Lock()
        self.idle = threading.Event()

    def put(self, alias: str, messages: Sequence[Message]) -> None:
        if self.batches.qsize() < CAPACITY:
            self.idle.clear()
            self.batches.put((alias, messages))
        if self.thread is None:
            with self.starting:
                if self.thread is None:
                    self.thread = threading.Thread(target=self.run, name="openqueue-publisher", daemon=True)
                    self.thread.start()

    def run(self) -> None:
        while True:
            try:
                batch = self.batches.get(timeout=MARK_EVERY if self.marks else IDLE)
            except queue.Empty:
                self.step([])
                if not self.marks:
                    connections.close_all()
                continue
            if batch is None:
                break
            gathered = [batch]
            with contextlib.suppress(queue.Empty):
                while (batch := self.batches.get_nowait()) is not None:
                    gathered.append(batch)
            self.step(gathered)
            if under_test():
                connections.close_all()
            if self.batches.empty():
                self.idle.set()
        self.mark()
        connections.close_all()

    def step(self, batches: Sequence[Batch]) -> int:
        """Publish these batches, one call a runtime, and mark now and then; return how many messages went out."""
        sent = 0
        for alias, group in groupby(sorted(batches, key=lambda b: b[0]), key=lambda b: b[0]):
            messages = [message for _, some in group for message in some]
            sent += self.publish(alias, messages)
        if self.marks and time.monotonic() - self.marked_at >= MARK_EVERY:
            self.mark()
        return sent

    def publish(self, alias: str, messages: Sequence[Message]) -> int:
        try:
            runtime = runtimes.get(alias)
            answers = runtime.publish(messages)
        except Exception:
            # Whatever a broker's client raises: the rows stand, the sweep announces them.
            logger.warning(
                "could not publish on commit, left to the sweep", extra={"runtime": alias}, exc_info=True
            )
            connections[config.database].close()
            return 0
        if runtime.carries_messages:
            self.marks += marks(messages, answers, tries=[0] * len(messages))
        return sum(answer.error is None for answer in answers)

    def mark(self) -> None:
        taken, self.marks, self.marked_at = self.marks, [], time.monotonic()
        if not taken:
            return
        try:
            store().mark_announced(taken)
        except Exception:
            # Unmarked rows are announced once more, which is harmless.
            logger.warning("could not mark announcements", extra={"count": len(taken)}, exc_info=True)
            connections[config.database].close()

    def flush(self) -> None:
        """Give the thread a moment to send what waits (at exit)."""
        thread = self.thread
        if thread is not None and thread.is_alive():
            self.batches.put(None)
            thread.join(FLUSH)


def marks(messages: Sequence[Message], answers: Sequence[Published], *, tries: Sequence[int]) -> list[Mark]:
    """Say for each publish when its row is to be announced again: protocol, "Announce"."""
    republish = config.republish_after.total_seconds()
    told: list[Mark] = []
    for message, answer, tried in zip(messages, answers, tries, strict=True):
        wait: float | None = min(900.0, republish * 2 ** min(max(tried - 1, 0), 10))
        if answer.error is not None:
            wait = None if answer.certain else republish
        error = answer.error and answer.error[:500]
        told.append((message.run_id, message.seq, tried, answer.ref and answer.ref[:200], error, wait))
    return told


def under_test() -> bool:
    """Tell whether Django's test environment is set up: the test database is dropped while this thread lives."""
    utils = sys.modules.get("django.test.utils")
    return utils is not None and hasattr(utils._TestState, "saved_data")


publisher = Publisher()


def announce_on_commit(alias: str, messages: Sequence[Message]) -> None:
    """Hand messages to this process's publisher when the transaction of OpenQueue's database commits.

    Under manual transaction management (autocommit off) Django tells no one of the commit: the sweep announces.
    """
    connection = connections[config.database]
    if not connection.in_atomic_block and not connection.get_autocommit():
        return
    connection.on_commit(partial(put, alias, messages), robust=True)


def after_fork() -> None:
    """A child has no publisher thread, whatever its parent had."""
    global publisher
    publisher = Publisher()


def put(alias: str, messages: Sequence[Message]) -> None:
    """Hand messages to the publisher now."""
    publisher.put(alias, messages)


os.register_at_fork(after_in_child=after_fork)
atexit.register(lambda: publisher.flush())
