"""Queues: how much waits in each, since when, and who works on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, cast

from django.db.models import Count, Min, Q

from openqueue import registry, runtimes
from openqueue.conf import DEFAULT_QUEUE, config
from openqueue.control.workers import Held, WorkerFacts, held
from openqueue.control.workers import read as read_workers
from openqueue.models import Outbox, QueueState
from openqueue.states import Reason
from openqueue.store import store, untold

READY, LATER = Q(ready=True), Q(ready=False, waits_for__isnull=True)
WAITING = Q(waits_for__isnull=False)
UNKNOWN = Q(last_error=Reason.UNKNOWN_TASK.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueFacts:
    """One queue on one runtime. Ages are seconds by the database's clock; None where there is no such row."""

    name: str
    runtime: str
    paused: bool
    """Nothing of it is started: it is paused, or disabled, or both."""
    paused_by: str
    pause_reason: str
    paused_for: float | None
    """Seconds since it was paused; None when it is open."""
    due: int
    later: int
    """Delayed, or waiting for their next attempt."""
    waiting: int
    """For a permit of a fleet-wide limit, or their turn in an order; delayed ones of limited keys included."""
    running: int
    oldest_due: float | None
    """How long the oldest due run has waited."""
    unflipped: float | None
    """How long ago the oldest row fell due that no sweep has made ready."""
    unannounced: int
    """Due rows that their broker was not told of; always 0 where the outbox is the queue."""
    oldest_unannounced: float | None
    """For how long the oldest of them should have been announced; what a worker put back waits for its next turn."""
    unknown_task: int
    """Rows that a worker put back because it has no such task."""
    workers: int
    """Live workers that serve it."""
    behaviour: str
    """What becomes of runs that are triggered into it: hold, reject or skip; empty: they are taken in."""
    draining: bool
    """It takes in nothing, and works off what is there; otherwise a queue with a behaviour is disabled."""
    closed_by: str
    close_reason: str
    closed_for: float | None
    """Seconds since it was disabled or drained."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedQueue(QueueFacts):
    """One queue with what its broker says of it."""

    at_broker: int | None
    """Messages that wait there; None where the outbox is the queue, or the broker does not answer."""


def listing(only: Sequence[str] = ()) -> list[ListedQueue]:
    """Return every queue, or those of these names, in five statements and a call of its broker for each."""
    clock = store().clock(None)
    claims = held()
    brokers = {alias for alias in config.runtimes if runtimes.get(alias).carries_messages}
    lines = read(claims, read_workers(claims, clock=clock), brokers=brokers, clock=clock)
    wanted = [line for line in lines if not only or line.name in only]
    answering = {alias for alias in brokers & {line.runtime for line in wanted} if _answers(alias)}
    return [
        ListedQueue(
            **{field.name: getattr(line, field.name) for field in fields(line)},
            at_broker=_depth(line) if line.runtime in answering else None,
        )
        for line in wanted
    ]


def _answers(alias: str) -> bool:
    """Ask once a runtime: one that is down must not cost its time limit for every queue."""
    try:
        return runtimes.get(alias).health().ok
    except Exception:  # whatever a broker's client raises
        return False


def _depth(line: QueueFacts) -> int | None:
    try:
        return runtimes.get(line.runtime).inspect(line.name).depth
    except Exception:  # as above
        return None


def read(
    claims: Sequence[Held], workers: Sequence[WorkerFacts], *, brokers: set[str], clock: datetime
) -> list[QueueFacts]:
    """Return every queue that is known or has rows, in two statements. ``brokers``: runtimes that carry messages."""
    depths = {(row.pop("queue"), row.pop("runtime")): row for row in _depths()}
    running: dict[tuple[str, str], int] = {}
    for some in claims:
        place = some.queue, config.runtime_of(some.queue).alias
        running[place] = running.get(place, 0) + some.count
    serving = Counter(place for worker in workers for place in worker.places)
    states = {state.name: state for state in QueueState.objects.using(store().alias).all()}
    known = {DEFAULT_QUEUE, *config.queues, *states, *(task.options.queue for task in registry.every())}
    places = {(name, config.runtime_of(name).alias) for name in known} | set(depths) | set(running)
    return [
        _facts(
            place,
            depth=depths.get(place, {}),
            running=running.get(place, 0),
            state=states.get(place[0]) or QueueState(name=place[0]),
            workers=serving[place],
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
            waiting=Count("pk", filter=WAITING),
            oldest_due=Min("due_at", filter=READY),
            next_later=Min("due_at", filter=LATER),
            unannounced=Count("pk", filter=untold.UNTOLD),
            oldest_unannounced=untold.since(),
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
        paused_for=(clock - state.paused_at).total_seconds() if state.paused and state.paused_at else None,
        due=depth.get("due", 0),
        later=depth.get("later", 0),
        waiting=depth.get("waiting", 0),
        running=running,
        oldest_due=age("oldest_due"),
        unflipped=age("next_later"),
        unannounced=depth.get("unannounced", 0) if announces else 0,
        oldest_unannounced=age("oldest_unannounced") if announces else None,
        unknown_task=depth.get("unknown_task", 0),
        workers=workers,
        behaviour=state.behaviour,
        draining=state.draining,
        closed_by=state.closed_by,
        close_reason=state.close_reason,
        closed_for=(clock - state.closed_at).total_seconds() if state.closed_at else None,
    )
