"""Lists of runs: each status is looked for where such runs are, and never by walking all of history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db.models import QuerySet, Value
from django.db.models.functions import StrIndex

from openqueue import codec
from openqueue.control import run_facts
from openqueue.control.run_facts import RunFacts
from openqueue.control.run_ids import earliest_at
from openqueue.models import Claim, Outbox, Run
from openqueue.states import FINAL, Status
from openqueue.store import store

EXAMINED: Final = 100_000
"""How far back a search goes whose condition no index serves: this many of the newest runs."""
CLOCKS_APART: Final = timedelta(minutes=5)
"""Ids are made by the clocks of application hosts, ``created_at`` by the database's."""
STATUSES: Final = tuple(status.value for status in Status if status is not Status.WAITING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which runs to list."""

    status: str | None = None
    """As a reader sees it; one of STATUSES."""
    queue: str | None = None
    task_id: str | None = None
    tag: str | None = None
    since: datetime | timedelta | None = None
    """Created since (with a final status: finished since) this moment, or this long ago by the database's clock."""
    limit: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Runs, newest first; with a final status, last finished first."""

    runs: Sequence[RunFacts]
    searched_all: bool
    """False: older runs than the newest EXAMINED were not looked at."""


def find(wanted: Wanted) -> Found:
    """Return the runs that fit, in two statements (three where the search has to be bounded)."""
    since = wanted.since
    if isinstance(since, timedelta):
        since = store().clock(None) - since
    searched_all = True
    if wanted.status in {Status.QUEUED, Status.SCHEDULED, Status.RETRYING, Status.RUNNING}:
        ids = _narrowed(_in_place(wanted.status, since), wanted, run="run__").values_list("run_id", flat=True)
    else:
        runs = _in_history(wanted.status, since)
        if wanted.queue or wanted.task_id or wanted.tag:
            runs, searched_all = _bounded(runs, "finished_at" if wanted.status else "pk")
        ids = _narrowed(runs, wanted, run="").values_list("pk", flat=True)
    lines = _read(list(ids[: wanted.limit]))
    # A run may have moved on between the two statements: it is shown as it stands, or not at all.
    fitting = [line for line in lines if wanted.status in {None, line.status}]
    return Found(runs=fitting, searched_all=searched_all)


def _in_place(status: str, since: datetime | None) -> QuerySet[Any]:
    """Unfinished runs: in the outbox, or in a claim."""
    rows: QuerySet[Any]
    if status == Status.RUNNING:
        rows = Claim.objects.using(store().alias).all()
    elif status == Status.QUEUED:
        rows = Outbox.objects.using(store().alias).filter(ready=True)
    else:
        rows = Outbox.objects.using(store().alias).filter(ready=False, run__status=status)
    if since is not None:
        rows = rows.filter(run_id__gte=earliest_at(since - CLOCKS_APART), run__created_at__gte=since)
    return rows.order_by("-run_id")


def _in_history(status: str | None, since: datetime | None) -> QuerySet[Any]:
    """Finished runs of one outcome, by its index; or runs of every status, by their ids."""
    runs = Run.objects.using(store().alias)
    if status in FINAL:
        ended = runs.filter(outcome=status).order_by("-finished_at")
        return ended if since is None else ended.filter(finished_at__gte=since)
    newest = runs.order_by("-pk")
    if since is None:
        return newest
    return newest.filter(pk__gte=earliest_at(since - CLOCKS_APART), created_at__gte=since)


def _narrowed(rows: QuerySet[Any], wanted: Wanted, *, run: str) -> QuerySet[Any]:
    """Apply what every place knows (queue, task), and the tag that only the run has."""
    if wanted.queue:
        rows = rows.filter(queue=wanted.queue)
    if wanted.task_id:
        rows = rows.filter(task_id=wanted.task_id)
    if wanted.tag:
        # Tags are a JSON array as text. Not LIKE: it has wildcards, and SQLite's does not know upper from lower case.
        tag = codec.encode(wanted.tag, what="tag", limit=2**16)
        rows = rows.alias(tag_at=StrIndex(f"{run}tags", Value(tag))).filter(tag_at__gt=0)
    return rows


def _bounded(rows: QuerySet[Any], column: str) -> tuple[QuerySet[Any], bool]:
    """Leave off what lies behind the newest EXAMINED rows; say whether that left nothing off."""
    edge = list(rows.values_list(column, flat=True)[EXAMINED : EXAMINED + 1])
    return (rows.filter(**{f"{column}__gt": edge[0]}), False) if edge else (rows, True)


def _read(ids: Sequence[UUID]) -> list[RunFacts]:
    rows = Run.objects.using(store().alias).select_related(*run_facts.PLACES).defer(*run_facts.HEAVY)
    by_id = rows.in_bulk(ids)
    return [RunFacts.of(by_id[pk]) for pk in ids if pk in by_id]
