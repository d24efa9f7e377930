"""Rows falling due: delays and retries whose time has come."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from openqueue import runtimes
from openqueue.processes.sweeps.batch import Batch
from openqueue.runtimes.base import Message
from openqueue.store import store

BATCH: Final = 1_000
SHORTEST: Final = timedelta(milliseconds=125)
LONGEST: Final = timedelta(milliseconds=500)
"""Never early, at most a second late when idle."""


class Due:
    """Makes rows ready, set-wise; the run is not touched: a reader derives `queued` from the row."""

    name = "due"

    def __init__(self, *, rouse: Callable[[], None] = lambda: None) -> None:
        self.every = SHORTEST
        self.rouse = rouse
        """Has the announcing sweep of this process look at once."""
        self.batch = Batch(BATCH)

    def step(self, now: datetime | None = None) -> int:
        """Flip one batch and wake whoever waits for these queues."""
        flipped = self.batch.do(lambda size: store().flip_ready(limit=size, now=now))
        for alias in {alias for _, alias in flipped}:
            wake(alias)
        if flipped:
            self.rouse()
        self.every = SHORTEST if flipped else min(LONGEST, self.every * 2)
        return len(flipped)


def wake(alias: str) -> None:
    """Wake the workers of a runtime whose queue is the outbox; on brokers the announcing sweep does it."""
    runtime = runtimes.get(alias)
    if not runtime.carries_messages:
        runtime.publish([NUDGE])


NUDGE: Final = Message(run_id=None, seq=0, task_id="", queue="")  # type: ignore[arg-type]  # names no run: it only wakes
