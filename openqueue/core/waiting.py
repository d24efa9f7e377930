"""Waiting for the end of runs: one thread and one connection look for all that wait in this process."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final
from uuid import UUID

from django.db import connections

from openqueue.core.post_commit import under_test
from openqueue.store import store, waking

logger = logging.getLogger("openqueue")

SHORTEST, LONGEST = 0.01, 0.25
"""Seconds between looks: half the time that the newest has waited."""
LISTENING: Final = 0.5
"""The same while notifications come; they may be lost, rows are not."""
LINGER: Final = 2.0
"""Seconds without anybody who waits after which thread and connection end."""
AT_ONCE: Final = 1_000
"""Runs that one look asks for."""


class Looker:
    """Looks for the ends of all runs that somebody waits for here; started when somebody does."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.wakers: dict[UUID, list[Callable[[], None]]] = {}
        self.joined_at = 0.0
        """When the newest began to wait, monotonic."""
        self.thread: threading.Thread | None = None
        self.bell: waking.Bell | None = None
        self.failed = False
        """The last thread ended by an error: who waits has to look for themselves."""

    @contextmanager
    def waiting(self, run: UUID, wake: Callable[[], None]) -> Iterator[None]:
        """Have ``wake`` called, from another thread, once the run has ended."""
        with self.lock:
            self.wakers.setdefault(run, []).append(wake)
            self.joined_at = time.monotonic()
            if self.thread is None:
                self.failed = False
                self.bell = waking.Bell()
                self.thread = threading.Thread(
                    target=self.run, args=[self.bell], name="openqueue-waiter", daemon=True
                )
                self.thread.start()
            elif self.bell is not None:
                self.bell.ring()
        try:
            yield
        finally:
            with self.lock:
                left = self.wakers.get(run, [])
                if wake in left:
                    left.remove(wake)
                if not left:
                    self.wakers.pop(run, None)
                if under_test() and not self.wakers and self.bell is not None:
                    self.bell.ring()  # its connection should be gone before the test's database is

    def run(self, bell: waking.Bell) -> None:
        """Look until nobody waits any more."""
        try:
            while self.goes_on():
                bell.listen(store().connection)
                self.look()
                bell.wait(self.pause(bell))
        except (
            Exception
        ):  # whatever a driver raises when its connection is gone: who waits looks for themselves
            logger.warning("could not look for the ends of runs", exc_info=True)
            with self.lock:
                self.thread, self.bell, self.failed = None, None, True
        finally:
            connections.close_all()
            bell.close()

    def goes_on(self) -> bool:
        """Tell whether to look again; if not, this thread is nobody's any more."""
        linger = 0.0 if under_test() else LINGER
        with self.lock:
            if self.wakers or time.monotonic() - self.joined_at < linger:
                return True
            self.thread = self.bell = None
            return False

    def look(self) -> None:
        """Wake those whose runs have ended."""
        with self.lock:
            runs = list(self.wakers)
        for at in range(0, len(runs), AT_ONCE):
            for run in waking.ended(store(), runs[at : at + AT_ONCE]):
                with self.lock:
                    woken = self.wakers.pop(run, [])
                for wake in woken:
                    wake()

    def pause(self, bell: waking.Bell) -> float:
        if not self.wakers:
            return LINGER
        if bell.is_told:
            return LISTENING
        return min(LONGEST, max(SHORTEST, (time.monotonic() - self.joined_at) / 2))


looker = Looker()


def after_fork() -> None:
    """A child has no such thread, whatever its parent had."""
    global looker
    looker = Looker()


os.register_at_fork(after_in_child=after_fork)
