"""The health of everything, for people and probes: a dozen statements, whatever the number of runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.core.exceptions import ImproperlyConfigured
from django.db import Error, connections
from django.db.models import Count, Min

from openqueue import runtimes
from openqueue.conf import config
from openqueue.control import findings, queues, sweeps, workers
from openqueue.control.findings import Finding
from openqueue.control.queues import QueueFacts
from openqueue.control.sweeps import SweepFacts
from openqueue.control.workers import WorkerFacts
from openqueue.models import Flow, Run, Schedule
from openqueue.states import FINAL, FlowStatus
from openqueue.store import store
from openqueue.wording import say as _

RECENT: Final = timedelta(hours=1)
COUNTED: Final = 10_000
"""Finished runs that are counted per outcome; more are "10000 or more"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseFacts:
    """The database that holds the runs."""

    alias: str
    vendor: str
    ok: bool
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeFacts:
    """One runtime of the settings."""

    alias: str
    backend: str
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """How everything stands; healthy when there are no findings."""

    healthy: bool
    at: datetime | None
    """The database's clock."""
    database: DatabaseFacts
    runtimes: Sequence[RuntimeFacts]
    queues: Sequence[QueueFacts] = ()
    workers: Sequence[WorkerFacts] = ()
    finished_last_hour: Mapping[str, int] | None = None
    """By outcome; counted up to ``counted_to``."""
    counted_to: int = COUNTED
    sweeps: Sequence[SweepFacts] = ()
    findings: Sequence[Finding] = ()


def read() -> Overview:
    """Look at the database, the runtimes, queues, workers and sweeps. Never raises for what it looks at."""
    carriers = _runtimes()
    found = [_down(runtime) for runtime in carriers if not runtime.ok]
    alias = config.database
    vendor = connections[alias].vendor
    try:
        return _read(carriers, found, database=DatabaseFacts(alias=alias, vendor=vendor, ok=True))
    except (Error, ImproperlyConfigured) as error:
        detail = " ".join(f"{type(error).__name__}: {error}".split())[:500]
        finding = Finding(
            id="database",
            subject=f"database {alias}",
            message=detail,
            remedy=_(
                "See that DATABASES[{alias!r}] can be reached and `migrate --database {alias}` was run.",
                alias=alias,
            ),
        )
        return Overview(
            healthy=False,
            at=None,
            database=DatabaseFacts(alias=alias, vendor=vendor, ok=False, detail=detail),
            runtimes=carriers,
            findings=[finding, *found],
        )


def _read(carriers: Sequence[RuntimeFacts], found: Sequence[Finding], *, database: DatabaseFacts) -> Overview:
    clock = store().clock(None)
    claims = workers.held()
    fleet = workers.read(claims, clock=clock)
    brokers = {r.alias for r in carriers if r.ok and runtimes.get(r.alias).carries_messages}
    lines = queues.read(claims, fleet, brokers=brokers, clock=clock)
    swept = sweeps.read(clock)
    reaped = next((sweep.age for sweep in swept if sweep.name == "reap"), None)
    longest_up = max(((clock - w.started_at).total_seconds() for w in fleet if w.is_alive), default=0.0)
    found = [
        *found,
        *(finding for line in lines for finding in findings.of_queue(line)),
        *findings.of_claims(claims, fleet),
        *findings.of_flows(_blocked()),
        *_late(clock),
        *findings.of_sweeps(reaped, workers=fleet, longest_up=longest_up),
    ]
    return Overview(
        healthy=not found,
        at=clock,
        database=database,
        runtimes=carriers,
        queues=lines,
        workers=fleet,
        finished_last_hour=_finished(clock),
        sweeps=swept,
        findings=found,
    )


def _runtimes() -> list[RuntimeFacts]:
    return [_runtime(alias, entry.backend) for alias, entry in config.runtimes.items()]


def _runtime(alias: str, backend: str) -> RuntimeFacts:
    try:
        health = runtimes.get(alias).health()
    except Exception as error:  # whatever a broker's client raises is the answer
        return RuntimeFacts(
            alias=alias, backend=backend, ok=False, detail=f"{type(error).__name__}: {error}"[:500]
        )
    return RuntimeFacts(alias=alias, backend=backend, ok=health.ok, detail=health.detail)


def _down(runtime: RuntimeFacts) -> Finding:
    return Finding(
        id="runtime",
        subject=f"runtime {runtime.alias}",
        message=_("It does not answer: {detail}", detail=runtime.detail),
        remedy=_("Nothing is lost: runs wait in the database. Bring the broker back, or mend its OPTIONS."),
    )


def _finished(clock: datetime) -> dict[str, int]:
    # The order is the index's, so that the count ends after COUNTED rows wherever they lie in the table.
    recent = Run.objects.using(store().alias).order_by("-finished_at").filter(finished_at__gte=clock - RECENT)
    return {status.value: recent.filter(outcome=status)[:COUNTED].count() for status in sorted(FINAL)}


def _blocked() -> list[str]:
    """Name the flows in which nothing moves any more; by the index of the status."""
    rows = Flow.objects.using(store().alias).filter(status=FlowStatus.BLOCKED, finished_at__isnull=True)
    found = rows.values_list("name", "pk")[: findings.BLOCKED_SHOWN]
    return [f"{name} {pk}" for name, pk in found]


def _late(clock: datetime) -> Iterator[Finding]:
    """Look at schedules that are late, by the index of what is due."""
    late = Schedule.objects.using(store().alias).filter(next_at__lt=clock - findings.SCHEDULES_LATE)
    told = late.aggregate(count=Count("pk"), first=Min("next_at"))
    longest = 0.0 if told["first"] is None else (clock - told["first"]).total_seconds()
    return findings.of_schedules(told["count"], longest=longest)
