"""What rules are judged by: read once for all of them, in a number of statements that does not grow with theirs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from django.db.models import Count, Min, Q, Sum

from openqueue import runtimes
from openqueue.alerts import kinds
from openqueue.alerts.kinds import is_system
from openqueue.alerts.pulses import Pulses
from openqueue.conf import config
from openqueue.core.window import WINDOW
from openqueue.models import (
    AlertRule,
    ErrorCount,
    ErrorGroup,
    Outbox,
    QueueState,
    Rollup,
    RollupMark,
    Schedule,
    Worker,
)
from openqueue.store import store, untold

MINUTE: Final = 60
STALE: Final = timedelta(minutes=10)
"""Of roll-ups: when they are so far behind, nothing is known of how runs end."""
MOST_LATE: Final = 200
"""Schedules that are looked at, the latest first."""
COUNTING: Final = frozenset({kinds.FAILURE_RATE, kinds.FAILURES})
GROUPING: Final = frozenset({kinds.ERROR_NEW, kinds.ERROR_RISING})
WAITING: Final = frozenset({kinds.BACKLOG_AGE, kinds.BACKLOG_SIZE, kinds.NO_WORKER, kinds.OUTBOX_LAG})


class Ends(NamedTuple):
    """How runs of one task in one queue ended within a window."""

    task_id: str
    queue: str
    completed: int
    failed: int


class Group(NamedTuple):
    """One group of errors: how often it came within a window, and within the one before."""

    id: int
    task_id: str
    type: str
    appeared_at: datetime
    now: int
    before: int


class Line(NamedTuple):
    """What is due in one queue of one runtime. Ages are seconds."""

    queue: str
    runtime: str
    due: int
    oldest: float
    is_paused: bool
    workers: int
    unannounced: float | None
    """For how long the oldest row should have been announced that its broker was not told of; None: there is none, or
    the broker has as many of the queue as are announced at once."""


class Late(NamedTuple):
    """A schedule that is due, and was not heeded."""

    id: int
    task_id: str
    key: str
    seconds: float


@dataclass(slots=True, kw_only=True)
class Readings:
    """What was read at one moment. None: not asked for, or not known, so that nothing is judged by it."""

    at: datetime
    until: datetime | None = None
    """The end of all windows: how far the roll-ups have come."""
    ends: Mapping[int, Sequence[Ends]] | None = None
    """By window."""
    groups: Mapping[int, Sequence[Group]] | None = None
    """Open ones that came within the window, by window."""
    lines: Sequence[Line] | None = None
    late: Sequence[Late] | None = None
    down: Mapping[str, str | None] = field(default_factory=dict)
    """What each runtime said that does not answer; None: it does."""


def read(rules: Iterable[AlertRule], *, at: datetime, pulses: Pulses) -> Readings:
    """Read what these rules are judged by, in nine statements at most."""
    found = Readings(at=at)
    windows: dict[str, set[int]] = {}
    for rule in rules:
        windows.setdefault(rule.kind, set()).add(rule.window)
    counted = {window for kind in COUNTING for window in windows.get(kind, ())}
    grouped = {window for kind in GROUPING for window in windows.get(kind, ())}
    if counted or grouped:
        found.until = _rolled_up(at)
    if found.until is not None and counted:
        found.ends = _ends(found.until, counted)
    if found.until is not None and grouped:
        found.groups = _groups(found.until, grouped)
    if WAITING & set(windows):
        found.lines = _lines(at)
    if kinds.SCHEDULE_LATE in windows:
        found.late = _late(at)
    if kinds.RUNTIME_DOWN in windows:
        found.down = pulses.read()
    return found


def _rolled_up(at: datetime) -> datetime | None:
    marks = RollupMark.objects.using(store().alias).filter(name="minutes", until__gt=at - STALE)
    until: datetime | None = marks.values_list("until", flat=True).first()
    return until


def _ends(until: datetime, windows: Collection[int]) -> dict[int, list[Ends]]:
    """Add up the minutes of all windows, in one statement."""
    sums: dict[str, Any] = {}
    for window in windows:
        within = Q(start__gte=until - timedelta(seconds=window))
        sums |= {f"{name}_{window}": Sum(name, filter=within, default=0) for name in ("completed", "failed")}
    rows: Any = Rollup.objects.using(store().alias).filter(
        period=MINUTE, start__gte=until - timedelta(seconds=max(windows)), start__lt=until
    )
    found: dict[int, list[Ends]] = {window: [] for window in windows}
    for row in rows.order_by().values("task_id", "queue").annotate(**sums):
        if is_system(row["queue"]):
            continue
        for window in windows:
            ends = Ends(row["task_id"], row["queue"], row[f"completed_{window}"], row[f"failed_{window}"])
            if ends.completed or ends.failed:
                found[window].append(ends)
    return found


def _groups(until: datetime, windows: Collection[int]) -> dict[int, list[Group]]:
    """Count the errors of all windows and of those before them, in one statement."""
    sums: dict[str, Any] = {}
    for window in windows:
        since, before = until - timedelta(seconds=window), until - timedelta(seconds=2 * window)
        sums[f"now_{window}"] = Sum("count", filter=Q(start__gte=since), default=0)
        sums[f"before_{window}"] = Sum("count", filter=Q(start__gte=before, start__lt=since), default=0)
    rows: Any = ErrorCount.objects.using(store().alias).filter(
        period=MINUTE,
        start__gte=until - timedelta(seconds=2 * max(windows)),
        start__lt=until,
        group__state=ErrorGroup.OPEN,
    )
    facts = ("group_id", "group__task_id", "group__type", "group__first_seen", "group__returned_at")
    found: dict[int, list[Group]] = {window: [] for window in windows}
    for row in rows.order_by().values(*facts).annotate(**sums):
        appeared = max(row["group__first_seen"], row["group__returned_at"] or row["group__first_seen"])
        for window in windows:
            now, before = row[f"now_{window}"], row[f"before_{window}"]
            if now or before:
                found[window].append(
                    Group(row["group_id"], row["group__task_id"], row["group__type"], appeared, now, before)
                )
    return found


def _lines(at: datetime) -> list[Line]:
    """Look at what is due, who serves it and what is paused, in three statements."""
    rows: Any = Outbox.objects.using(store().alias).filter(ready=True).order_by().values("queue", "runtime")
    depths = rows.annotate(
        due=Count("pk"), oldest=Min("due_at"), told=Count("announced_at"), untold=untold.since()
    )
    paused = set(QueueState.objects.using(store().alias).filter(paused=True).values_list("name", flat=True))
    alive = Worker.objects.using(store().alias).filter(
        state="running", lease_until__gt=at, command="", obeys=""
    )
    fleet = [(set(queues), set(aliases)) for queues, aliases in alive.values_list("queues", "runtimes")]
    carriers = {alias for alias in config.runtimes if _carries(alias)}
    return [
        Line(
            queue=row["queue"],
            runtime=row["runtime"],
            due=row["due"],
            oldest=_age(row["oldest"], at),
            is_paused=row["queue"] in paused,
            workers=sum(row["queue"] in queues and row["runtime"] in aliases for queues, aliases in fleet),
            unannounced=_age(row["untold"], at)
            if row["untold"] is not None
            and row["told"] < WINDOW
            and row["runtime"] in carriers
            and row["queue"] not in paused
            else None,
        )
        for row in depths
        if not is_system(row["queue"])
    ]


def _carries(alias: str) -> bool:
    try:
        return runtimes.get(alias).carries_messages
    except Exception:  # it cannot be made: a rule for runtimes that are down says so
        return True


def _late(at: datetime) -> list[Late]:
    """Look at what is due, by the index of what is due."""
    rows = Schedule.objects.using(store().alias).filter(next_at__lt=at).order_by("next_at")
    facts = rows.values_list("pk", "task_id", "key", "next_at")[:MOST_LATE]
    return [Late(pk, task_id, key, _age(due, at)) for pk, task_id, key, due in facts]


def _age(moment: datetime | None, at: datetime) -> float:
    return 0.0 if moment is None else max(0.0, (at - moment).total_seconds())
