"""Writes down how runs ended, by minute, hour and day, and groups what failed."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Final

from openqueue.conf import config
from openqueue.core import rollups
from openqueue.processes.sweeps.batch import Batch
from openqueue.store import store

USUAL: Final = timedelta(seconds=15)
BEHIND: Final = timedelta(seconds=5)
MINUTES: Final = 60
"""At once; fewer where that takes long."""
LIMIT, LONGEST = timedelta(seconds=1), timedelta(seconds=20)
"""Of one statement, where the database can be told so: other sweeps wait for this one. The second, of one minute."""
BUDGET: Final = 0.5
"""Seconds of one turn."""
CHUNK: Final = 5_000


class Rollups:
    """Any number of them, anywhere: a minute that is written again says the same."""

    name = "rollups"

    def __init__(self) -> None:
        self.every = USUAL
        self.batch = Batch(MINUTES)

    def step(self, now: datetime | None = None) -> int:
        """Write what is over; return how many spans of minutes that were."""
        began, done = time.monotonic(), 0
        more = True
        while more and time.monotonic() - began < BUDGET:
            more = self.batch.do(lambda size: self.advance(size, now=now))
            done += more
        self.every = BEHIND if more else USUAL
        if not more:
            self.prune(now=now)
        return done

    @staticmethod
    def advance(minutes: int, *, now: datetime | None) -> bool:
        with store().bounded(LIMIT if minutes > 1 else LONGEST, writes=True):
            return rollups.advance(minutes=minutes, now=now)

    @staticmethod
    def prune(*, now: datetime | None) -> None:
        """Delete rows past their time."""
        moment = store().clock(now)
        for period in rollups.PERIODS:
            if (kept := config.retention[period]) is not None:
                rollups.prune(period, before=moment - kept, limit=CHUNK)
