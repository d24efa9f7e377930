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
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import groupby
from typing import Final
from uuid import UUID

from django.db import connections

from openqueue import runtimes
from openqueue.conf import config
from openqueue.core import ahead, permits, rehearsal
from openqueue.core.window import Window
from openqueue.runtimes.base import Message, Published, Runtime
from openqueue.store import store
from openqueue.store.base import Mark
from openqueue.types import Announcement

logger = logging.getLogger("openqueue")

CAPACITY: Final = 1_000
"""Batches that may wait for the thread; what does not fit is left to the announcing sweep."""
MARK_EVERY: Final = 1.0
COUNT_EVERY: Final = 1.0
"""Seconds between looks at how much a broker has of a queue."""
GRACE: Final = 0.5
"""Seconds that a message which a broker held has to come after it is due; then the sweep sees to it."""
IDLE: Final = 30.0
"""Seconds without work after which the thread closes its database connection."""
FLUSH: Final = 1.0
Batch = tuple[str, Sequence[Message]]
PutBack = list[UUID]
"""Runs that a settle has put back: their messages are read when their turn comes."""
Limits = frozenset[str]
"""Names of limits that may let somebody through now."""


class Publisher:
    """Takes batches of (runtime alias, messages) and publishes what has gathered, in one go."""

    def __init__(self) -> None:
        self.batches: queue.SimpleQueue[Batch | PutBack | Limits | None] = queue.SimpleQueue()
        self.marks: list[Mark] = []
        self.marked_at = time.monotonic()
        self.thread: threading.Thread | None = None
        self.starting = threading.Lock()
        self.idle = threading.Event()
        self.windows: defaultdict[tuple[str, str], Window] = defaultdict(Window)

    def put(self, batch: Batch | PutBack | Limits) -> None:
        if self.batches.qsize() < CAPACITY:
            self.idle.clear()
            self.batches.put(batch)
        if self.thread is None:
            with self.starting:
                if self.thread is None:
                    self.thread = threading.Thread(target=self.run, name="openqueue-publisher", daemon=True)
                    self.thread.start()

    def run(self) -> None:
        store().pin_plans()
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

    def step(self, batches: Sequence[Batch | PutBack | Limits]) -> int:
        """Publish these batches, one call a runtime, and mark now and then; return how many messages went out."""
        sent, ahead_of_time = 0, False
        for alias, group in groupby(sorted(self.read(batches), key=lambda b: b[0]), key=lambda b: b[0]):
            messages = [message for _, some in group for message in some]
            sent += self.publish(alias, messages)
            ahead_of_time |= any(message.due for message in messages)
        # What is on its way ahead of its time is marked before the sweeps come to its row.
        if self.marks and (ahead_of_time or time.monotonic() - self.marked_at >= MARK_EVERY):
            self.mark()
        return sent

    def read(self, batches: Sequence[Batch | PutBack | Limits]) -> list[Batch]:
        """Return batches of messages: those that were given, and those that the database is asked for."""
        told = [batch for batch in batches if isinstance(batch, tuple)]
        runs = [run for batch in batches if isinstance(batch, list) for run in batch]
        looked = [batch for batch in batches if isinstance(batch, frozenset)]
        try:
            if runs:
                told += ahead.put_back(runs).items()
            if looked:
                told += permits.messages(permits.admit(frozenset().union(*looked)))
        except Exception:  # whatever the database says: the rows stand, the sweeps see to them
            logger.warning("could not announce, left to the sweeps", exc_info=True)
            connections[config.database].close()
        return told

    def publish(self, alias: str, messages: Sequence[Message]) -> int:
        try:
            runtime = runtimes.get(alias)
            if not runtime.carries_messages:
                return len(runtime.publish(messages))
            messages = self.admitted(runtime, messages)
            answers = runtime.publish(messages) if messages else []
            self.marks += marks(messages, answers)
            sent = [
                message for message, answer in zip(messages, answers, strict=True) if answer.error is None
            ]
            self.count(runtime, sent)
        except Exception:  # whatever a broker's client raises: the rows stand, the sweep announces them
            logger.warning(
                "could not publish on commit, left to the sweep", extra={"runtime": alias}, exc_info=True
            )
            connections[config.database].close()
            return 0
        return len(sent)

    def admitted(self, runtime: Runtime, messages: Sequence[Message]) -> Sequence[Message]:
        """Leave to the sweep what a queue has no room for by the count last known."""
        told: list[Message] = []
        for name, some in by_queue(messages).items():
            window = self.windows[runtime.alias, name]
            if not window.room and window.age > COUNT_EVERY:
                window.saw(runtime.inspect(name).depth or 0)
            told += some[: window.room]
        return told

    def count(self, runtime: Runtime, messages: Sequence[Message]) -> None:
        """Note what went out, and look now and then how much is still there."""
        for name, some in by_queue(messages).items():
            window = self.windows[runtime.alias, name]
            window.sent(len(some))
            if window.age > COUNT_EVERY:
                window.saw(runtime.inspect(name).depth or 0)

    def mark(self) -> None:
        taken, self.marks, self.marked_at = self.marks, [], time.monotonic()
        if not taken:
            return
        try:
            store().mark_announced(taken)
        except Exception:  # unmarked rows are announced once more, which is harmless
            logger.warning("could not mark announcements", extra={"count": len(taken)}, exc_info=True)
            connections[config.database].close()

    def flush(self) -> None:
        """Give the thread a moment to send what waits (at exit)."""
        thread = self.thread
        if thread is not None and thread.is_alive():
            self.batches.put(None)
            thread.join(FLUSH)


