"""Runs that wait at a limit: those whose delay is over or whose rate has room again, and whoever was forgotten."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from openqueue.core import permits, post_commit
from openqueue.store import permits as waiting
from openqueue.store import store

BATCH: Final = 100
BATCHES: Final = 10
"""Of limits, in one turn."""
SHORTEST: Final = timedelta(milliseconds=125)
LONGEST: Final = timedelta(milliseconds=500)
"""While nobody waits."""


class Permits:
    """Looks at the limits in turn, and leaves those alone that somebody else looks at just now.

    What frees a permit has the next let through at once; this mends what a crash in between has left.
    """

    name = "permits"

    def __init__(self) -> None:
        self.every = SHORTEST
        self.last = ""
        """The limit that the last turn ended with."""

    def step(self, now: datetime | None = None) -> int:
        """Look at some limits; return how many runs were let through."""
        admitted = 0
        for _ in range(BATCHES):
            names = waiting.waited_for(store(), after=self.last, limit=BATCH)
            self.last = names[-1] if len(names) == BATCH else ""
            if not names:
                break
            rows = permits.admit(names, patient=False, now=now)
            for alias, messages in permits.messages(rows):
                post_commit.put(alias, messages)
            admitted += len(rows)
            if not self.last:
                break
        self.every = SHORTEST if names else LONGEST
        return admitted
