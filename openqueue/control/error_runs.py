"""The runs of one group of errors: found by what makes failures the same, not by what their messages contain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from openqueue.control.run_facts import RunFacts
from openqueue.control.search import conditions, walks
from openqueue.core.fingerprint import failure
from openqueue.models import ErrorGroup, Run, Worker
from openqueue.states import Status
from openqueue.store import store

SHOWN: Final = 50
EXAMINED: Final = 2_000
"""Failed runs that are looked at to find those of one group."""
LATE: Final = timedelta(minutes=2)
"""A group hears of its runs by the roll-ups: newer ones may be there."""
Place = tuple[datetime, UUID]
"""When a run ended, and its id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRuns:
    """Some runs that failed alike, the last one first."""

    runs: Sequence[RunFacts]
    older: Place | None = None
    """Give it as ``beyond`` to go on; None: there are no more."""
    searched_all: bool = True
    """False: only so many failed runs were looked at."""
    queues: Mapping[str, int] = field(default_factory=dict)
    """How many of these runs were in which queue, the most first; tags and workers likewise."""
    tags: Mapping[str, int] = field(default_factory=dict)
    workers: Mapping[str, int] = field(default_factory=dict)
    """By the name of the process, where it is still known."""


def find(
    group: ErrorGroup,
    *,
    since: datetime | None = None,
    before: datetime | None = None,
    beyond: Place | None = None,
    limit: int = SHOWN,
    queues: Collection[str] | None = None,
) -> ErrorRuns:
    """Return a page of them, in three statements at most.

    Args:
        group: the group.
        since: runs that ended then or later.
        before: runs that ended earlier.
        beyond: ``older`` of the page before.
        limit: at most so many.
        queues: the only ones that exist for whoever asks.
    """
    failed = Run.objects.using(store().alias).filter(
        outcome=Status.FAILED,
        finished_at__gte=max(since or group.first_seen, group.first_seen),
        finished_at__lt=min(before or group.last_seen + LATE, group.last_seen + LATE),
    )
    if queues is not None:
        failed = failed.filter(queue__in=queues)
    if beyond is not None:
        failed = failed.filter(conditions.older("finished_at", beyond))
    columns = ("pk", "finished_at", "queue", "tags", "worker_id", "task_id", "error")
    found: list[tuple[Any, ...]] = []
    looked, last = 0, beyond
    for row in failed.order_by("-finished_at", "-pk").values_list(*columns)[:EXAMINED].iterator(200):
        looked += 1
        last = (row[1], row[0])
        if is_of(group, *row[-2:]):
            found.append(row)
            if len(found) == limit:
                break
    is_over = looked < EXAMINED and len(found) < limit
    return ErrorRuns(
        runs=walks.facts([row[0] for row in found]),
        older=None if is_over else last,
        searched_all=looked < EXAMINED,
        queues=_counted(row[2] for row in found),
        tags=_counted(tag for row in found for tag in row[3] or ()),
        workers=_counted(_names(row[4] for row in found)),
    )


def among(number: int, runs: Sequence[UUID]) -> set[UUID]:
    """Return those of these runs that are failed and of this group, in two statements; none, if there is no group."""
    group = ErrorGroup.objects.using(store().alias).filter(pk=number).first()
    if group is None:
        return set()
    rows = Run.objects.using(store().alias).filter(pk__in=runs, outcome=Status.FAILED)
    return {
        run
        for run, task_id, error in rows.values_list("pk", "task_id", "error")
        if is_of(group, task_id, error)
    }


def is_of(group: ErrorGroup, task_id: str, error: Any) -> bool:
    """Tell whether a failure is one of this group."""
    return task_id == group.task_id and failure(task_id, error).fingerprint == group.fingerprint


def _names(workers: Any) -> list[str]:
    ids = [worker for worker in workers if worker is not None]
    rows = Worker.objects.using(store().alias).filter(pk__in=set(ids)) if ids else ()
    known = {row.pk: f"{row.host}:{row.pid}" for row in rows}
    return [known.get(worker, str(worker)[:8]) for worker in ids]


def _counted(values: Any) -> dict[str, int]:
    return dict(Counter(values).most_common())
