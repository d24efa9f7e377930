"""Offers every sweep its turn; each is skipped where another process did it within its interval."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Protocol

from django.db import DatabaseError, InterfaceError

from openqueue import runtimes
from openqueue.conf import config
from openqueue.processes.loop import Loop
from openqueue.processes.sweeps.alerts import Alerts
from openqueue.processes.sweeps.announcer import Announcer
from openqueue.processes.sweeps.deliveries import Deliveries
from openqueue.processes.sweeps.depths import Depths
from openqueue.processes.sweeps.due import Due
from openqueue.processes.sweeps.expiry import Expiry
from openqueue.processes.sweeps.flows import Flows
from openqueue.processes.sweeps.permits import Permits
from openqueue.processes.sweeps.reaper import Reaper
from openqueue.processes.sweeps.retention import Retention
from openqueue.processes.sweeps.rollups import Rollups
from openqueue.processes.sweeps.schedules import Schedules
from openqueue.processes.sweeps.stored import Stored
from openqueue.store import store

logger = logging.getLogger("openqueue")


class Sweep(Protocol):
    """One kind of sweep."""

    name: str
    every: timedelta

    def step(self, now: datetime | None = None) -> int:
        """Do one bounded batch; return how much was done."""


NAMES: Final = (
    Due.name, Permits.name, Announcer.name, Schedules.name, Reaper.name, Expiry.name, Flows.name, Rollups.name,
    Depths.name, Alerts.name, Deliveries.name, Retention.name, Stored.name,
)  # fmt: skip
SLACK: Final = 0.03
"""Seconds: a loop's wake that comes a little early is not too early."""
SHORTEST_PAUSE, LONGEST_PAUSE = 0.02, 0.5
"""Seconds between looks at which sweeps are due."""
SHARED: Final = timedelta(seconds=5)
"""Sweeps at this interval or longer ask the sweeps table whether somebody just did them."""


class Sweeps:
    """All sweeps of one process; `step` gives each its turn."""

    def __init__(
        self,
        *,
        only: Sequence[str] | None = None,
        runtime: str | None = None,
        rouse: Callable[[], None] = lambda: None,
    ) -> None:
        deliveries = Deliveries()
        made: list[Sweep] = [
            Due(rouse=rouse),
            Permits(),
            Announcer(runtime=runtime),
            Schedules(),
            Reaper(),
            Expiry(),
            Flows(),
            Rollups(),
            Depths(),
            Alerts(rouse=deliveries.rouse),
            deliveries,
            Retention(),
            Stored(),
        ]
        self.sweeps = [sweep for sweep in made if only is None or sweep.name in only]
        self.next_at = dict.fromkeys((sweep.name for sweep in self.sweeps), 0.0)
        self.looked_at = time.time()

    def step(self, now: datetime | None = None) -> int:
        """Do what is due; a sweep that did a full batch goes on at once."""
        done = 0
        for sweep in self.sweeps:
            self.look_back()
            moment = time.monotonic()
            if moment < self.next_at[sweep.name] - SLACK:
                continue
            self.next_at[sweep.name] = moment + jittered(sweep.every)
            try:
                done += self.turn(sweep, now=now)
            except (DatabaseError, InterfaceError):
                self.interrupted()
                raise
            self.next_at[sweep.name] = moment + jittered(sweep.every)
        return done

    def pause(self) -> float:
        """Return the seconds until the next sweep is due: an idle process costs by how often it wakes."""
        wait = min(self.next_at.values()) - time.monotonic()
        return min(LONGEST_PAUSE, max(SHORTEST_PAUSE, wait))

    def turn(self, sweep: Sweep, *, now: datetime | None) -> int:
        if sweep.every >= SHARED:
            mine = store().take_turn(sweep.name, every=sweep.every * 0.9, now=now)
            self.look_back()
            if not mine:
                if isinstance(sweep, Reaper):
                    sweep.watch()  # it was another's turn, but this one has seen the database
                return 0
        return sweep.step(now)

    def look_back(self) -> None:
        """Notice when the last look is long ago: the database was silent, or this process slept, or its host.

        Who was cut off as well, or slept as well, has had no time to say that it lives.
        """
        now = time.time()
        if abs(now - self.looked_at) > LONGEST_PAUSE + config.heartbeat.total_seconds():
            self.interrupted()
        self.looked_at = now

    def interrupted(self) -> None:
        """The database failed: a reaper must see it well for a while before it acts again."""
        for sweep in self.sweeps:
            if isinstance(sweep, Reaper):
                sweep.interrupted()


def jittered(every: timedelta) -> float:
    """Return seconds that differ a little each time, so that processes which began together drift apart."""
    return every.total_seconds() * random.uniform(0.9, 1.1)  # noqa: S311  # jitter


def loops(*, only: Sequence[str] = NAMES, runtime: str | None = None) -> dict[str, Loop]:
    """Return the loops that do these sweeps."""
    return {part: make() for part, make in makers(only=only, runtime=runtime).items()}


def makers(*, only: Sequence[str] = NAMES, runtime: str | None = None) -> dict[str, Callable[[], Loop]]:
    """Return what makes each of these loops. A broker that takes long to answer holds up the announcer alone."""
    bell = threading.Event()  # rung where rows fall due, heard where they are announced
    apart = [Announcer.name] if any(runtimes.get(alias).carries_messages for alias in config.runtimes) else []
    parts: dict[str, Callable[[], Loop]] = {}
    if others := [name for name in only if name not in apart]:
        parts["sweeps"] = partial(sweeping, others, runtime=runtime, bell=bell)
    if any(name in apart for name in only):
        parts["announce"] = partial(announcing, runtime=runtime, bell=bell)
    return parts


def sweeping(names: Sequence[str], *, runtime: str | None, bell: threading.Event) -> Loop:
    sweeps = Sweeps(only=names, runtime=runtime, rouse=bell.set)
    return Loop("sweeps", sweeps.step, pause=sweeps.pause, greedy=False)


def announcing(*, runtime: str | None, bell: threading.Event) -> Loop:
    announcer = Announcer(runtime=runtime)
    return Loop("announce", announcer.step, pause=lambda: jittered(announcer.every), bell=bell, greedy=False)
