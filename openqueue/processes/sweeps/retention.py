"""Deletes history past its time, in bounded chunks."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from openqueue.conf import config
from openqueue.states import Status
from openqueue.store import store

CHUNK: Final = 1_000
WORKERS_KEPT: Final = timedelta(days=1)


class Retention:
    """Finished runs with their events and logs; logs alone; workers that ended. Unfinished runs are never touched."""

    name = "retention"
    every = timedelta(seconds=60)

    def step(self, now: datetime | None = None) -> int:
        """Delete one chunk of each kind; when one was full, go on at once."""
        moment = store().clock(now)
        deleted = 0
        for status in (Status.COMPLETED, Status.FAILED, Status.CANCELLED, Status.EXPIRED):
            kept = config.retention[status]
            if kept is not None:
                deleted += self.chunks(status, before=moment - kept)
        kept = config.retention["logs"]
        if kept is not None:
            deleted += store().prune_logs(before=moment - kept, limit=CHUNK)
        store().prune_workers(before=moment - WORKERS_KEPT)
        return deleted

    @staticmethod
    def chunks(status: Status, *, before: datetime, most: int = 20) -> int:
        total = 0
        for _ in range(most):
            count = store().prune(status, before=before, limit=CHUNK)
            total += count
            if count < CHUNK:
                break
        return total
