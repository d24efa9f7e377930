"""How everything stands, as a dashboard asks it every few seconds: in a few statements, whatever there is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db.models import BigIntegerField, CharField, Count, F, Max, Min, Subquery, Sum, Value
from django.db.models.functions import Cast, Concat
from django.utils import timezone

from openqueue.conf import config
from openqueue.control import findings, health, queues, workers
from openqueue.control.findings import Finding
from openqueue.control.queues import QueueFacts
from openqueue.control.workers import WorkerFacts
from openqueue.core.rollups import HOUR
from openqueue.models import Alert, DeadLetter, ErrorCount, ErrorGroup, Flow, RollupMark, Schedule, Sweep
from openqueue.states import FlowStatus
from openqueue.store import store

COUNTED: Final = 10_000
"""Dead letters that are counted."""
BETWEEN: Final = "\x1f"
RISING: Final = 5
"""Failures of one kind in an hour that are worth a line, when there were less than half as many the hour before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rising:
    """A group of errors that is new, or that comes much more often than the hour before."""

    group: int
    type: str
    task_id: str
    last_hour: int
    hour_before: int
    is_new: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """A rule whose alerts are open and that nobody has acknowledged."""

    rule: str
    severity: str
    count: int
    since: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How everything stands."""

    at: datetime
    """The database's clock."""
    queues: Sequence[QueueFacts]
    workers: Sequence[WorkerFacts]
    sweeps: Mapping[str, float]
    """Seconds since each last ran, anywhere."""
    marks: Mapping[str, datetime]
    """How far the roll-ups are."""
    dead: int
    """Messages that could not become a run and that nobody has discarded, of the newest COUNTED."""
    dead_today: int
    """Those of them that came since midnight, in the project's time zone."""
    rising: Sequence[Rising]
    """Groups of errors that are new in the last hour, or rose in it, the most first."""
    alarms: Sequence[Alarm]
    findings: Sequence[Finding]

    @property
    def slots(self) -> int:
        """Return how many runs can be at work at a time."""
        return sum(worker.slots for worker in self.workers if worker.is_alive)

    @property
    def running(self) -> int:
        """Return how many are."""
        return sum(queue.running for queue in self.queues)

    @property
    def oldest(self) -> QueueFacts | None:
        """Return the queue in which a run has waited longest of those that could be started."""
        waiting = [queue for queue in self.queues if queue.oldest_due is not None and not queue.paused]
        return max(waiting, key=lambda queue: queue.oldest_due or 0.0, default=None)


def read() -> Standing:
    """Read it, in six statements; no broker is asked."""
    clock = store().clock(None)
    told: dict[str, dict[str, tuple[int, datetime | None]]] = defaultdict(dict)
    for kind, name, number, at in _signals(clock):
        told[kind][name] = number, at
    moments = {kind: {name: at for name, (_, at) in told[kind].items() if at} for kind in ("sweep", "mark")}
    claims = workers.held()
    fleet = workers.read(claims, clock=clock)
    brokers = {alias for alias in config.runtimes if health.carries(alias)}
    lines = queues.read(claims, fleet, brokers=brokers, clock=clock)
    ages = {name: (clock - at).total_seconds() for name, at in moments["sweep"].items()}
    late, first = told["late"].get("", (0, None))
    blocked, _ = told["blocked"].get("", (0, None))
    longest_up = max(((clock - w.started_at).total_seconds() for w in fleet if w.is_alive), default=0.0)
    return Standing(
        at=clock,
        queues=lines,
        workers=fleet,
        sweeps=ages,
        marks=moments["mark"],
        dead=told["dead"].get("", (0, None))[0],
        dead_today=told["dead today"].get("", (0, None))[0],
        rising=_rising(told["last hour"], told["hour before"], edge=clock - HOUR),
        alarms=[_alarm(name, *numbers) for name, numbers in sorted(told["alert"].items())],
        findings=[
            *(finding for line in lines for finding in findings.of_queue(line)),
            *findings.of_claims(claims, fleet),
            *findings.of_blocked_flows(blocked),
            *findings.of_schedules(late, longest=(clock - first).total_seconds() if first else 0.0),
            *findings.of_sweeps(ages.get("reap"), workers=fleet, longest_up=longest_up),
        ],
    )


