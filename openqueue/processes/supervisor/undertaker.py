"""Gives back what dead workers held, without waiting for their leases to end."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from typing import Final
from uuid import UUID

from django.db import connections

from openqueue.processes.sweeps.reaper import BATCH, give_back
from openqueue.store import store

logger = logging.getLogger("openqueue")

PATIENCE: Final = 1.0


class Undertaker:
    """`step` waits for a death and returns its claims; while the database is away it keeps the names."""

    def __init__(self) -> None:
        self.deaths: SimpleQueue[Sequence[UUID]] = SimpleQueue()
        self.open: list[Sequence[UUID]] = []
        self.told = self.buried = 0

    def hear(self, incarnations: Sequence[UUID]) -> None:
        """Note that the process with these incarnations is dead for sure."""
        self.told += 1
        self.deaths.put(list(incarnations))

    def step(self) -> int:
        """Wait a moment for deaths; return how many claims were given back."""
        try:
            self.open.append(self.deaths.get(timeout=PATIENCE if not self.open else 0.001))
            while True:
                self.open.append(self.deaths.get_nowait())
        except Empty:
            pass
        workers = [worker for dead in self.open for worker in dead]
        returned = self.bury(workers) if workers else 0
        self.buried += len(self.open)
        self.open.clear()
        return returned

    def bury(self, workers: Sequence[UUID]) -> int:
        """Mark them lost first, so that nothing they still have on the way counts; then return their claims."""
        store().declare_lost(*workers)
        returned = 0
        while orphans := store().orphans(limit=BATCH, workers=workers):
            more = give_back(orphans)
            returned += more
            if not more:
                break  # a reaper was faster
        if returned:
            logger.warning("gave back the runs of dead workers", extra={"count": returned})
        connections.close_all()  # the next death may be days away
        return returned

    @property
    def idle(self) -> bool:
        """Nothing is left to give back."""
        return self.told == self.buried
