"""How fast new runs are made, and whether to go on at all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

MOST: Final = 200
"""Runs of one transaction."""


class Pace:
    """A second's worth of runs at a time, then a rest; `stop` ends both. Without a rate nothing rests."""

    def __init__(self, rate: float | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate = rate
        """Runs a second."""
        self.clock = clock
        self.stopped = threading.Event()
        self.next_at = clock()

    @property
    def room(self) -> int:
        """Return how many runs may be made now."""
        return MOST if self.rate is None else min(MOST, max(1, int(self.rate)))

    def stop(self) -> None:
        """Have the replay end after the page that it is at; any thread or signal handler may call it."""
        self.stopped.set()

    def rest(self, count: int) -> None:
        """Wait until so many were not too many."""
        if self.rate is not None and count:
            self.next_at = max(self.clock(), self.next_at) + count / self.rate
            self.stopped.wait(max(0.0, self.next_at - self.clock()))
