"""Payloads in the storage of LARGE_PAYLOADS whose runs are gone, or never came to be."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import islice
from typing import Final

from openqueue import payloads
from openqueue.conf import config
from openqueue.ids import made_at
from openqueue.models import Run
from openqueue.store import store

BATCH: Final = 1_000
YOUNG: Final = timedelta(days=1)
"""No transaction that makes a run takes so long: until then a file may be of one that has not committed."""


class Stored:
    """Deletes files that no run needs: it was rolled back, a key was taken, retention or an operator deleted it.

    One rule for all of them, and none of them waits for a storage. Each step looks at the folder of a day, the next one
    after that, and from the beginning again.
    """

    name = "payloads"
    every = timedelta(seconds=60)

    def __init__(self) -> None:
        self.day = ""

    def step(self, now: datetime | None = None) -> int:
        """Look at one folder, and delete one batch."""
        if config.large_payloads is None:
            return 0
        days = payloads.days()
        if not days:
            return 0
        self.day = next((day for day in days if day > self.day), days[0])
        old = (store().clock(now) - YOUNG).timestamp()
        found = ((run, name) for run, name in payloads.files(self.day) if made_at(run) < old)
        deleted = 0
        while chunk := dict(islice(found, BATCH)):
            there = Run.objects.using(store().alias).filter(pk__in=chunk.keys())
            gone = chunk.keys() - set(there.values_list("pk", flat=True))
            payloads.delete([chunk[run] for run in gone])
            deleted += len(gone)
            if deleted >= BATCH:
                break
        return deleted
