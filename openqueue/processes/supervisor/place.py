"""A place for one worker: who fills it, and when the next one may."""

from __future__ import annotations

import time
from typing import Final

from openqueue.processes.supervisor.child import Child

EARLY: Final = 10.0
"""Seconds: a worker that dies sooner died early."""
SHORTEST: Final = 0.25
LONGEST: Final = 30.0
"""Seconds between a death and the next start, from the second early death in a row; doubled with each."""


class Place:
    """Filled by one child after the other."""

    def __init__(self) -> None:
        self.child: Child | None = None
        self.next_at = 0.0
        """When the next child may start, monotonic."""
        self.early = 0
        """Early deaths in a row."""
        self.failed_starts = 0
        """Deaths in a row before the first lease."""
        self.is_through = False
        """Its worker has drained what was due: nobody follows it."""

    @property
    def is_due(self) -> bool:
        """Whether a child should start now."""
        return self.child is None and not self.is_through and time.monotonic() >= self.next_at

    def fill(self, child: Child) -> None:
        self.child = child

    def vacate(self, *, mourned: bool) -> float:
        """Take leave of the child; return the seconds until the next one. ``mourned``: it went without order."""
        assert self.child is not None  # noqa: S101  # who is taken leave of was there
        ready, age = self.child.is_ready, self.child.age
        self.child = None
        self.failed_starts = self.failed_starts + 1 if mourned and not ready else 0
        self.early = self.early + 1 if mourned and age < EARLY else 0
        wait = min(LONGEST, SHORTEST * 2.0 ** min(self.early - 2, 10)) if self.early > 1 else 0.0
        self.next_at = time.monotonic() + wait
        return wait
