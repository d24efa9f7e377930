"""Ticks: what schedules are due becomes runs."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from openqueue.processes.sweeps.batch import Batch
from openqueue.schedules import declared, page
from openqueue.store import scheduling, store

BATCH: Final = 500
LONGEST: Final = timedelta(seconds=1)
"""Until the next look: schedules are made and changed by other processes meanwhile."""


class Schedules:
    """Any number of processes do this at once: each takes rows that no other holds."""

    name = "schedules"

    def __init__(self) -> None:
        self.every = LONGEST
        self.batch = Batch(BATCH)
        self.is_synchronised = False

    def step(self, now: datetime | None = None) -> int:
        """Do one page; return how many schedules were dealt with. `every` is then the time until the next is due."""
        if not self.is_synchronised:
            declared.synchronise(now=now)
            self.is_synchronised = True
        clock, due, waiting = scheduling.outlook(store(), now=now)
        done = 0
        if due is not None and due <= clock:
            done = self.batch.do(lambda size: page.tick_due(limit=size, now=now))
            if not done and due <= clock - page.UNKNOWN_FOR:
                done = self.batch.do(lambda size: page.tick_unknown(limit=size, now=now))
        if waiting:
            done += self.batch.do(lambda size: page.tick_freed(limit=size, now=now))
        if done:
            clock, due, _ = scheduling.outlook(store(), now=now)
        self.every = LONGEST if due is None else min(LONGEST, due - clock)
        if self.every <= timedelta() and not done:
            self.every = LONGEST  # what is due is another's
        return done
