"""Looks at how much stands in each queue, once in a minute."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from openqueue.conf import config
from openqueue.core import depths
from openqueue.store import store

EVERY: Final = timedelta(seconds=20)
"""Turns are up to twice as far apart, where many processes take them: so every minute has one."""
CHUNK: Final = 5_000


class Depths:
    """The first turn of a minute, whoever has it, looks; the others of that minute have nothing to do."""

    name = "depths"
    every = EVERY

    def step(self, now: datetime | None = None) -> int:
        """Look, where nobody did in this minute; then hours are made of minutes, and old ones deleted."""
        if not depths.look(now=now):
            return 0
        depths.gather(now=now)
        moment = store().clock(now)
        for period in depths.PERIODS:
            if (kept := config.retention[period]) is not None:
                depths.prune(period, before=moment - kept, limit=CHUNK)
        return 1
