"""Offers every sweep its turn; each is skipped where another process did it within its interval."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol

from django.db import DatabaseError, InterfaceError

from openqueue.conf import config
from openqueue.processes.sweeps.announcer import Announcer
from openqueue.processes.sweeps.due import Due
from openqueue.processes.sweeps.expiry import Expiry
from openqueue.processes.sweeps.reaper import Reaper
from openqueue.processes.sweeps.retention import Retention
from openqueue.store import store

logger = logging.getLogger("openqueue")


class Sweep(Protocol):
    """One kind of sweep."""

    name: str
    every: timedelta

    def step(self, now: datetime | None = None) -> int:
        """Do one bounded batch; return how much was done."""


NAMES: Final = (Due.name, Announcer.name, Reaper.name, Expiry.name, Retention.name)
SHARED: Final = timedelta(seconds=5)
"""Sweeps at this interval or longer ask the sweeps table whether somebody just did them."""


class Sweeps:
    """All sweeps of one process; `step` gives each its turn."""

    every = 0.125

    def __init__(self, *, only: Sequence[str] | None = None, runtime: str | None = None) -> None:
        made: list[Sweep] = [Due(), Announcer(runtime=runtime), Reaper(), Expiry(), Retention()]
        self.sweeps = [sweep for sweep in made if only is None or sweep.name in only]
        self.next_at = dict.fromkeys((sweep.name for sweep in self.sweeps), 0.0)
        self.ended_at = time.time()

    def step(self, now: datetime | None = None) -> int:
        """Do what is due; a sweep that did a full batch goes on at once."""
        done = 0
        if time.time() - self.ended_at > self.every + config.heartbeat.total_seconds():
            self.interrupted()  # this process slept, or its host: who slept with it has not had time to say so
        for sweep in self.sweeps:
            moment = time.monotonic()
            if moment < self.next_at[sweep.name]:
                continue
            self.next_at[sweep.name] = moment + sweep.every.total_seconds()
            try:
                done += self.turn(sweep, now=now)
            except (DatabaseError, InterfaceError):
                self.interrupted()
                raise
            self.next_at[sweep.name] = moment + sweep.every.total_seconds()
        self.ended_at = time.time()
        return done

    @staticmethod
    def turn(sweep: Sweep, *, now: datetime | None) -> int:
        if sweep.every >= SHARED and not store().take_turn(sweep.name, every=sweep.every * 0.9, now=now):
            if isinstance(sweep, Reaper):
                sweep.watch()  # it was another's turn, but this one has seen the database
            return 0
        return sweep.step(now)

    def interrupted(self) -> None:
        """The database failed: a reaper must see it well for a while before it acts again."""
        for sweep in self.sweeps:
            if isinstance(sweep, Reaper):
                sweep.interrupted()
