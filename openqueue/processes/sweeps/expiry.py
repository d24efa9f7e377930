"""Runs that were not started within their time to live."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from openqueue.core import transitions

BATCH: Final = 500


class Expiry:
    """Ends them `expired`; a claim never takes such a row, so this only says it."""

    name = "expiry"
    every = timedelta(seconds=2)

    def step(self, now: datetime | None = None) -> int:
        """End one batch."""
        return len(transitions.expire(limit=BATCH, now=now))
