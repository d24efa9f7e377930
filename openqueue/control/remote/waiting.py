"""Long polls: one thread of a process looks for all requests that wait; none of them holds a connection meanwhile."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection, Mapping
from typing import Final

from django.db import DatabaseError, InterfaceError, connections

from openqueue.conf import config
from openqueue.models import Outbox
from openqueue.store import store

logger = logging.getLogger("openqueue")

SHORTEST: Final = 0.05
LONGEST: Final = 0.5
"""Seconds between looks; longer the longer nothing comes, the shortest again when somebody new waits."""
REST: Final = 5
"""A look that takes long, past a backlog that is for others, is followed by so many times its length."""
LONGEST_REST: Final = 2.0


class Waiter:
    """One request that waits for work."""

    __slots__ = ("bell", "queues", "tasks")

    def __init__(self, queues: Collection[str], tasks: Collection[str]) -> None:
        self.queues = frozenset(queues)
        self.tasks = frozenset(tasks)
        self.bell = threading.Event()


class Lookout:
    """Looks while anybody waits, with a connection of its own thread's; ends when nobody does."""

    def __init__(self) -> None:
        self.guard = threading.Lock()
        self.waiters: set[Waiter] = set()
        self.thread: threading.Thread | None = None
        self.stirred = threading.Event()

    def wait(self, waiter: Waiter, *, seconds: float) -> bool:
        """Tell whether there may be work, within so many seconds; at once when too many wait already."""
        with self.guard:
            if len(self.waiters) >= config.long_polls:
                return False
            self.waiters.add(waiter)
            if self.thread is None:
                self.thread = threading.Thread(target=self.run, name="openqueue-lookout", daemon=True)
                self.thread.start()
        self.stirred.set()
        try:
            return waiter.bell.wait(seconds)
        finally:
            with self.guard:
                self.waiters.discard(waiter)

    def run(self) -> None:
        """Look until nobody waits any more."""
        pause = SHORTEST
        try:
            while True:
                if self.stirred.wait(pause):
                    self.stirred.clear()
                    pause = SHORTEST
                    self.stirred.wait(
                        SHORTEST
                    )  # a request that just looked in vain need not be looked for at once
                with self.guard:
                    waiters = list(self.waiters)
                    if not waiters:
                        self.thread = None
                        return
                began = time.monotonic()
                self.look(waiters)
                rest = min(LONGEST_REST, REST * (time.monotonic() - began))
                pause = max(min(LONGEST, pause * 2), rest)
        finally:
            connections.close_all()

    def look(self, waiters: Collection[Waiter]) -> None:
        """Ring for those whose queues have a ready row of their tasks: one statement for all."""
        queues = {queue for waiter in waiters for queue in waiter.queues}
        tasks = {task for waiter in waiters for task in waiter.tasks}
        rows = Outbox.objects.using(store().alias).filter(ready=True, queue__in=queues, task_id__in=tasks)
        try:
            found = set(rows.order_by().values_list("queue", "task_id").distinct())
        except (DatabaseError, InterfaceError):
            logger.warning("could not look for work that requests wait for", exc_info=True)
            connections.close_all()
            return
        for waiter in waiters:
            if any(queue in waiter.queues and task in waiter.tasks for queue, task in found):
                waiter.bell.set()


lookout = Lookout()


def for_work(rooms: Mapping[str, Mapping[str, int]], tasks: Collection[str], *, until: float) -> bool:
    """Wait until there may be work in these queues, without a connection; False: the time is over, or too many wait."""
    seconds = until - time.monotonic()
    queues = [queue for some in rooms.values() for queue in some]
    if seconds <= 0 or not queues or not tasks:
        return False
    connection = store().connection
    if not connection.in_atomic_block:
        connection.close()
    return lookout.wait(Waiter(queues, tasks), seconds=seconds)
