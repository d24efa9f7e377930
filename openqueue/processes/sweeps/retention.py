"""Deletes history past its time, in bounded chunks."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Final

from django.db.models import Q

from openqueue.conf import config
from openqueue.models import RuntimeOffset
from openqueue.processes.sweeps.batch import Batch
from openqueue.states import Status
from openqueue.store import keys, permits, pruning, scheduling, store

CHUNK: Final = 1_000
WORKERS_KEPT: Final = timedelta(days=1)
ANSWERS_KEPT: Final = timedelta(hours=24)
"""Of idempotency keys, whose answers are given again for as long."""
REPLAYS_KEPT: Final = timedelta(days=30)
LIMITS_KEPT: Final = timedelta(days=2)
"""Longer than the longest window of a rate, so that nothing is counted any more."""


class Retention:
    """Finished runs with events and logs, logs alone, old ticks, acts, alerts; and what is of no use: keys, limits.

    Unfinished runs, and replays that can be gone on with, are never touched.
    """

    name = "retention"
    every = timedelta(seconds=60)

    def __init__(self) -> None:
        self.batch = Batch(CHUNK)

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
            before = moment - kept
            deleted += self.batch.do(lambda size: store().prune_logs(before=before, limit=size))
        deleted += self.batch.do(lambda size: keys.prune(store(), limit=size, now=now))
        kept = config.retention["ticks"]
        if kept is not None:
            before = scheduling.ticks_end(store(), now=moment, kept=kept)
            ticks = partial(scheduling.prune_ticks, store(), before=before)
            deleted += self.batch.do(lambda size: ticks(limit=size))
        kept = config.retention["audit"]
        if kept is not None:
            before = moment - kept
            deleted += self.batch.do(lambda size: pruning.prune_audit(store(), before=before, limit=size))
            deleted += self.batch.do(
                lambda size: pruning.prune_operations(store(), before=before, limit=size)
            )
        kept = config.retention["alerts"]
        if kept is not None:
            before = moment - kept
            deleted += self.batch.do(lambda size: pruning.prune_alerts(store(), before=before, limit=size))
        old = moment - ANSWERS_KEPT
        deleted += self.batch.do(lambda size: pruning.prune_answers(store(), before=old, limit=size))
        store().prune_workers(before=moment - WORKERS_KEPT)
        prune_replays(before=moment - REPLAYS_KEPT)
        permits.forget_unused(store(), before=moment - LIMITS_KEPT, limit=CHUNK, now=now)
        return deleted

    def chunks(self, status: Status, *, before: datetime, most: int = 20) -> int:
        total = 0
        for _ in range(most):
            count = self.batch.do(lambda size: store().prune(status, before=before, limit=size))
            total += count
            if count < self.batch.size:
                break
        return total


def prune_replays(*, before: datetime, limit: int = CHUNK) -> int:
    """Delete the places of replays of which the last one ended long ago; one that stands keeps all of its replay's."""
    places = RuntimeOffset.objects.using(store().alias)
    standing = places.filter(Q(finished_at=None) | Q(finished_at__gte=before)).values("reader")
    ended = places.exclude(reader__in=standing)
    ids = list(
        ended.order_by("pk").values_list("pk", flat=True)[:limit]
    )  # MySQL deletes from no table that it asks
    return places.filter(pk__in=ids)._raw_delete(store().alias) if ids else 0
