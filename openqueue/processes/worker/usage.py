"""How much memory this worker takes, now and in its last hour."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from openqueue.processes.worker.recycling import rss
from openqueue.types import Memory

KEPT: Final = 60
"""Minutes."""


class Usage:
    """Looked at with each heartbeat; what was is told again once in a minute, so that a beat stays small."""

    def __init__(self, *, children: Callable[[], int] = lambda: 0) -> None:
        self.children = children
        """Returns the bytes that the children take, in which tasks run that have a process of their own."""
        self.minutes: dict[int, int] = {}
        self.told = -1
        """The minute in which the history was last told."""

    def look(self, *, now: float | None = None) -> Memory:
        """Return what is taken now; with its history where a minute has begun since that was told.

        now: seconds since 1970 by this host's clock; only tests pass it.
        """
        minute = int(time.time() if now is None else now) // 60
        taken = int(rss() * 2**20) + self.children()
        self.minutes[minute] = max(taken, self.minutes.get(minute, 0))
        for old in [one for one in self.minutes if not minute - KEPT < one <= minute]:
            del self.minutes[old]  # also those of a clock that was set back
        if minute == self.told:
            return Memory(resident=taken)
        self.told = minute
        return Memory(resident=taken, history=sorted(self.minutes.items()))

    def forget_told(self) -> None:
        """Tell the history with the next look: there is a new row, which has none."""
        self.told = -1
