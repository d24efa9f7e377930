"""Queues: how much waits in each, since when, and who works on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from django.db.models import Count, Min, Q

from openqueue import registry
from openqueue.conf import DEFAULT_QUEUE, config
from openqueue.control.workers import Held, WorkerFacts
from openqueue.models import Outbox, QueueState
from openqueue.states import Reason
from openqueue.store import store

READY, LATER = Q(ready=True), Q(ready=False)
UNANNOUNCED = Q(ready=True, announced_at__isnull=True)
UNKNOWN = Q(last_error=Reason.UNKNOWN_TASK.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueFacts:
    """One queue on one runtime. Ages are seconds by the database's clock; None where there is no such row."""

    name: str
    runtime: str
    paused: bool
    paused_by: str
    pause_reason: str
    due: int
    later: int
    """Delayed, or waiting for their next attempt."""
    running: int
    oldest_due: float | None
    """How long the oldest due run has waited."""
    unflipped: float | None
    """How long ago the oldest row fell due that no sweep has made ready."""
    unannounced: int
    """Due rows that their broker was not told of; always 0 where the outbox is the queue."""
    oldest_unannounced: float | None
    unknown_task: int
    """Rows that a worker put back because it has no such task."""
    workers: int
    """Live workers that serve it."""


def read(
    claims: Sequence[Held], workers: Sequence[WorkerFacts], *, brokers: set[str], clock: datetime
) -> list[QueueFacts]:
    """Return every queue that is known or has rows, in two statements. ``brokers``: runtimes that carry messages."""
    depths = {(row.pop("queue"), row.pop("runtime")): row for row in _depths()}
    running: dict[tuple[str, str], int] = {}
    for some in claims:
        place = some.queue, config.runtime_of(some.queue).alias
        running[place] = running.get(place, 0) + some.count
    states = {state.name: state for state in QueueState.objects.using(store().alias).all()}
    known = {DEFAULT_QUEUE, *config.queues, *states, *(task.options.queue for task in registry.every())}
    places = {(name, config.runtime_of(name).alias) for name in known} | set(depths) | set(running)
    return [
        _facts(
            place,
            depth=depths.get(place, {}),
            running=running.get(place, 0),
            state=states.get(place[0]) or QueueState(name=place[0]),
            workers=sum(worker.serves(place[0], runtime=place[1]) for worker in workers),
            announces=place[1] in brokers,
            clock=clock,
        )
        for place in sorted(places)
    ]


def _depths() -> Iterable[dict[str, Any]]:
    rows: Any = Outbox.objects.using(store().alias).order_by().values("queue", "runtime")
    return cast(
        "Iterable[dict[str, Any]]",
        rows.annotate(
            due=Count("pk", filter=READY),
            later=Count("pk", filter=LATER),
            oldest_due=Min("due_at", filter=READY),
            next_later=Min("due_at", filter=LATER),
            unannounced=Count("pk", filter=UNANNOUNCED),
            oldest_unannounced=Min("due_at", filter=UNANNOUNCED),
            unknown_task=Count("pk", filter=UNKNOWN),
        ),
    )


def _facts(
    place: tuple[str, str],
    *,
    depth: Mapping[str, Any],
    running: int,
    state: QueueState,
    workers: int,
    announces: bool,
    clock: datetime,
) -> QueueFacts:
    def age(column: str) -> float | None:
        moment = depth.get(column)
        return None if moment is None or moment > clock else (clock - moment).total_seconds()

    return QueueFacts(
        name=place[0],
        runtime=place[1],
        paused=state.paused,
        paused_by=state.paused_by,
        pause_reason=state.pause_reason,
        due=depth.get("due", 0),
        later=depth.get("later", 0),
        running=running,
        oldest_due=age("oldest_due"),
        unflipped=age("next_later"),
        unannounced=depth.get("unannounced", 0) if announces else 0,
        oldest_unannounced=age("oldest_unannounced") if announces else None,
        unknown_task=depth.get("unknown_task", 0),
        workers=workers,
    )
