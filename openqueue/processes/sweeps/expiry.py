"""Runs that were not started within their time to live."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from openqueue.core import transitions
from openqueue.processes.sweeps.batch import Batch

BATCH: Final = 500
SHORTEST: Final = timedelta(seconds=2)
LONGEST: Final = timedelta(seconds=4)
"""While nothing expires."""


class Expiry:
    """Ends them `expired`; a claim never takes such a row, so this only says it."""

    name = "expiry"

    def __init__(self) -> None:
        self.every = SHORTEST
        self.batch = Batch(BATCH)

    def step(self, now: datetime | None = None) -> int:
        """End one batch."""
        ended = self.batch.do(lambda size: transitions.expire(limit=size, now=now))
        self.every = SHORTEST if ended else LONGEST
        return len(ended)