def by_queue(messages: Sequence[Message]) -> dict[str, list[Message]]:
    found: dict[str, list[Message]] = {}
    for message in messages:
        found.setdefault(message.queue, []).append(message)
    return found


def marks(
    messages: Sequence[Message], answers: Sequence[Published], leased: Sequence[Announcement] = ()
) -> list[Mark]:
    """Say for each publish when its row is to be announced again: protocol, "Announce".

    leased: their rows, one each, where a sweep has taken them; nobody has tried the others.
    """
    republish = config.republish_after.total_seconds()
    told: list[Mark] = []
    tried = [(row.tries, row.unheard) for row in leased] or [(0, 0)] * len(messages)
    for message, answer, (tries, unheard) in zip(messages, answers, tried, strict=True):
        wait: float | None = min(900.0, republish * 2 ** min(max(unheard - 1, 0), 10))
        if message.due:  # it is on its way: a moment after it should be there the sweep looks, if it is lost
            wait = max(0.0, message.due - time.monotonic()) + GRACE if answer.error is None else None
        elif answer.error is not None:
            wait = None if answer.certain else republish
        error = answer.error and answer.error[:500]
        told.append((message.run_id, message.seq, tries, answer.ref and answer.ref[:200], error, wait))
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
    on_commit(partial(put, alias, messages))


def admit_on_commit(limits: Iterable[str]) -> None:
    """Have this process's publisher see whom these limits have room for, when the transaction commits."""
    on_commit(partial(look, frozenset(limits)))


def on_commit(act: Callable[[], None]) -> None:
    connection = connections[config.database]
    if not connection.in_atomic_block and not connection.get_autocommit():
        return
    connection.on_commit(act, robust=True)


def announce_ahead(delays: Iterable[tuple[UUID, float]]) -> None:
    """Have this process's publisher announce runs that were put back, where their brokers hold them until their time.

    delays: of each run in seconds. The settle that put them back has committed.
    """
    if runs := ahead.soon(delays):
        publisher.put(runs)


def after_fork() -> None:
    """A child has no publisher thread, whatever its parent had."""
    global publisher
    publisher = Publisher()


def put(alias: str, messages: Sequence[Message]) -> None:
    """Hand messages to the publisher now."""
    if not rehearsal.is_on():
        publisher.put((alias, messages))


def look(limits: Limits) -> None:
    """Hand limits to the publisher now."""
    if not rehearsal.is_on():
        publisher.put(limits)


os.register_at_fork(after_in_child=after_fork)
atexit.register(lambda: publisher.flush())
