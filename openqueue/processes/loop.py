"""The loop that every process part runs in: step, pause, recover."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from typing import Final

from django.db import connections

from openqueue.store import store

logger = logging.getLogger("openqueue")

LONGEST_BACKOFF: Final = 5.0


class Loop(threading.Thread):
    """Calls ``step`` in a thread of its own until told to stop; a failing step is tried again with back-off.

    ``step`` returns how much it did; after real work it is called again at once, else after ``every`` seconds.
    """

    def __init__(
        self,
        name: str,
        step: Callable[[], int],
        *,
        every: float,
        greedy: bool = True,
        longest_backoff: float = LONGEST_BACKOFF,
    ) -> None:
        super().__init__(name=f"openqueue-{name}", daemon=True)
        self.step = step
        self.every = every
        self.greedy = greedy
        self.longest_backoff = longest_backoff
        self.stopping = threading.Event()
        self.failures = 0

    def run(self) -> None:
        """Run until `stop`."""
        store().pin_plans()
        while not self.stopping.is_set():
            pause = self.turn()
            if pause:
                self.stopping.wait(pause)
        connections.close_all()

    def turn(self) -> float:
        """Do one step; return the seconds to pause after it."""
        try:
            done = self.step()
        except Exception:
            # A step must never end the loop: the database may be away, and come back.
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
        return self.every * random.uniform(0.9, 1.1)  # noqa: S311  # jitter

    def stop(self) -> None:
        """Ask the loop to end after its step."""
        self.stopping.set()
