"""What surrounds one run: its flow and schedule, its worker, its place in the queue, and failures like its own."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db.models import F, OuterRef, Q, QuerySet, Subquery

from openqueue.conf import config
from openqueue.control import workers
from openqueue.control.callers import Caller, Right
from openqueue.control.run_facts import RunFacts
from openqueue.core.fingerprint import failure
from openqueue.errors import UnclearRun
from openqueue.models import ErrorGroup, FlowNode, Outbox, QueueState, Run, RunEvent, Schedule, Worker
from openqueue.states import Kind
from openqueue.store import store
from openqueue.wording import say as _

MOST_AHEAD: Final = 1_000
"""A place in a queue is told so far."""
MOST_QUEUED: Final = 10_000
TEXTS: Final = frozenset({"schedule", "step", "paused_by", "pause_reason", "closed", "last_error"})
"""Facts that are empty where there is no such row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What one statement tells about what a run belongs to."""

    dedupe_key: str | None
    concurrency_key: str | None
    ordering_key: str | None
    schedule_id: int | None
    schedule: str
    """The key of the schedule that made it; empty for none, or one that is gone."""
    step: str
    """Its name in its flow."""
    worker: str
    """As ``host:pid``; empty while it has none, or none that is on record."""
    paused: bool
    """Its queue starts nothing."""
    paused_by: str
    paused_at: datetime | None
    pause_reason: str
    closed: str
    """What becomes of runs that are triggered into its queue: hold, reject or skip; empty: it is open."""
    last_error: str
    """Why it was put back into the queue, as `unknown_task`."""
    percent: float | None
    progress: str
    """What its body said last, for who may see what runs carry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """How much of a queue is served before a run."""

    ahead: int
    """Due runs that come first, counted up to MOST_AHEAD."""
    queued: int
    """All that are due there, counted up to MOST_QUEUED."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A worker, also one that has signed off."""

    name: str
    last_seen: datetime


def read(run_id: UUID, *, caller: Caller) -> Surroundings:
    """Return what surrounds a run, in one statement.

    Raises:
        UnclearRun: there is no such run.
    """
    worker = Worker.objects.filter(pk=OuterRef("worker_id"))
    queue = QueueState.objects.filter(name=OuterRef("queue"))
    said = RunEvent.objects.filter(run_id=OuterRef("pk"), kind=Kind.PROGRESS, attempt=OuterRef("attempt"))
    rows = Run.objects.using(store().alias).filter(pk=run_id)
    row: Any = rows.values(
        "dedupe_key",
        "concurrency_key",
        "ordering_key",
        "schedule_id",
        schedule=_one(Schedule.objects.filter(pk=OuterRef("schedule_id")), "key"),
        step=_one(FlowNode.objects.filter(run_id=OuterRef("pk")), "name"),
        host=_one(worker, "host"),
        pid=_one(worker, "pid"),
        paused=_one(queue, "paused"),
        paused_by=_one(queue, "paused_by"),
        paused_at=_one(queue, "paused_at"),
        pause_reason=_one(queue, "pause_reason"),
        closed=_one(queue, "behaviour"),
        last_error=F("outbox__last_error"),
        said=_one(said.order_by("-pk"), "data"),
    ).first()
    if row is None:
        raise UnclearRun(
            _("There is no run {run_id}. It was never committed, or retention deleted it.", run_id=run_id)
        )
    host, pid, said_last = row.pop("host"), row.pop("pid"), row.pop("said")
    told = json.loads(said_last) if isinstance(said_last, str) else said_last
    told = told if isinstance(told, dict) else {}
    percent = told.get("percent")
    facts: dict[str, Any] = {name: row[name] or "" if name in TEXTS else row[name] for name in row}
    facts.pop("paused")
    return Surroundings(
        **facts,
        paused=bool(row["paused"]),
        worker=f"{host}:{pid}" if host else "",
        percent=float(percent) if isinstance(percent, int | float) else None,
        progress=str(told.get("message") or "") if caller.may(Right.DATA) else "",
    )


def place(run: RunFacts) -> Place | None:
    """Return where a due run stands in its queue, in two statements; None for one that no queue holds.

    Bounded: a place behind MOST_AHEAD others says no more than that.
    """
    if run.due_at is None or run.waits_for:
        return None
    due = Outbox.objects.using(store().alias).filter(runtime=run.runtime, queue=run.queue, ready=True)
    before = Q(priority__gt=run.priority) | Q(priority=run.priority, due_at__lt=run.due_at)
    ordered = due.order_by("-priority", "due_at")
    return Place(
        ahead=ordered.filter(before, priority__gte=run.priority)[:MOST_AHEAD].count(),
        queued=ordered[:MOST_QUEUED].count(),
    )


def is_served(run: RunFacts, *, clock: datetime) -> bool:
    """Tell whether a live worker serves the queue of a run, in one statement."""
    return any(one.serves(run.queue, runtime=run.runtime) for one in workers.read([], clock=clock))


def named(ids: Collection[str]) -> dict[str, Named]:
    """Return workers by id as their attempts name them, in one statement; some may be gone."""
    wanted = [UUID(one) for one in ids if _is_id(one)]
    rows = Worker.objects.using(store().alias).filter(pk__in=wanted).only("host", "pid", "lease_until")
    lease: timedelta = config.lease
    return {
        str(row.pk): Named(name=f"{row.host}:{row.pid}", last_seen=row.lease_until - lease)
        for row in (rows if wanted else ())
    }


def alike(task_id: str, error: Any) -> tuple[int, int] | None:
    """Return the group of a failure and how many runs ever failed so; None for one that is in none yet."""
    group = ErrorGroup.objects.using(store().alias).filter(fingerprint=failure(task_id, error).fingerprint)
    found: Any = group.values_list("pk", "count")[:1]
    return (found[0][0], found[0][1]) if found else None


def _one(rows: QuerySet[Any], column: str) -> Subquery:
    return Subquery(rows.values(column)[:1])


def _is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
