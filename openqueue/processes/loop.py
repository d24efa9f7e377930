"""The loop that every process part runs in: step, pause, recover."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from django.db import connections

from openqueue.store import store

logger = logging.getLogger("openqueue")

LONGEST_BACKOFF: Final = 5.0


class Loop(threading.Thread):
    """Calls ``step`` in a thread of its own until told to stop; a failing step is tried again with back-off.

    ``step`` returns how much it did; after real work it is called again at once, else after ``every`` seconds, or as
    many as ``pause`` says, or when the ``bell`` is rung.
    """

    def __init__(
        self,
        name: str,
        step: Callable[[], int],
        *,
        every: float = 0.0,
        pause: Callable[[], float] | None = None,
        bell: threading.Event | None = None,
        greedy: bool = True,
        longest_backoff: float = LONGEST_BACKOFF,
        ending: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(name=f"openqueue-{name}", daemon=True)
        self.step = step
        self.every = every
        self.pause = pause
        self.bell = bell or threading.Event()
        self.greedy = greedy
        self.longest_backoff = longest_backoff
        self.ending = ending
        """Called at the end, in this thread: whatever belongs to one thread is closed by it."""
        self.stopping = threading.Event()
        self.abandoned = False
        self.failures = 0
        self.turns = 0
        """Steps that came to an end, well or not."""
        self.began_at: float | None = None
        """When the step that runs now began, monotonic."""

    def run(self) -> None:
        """Run until `stop`."""
        store().pin_plans()
        while not self.stopping.is_set():
            self.began_at = time.monotonic()
            pause = self.turn()
            self.began_at = None
            self.turns += 1
            if pause:
                self.bell.wait(pause)
            self.bell.clear()
        with suppress(Exception):  # what cannot be closed is gone already
            self.ending()
        connections.close_all()

    @property
    def stuck_for(self) -> float:
        """Seconds since the step began that has not come back yet."""
        began = self.began_at
        return 0.0 if began is None else time.monotonic() - began

    def abandon(self) -> None:
        """Expect nothing more of this thread: should its step come back, what it brings is refused."""
        self.abandoned = True
        self.stop()

    def turn(self) -> float:
        """Do one step; return the seconds to pause after it."""
        try:
            done = self.step()
        except Exception:  # a step must never end the loop: the database may be away, and come back
            self.failures += 1
            level = logging.WARNING if self.failures == 1 else logging.INFO
            logger.log(level, "%s failed, it will be tried again", self.name, exc_info=self.failures <= 3)
            connections.close_all()
            longest = min(self.longest_backoff, LONGEST_BACKOFF)
            return min(longest, 0.1 * 2.0 ** min(self.failures, 8)) * random.uniform(0.5, 1)  # noqa: S311  # jitter
        if self.failures:
            logger.warning("%s works again", self.name, extra={"failures": self.failures})
        self.failures = 0
        if done and self.greedy:
            return 0.0
        if self.pause is not None:
            return self.pause()
        return self.every * random.uniform(0.9, 1.1)  # noqa: S311  # jitter

    def stop(self) -> None:
        """Ask the loop to end after its step."""
        self.stopping.set()
        self.bell.set()


def is_abandoned() -> bool:
    """Tell a step that waited whether its thread was replaced meanwhile."""
    return getattr(threading.current_thread(), "abandoned", False)