def _signals(clock: datetime) -> list[tuple[str, str, int, datetime | None]]:
    """Read the small tables as rows of one shape."""
    alias = store().alias
    blocked = Flow.objects.filter(status=FlowStatus.BLOCKED, finished_at__isnull=True)
    late = Schedule.objects.filter(next_at__lt=clock - findings.SCHEDULES_LATE)
    newest = DeadLetter.objects.order_by().values(whole=Value(1)).annotate(last=Max("pk")).values("last")
    dead = DeadLetter.objects.filter(discarded_at__isnull=True, pk__gt=Subquery(newest) - COUNTED)
    midnight = timezone.localtime(clock).replace(hour=0, minute=0, second=0, microsecond=0)
    edge = clock - HOUR
    parts = [
        _rows(Sweep.objects.all(), "sweep", name=F("name"), at=F("last_at"), number=Value(0)),
        _rows(RollupMark.objects.all(), "mark", name=F("name"), at=F("until"), number=Value(0)),
        _whole(blocked, "blocked", at=Max("finished_at")),
        _whole(late, "late", at=Min("next_at")),
        _whole(dead, "dead", at=Max("at")),
        _whole(dead.filter(at__gte=midnight), "dead today", at=Max("at")),
        _alerts(),
        _errors("last hour", edge, clock + HOUR),
        _errors("hour before", edge - HOUR, edge),
    ]
    first, *others = (part.using(alias) for part in parts)
    return list(first.union(*others, all=True).order_by())


def _rows(rows: Any, kind: str, *, name: Any, at: Any, number: Any) -> Any:
    return rows.order_by().values_list(
        Value(kind, output_field=CharField()),
        Cast(name, CharField(max_length=63)),
        Cast(number, BigIntegerField()),
        at,
    )


def _whole(rows: Any, kind: str, *, at: Any) -> Any:
    whole = rows.order_by().values(of=Value(kind, output_field=CharField()))
    return whole.annotate(
        name_=Value("", output_field=CharField()), number=Cast(Count("pk"), BigIntegerField()), at=at
    ).values_list("of", "name_", "number", "at")


def _alerts() -> Any:
    rows: Any = Alert.objects.filter(
        standing__isnull=False, opened_at__isnull=False, acknowledged_at__isnull=True
    )
    found = rows.order_by().values(of=Value("alert", output_field=CharField()))
    name = Concat(F("severity"), Value(BETWEEN), F("rule_name"))
    found = found.annotate(name_=Cast(name, CharField(max_length=120)))
    found = found.annotate(number=Cast(Count("pk"), BigIntegerField()), at=Min("opened_at"))
    return found.values_list("of", "name_", "number", "at")


def _alarm(name: str, count: int, since: datetime | None) -> Alarm:
    severity, _, rule = name.partition(BETWEEN)
    return Alarm(rule=rule, severity=severity, count=count, since=since)


def _errors(kind: str, since: datetime, before: datetime) -> Any:
    rows: Any = ErrorCount.objects.filter(
        period=60, start__gte=since, start__lt=before, group__state=ErrorGroup.OPEN
    )
    name = Concat(Cast("group_id", CharField(max_length=20)), *(
        part for field in ("group__type", "group__task_id") for part in (Value(BETWEEN), F(field))
    ))  # fmt: skip
    found = rows.order_by().values(of=Value(kind, output_field=CharField()))
    found = found.annotate(name_=Cast(name, CharField(max_length=500)))
    found = found.annotate(number=Cast(Sum("count"), BigIntegerField()), at=Min("group__first_seen"))
    return found.values_list("of", "name_", "number", "at")


def _rising(
    last: Mapping[str, tuple[int, datetime | None]],
    before: Mapping[str, tuple[int, datetime | None]],
    *,
    edge: datetime,
) -> list[Rising]:
    found = []
    for name, (number, first_seen) in last.items():
        group, kind, task = name.split(BETWEEN)
        earlier, _ = before.get(name, (0, None))
        is_new = first_seen is not None and first_seen >= edge
        if is_new or (number >= RISING and number > 2 * earlier):
            found.append(
                Rising(
                    group=int(group),
                    type=kind,
                    task_id=task,
                    last_hour=number,
                    hour_before=earlier,
                    is_new=is_new,
                )
            )
    return sorted(found, key=lambda one: (-one.last_hour, one.group))
