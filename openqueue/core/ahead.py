"""Announcements before their time, where a broker keeps the time as well: what is due soon starts by its clock.

The database goes on deciding: a message that comes early is answered `later`, and the sweeps announce what never came.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from uuid import UUID

from openqueue import runtimes
from openqueue.conf import config
from openqueue.models import Outbox
from openqueue.runtimes.base import Message
from openqueue.store import store


def reach(alias: str) -> float:
    """Return for how many seconds the runtime holds a message until its time."""
    return runtimes.get(alias).capabilities.ahead


def moment(wait: float) -> float:
    """Return when a row is due that was written just now to be due in ``wait`` seconds; never before the row is."""
    return time.monotonic() + wait


def soon(delays: Iterable[tuple[UUID, float]]) -> list[UUID]:
    """Return the runs whose next attempt a broker could hold, by their delays."""
    furthest = max((reach(alias) for alias in config.runtimes), default=0.0)
    return [run for run, delay in delays if delay <= furthest] if furthest else []


def put_back(runs: Sequence[UUID]) -> dict[str, list[Message]]:
    """Return the messages of runs that were put back to be due soon, by runtime: one read by key."""
    clock = store().clock(None)  # before the rows: a wait is never too short
    rows = Outbox.objects.using(store().alias).filter(pk__in=runs, waits_for=None).select_related("run")
    messages: dict[str, list[Message]] = {}
    for row in rows.defer("run__payload", "run__error"):
        wait = (row.due_at - clock).total_seconds()
        if 0 < wait <= reach(row.runtime):
            place = row.run_id, row.seq, row.task_id, row.queue, row.attempt, row.priority
            messages.setdefault(row.runtime, []).append(Message(*place, row.run.traceparent, moment(wait)))
    return messages
