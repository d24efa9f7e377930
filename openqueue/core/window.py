"""How much of a queue is announced at once: what is not yet announced can still be reordered, limited, cancelled."""

from __future__ import annotations

import time
from typing import Final

WINDOW: Final = 5_000
"""Messages of one queue at its broker."""
SECONDS: Final = 10.0
"""Or what its workers drain in so many seconds, when that is more."""
SPAN: Final = 1.0
"""Seconds over which the drain is measured."""


class Window:
    """What one process knows of one queue: how many messages its broker had, and how fast they went."""

    def __init__(self) -> None:
        self.depth = 0
        self.seen_at = float("-inf")
        self.rate = 0.0
        """Messages a second."""
        self.drained = 0
        self.since = time.monotonic()

    @property
    def room(self) -> int:
        """Return how many more may be announced, by the count last known."""
        return max(0, max(WINDOW, int(self.rate * SECONDS)) - self.depth)

    @property
    def age(self) -> float:
        """Return the seconds since the count was taken."""
        return time.monotonic() - self.seen_at

    def saw(self, depth: int) -> None:
        """Note a count of the broker's."""
        now = time.monotonic()
        self.drained += max(0, self.depth - depth)
        if now - self.since >= SPAN:
            self.rate = self.drained / (now - self.since)
            self.drained, self.since = 0, now
        self.depth, self.seen_at = depth, now

    def sent(self, count: int) -> None:
        """Note what was published since."""
        self.depth += count
