"""Workers: who lives, who was lost, and what they hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from itertools import product
from typing import Final
from uuid import UUID

from django.db.models import Count, Min, Window
from django.db.models.functions import RowNumber

from openqueue.conf import config
from openqueue.models import Claim, Worker
from openqueue.store import store

MOST: Final = 500
"""Incarnations listed, newest first."""
MOST_BODIES: Final = 20
"""Attempts listed of each worker, the oldest first."""
RUNNING, QUIET, STOPPING, LATE, LOST = "running", "quiet", "stopping", "late", "lost"
QUIET_COMMAND, STOP_COMMAND = "quiet", "stop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The claims of one incarnation in one queue."""

    queue: str
    worker_id: UUID
    count: int
    oldest_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerFacts:
    """One incarnation of a worker process that has not signed off."""

    id: UUID
    host: str
    pid: int
    version: str
    release: str
    """The project's own; empty: it told none."""
    language: str
    """python, or what a worker over HTTP said."""
    state: str
    """running, quiet, stopping, late (its lease ended, nobody has reaped it yet) or lost."""
    runtimes: Sequence[str]
    queues: Sequence[str]
    slots: int
    busy: int
    claims: int
    lag: float
    """Seconds by which its threads start late while it is overloaded; otherwise 0."""
    memory: int | None
    """Bytes of its host's memory that it and its children take; None: it does not tell."""
    started_at: datetime
    heartbeat_age: float
    """Seconds since it renewed its lease."""
    lease_left: float
    """Seconds until its lease ends; negative when it has ended."""
    command: str
    """What an operator wants of it: quiet, stop or nothing. Its state tells whether it has heard: within a second."""
    command_by: str
    command_age: float | None
    """Seconds since then."""

    @property
    def is_alive(self) -> bool:
        """Tell whether its lease holds."""
        return self.state in {RUNNING, QUIET, STOPPING}

    def serves(self, queue: str, *, runtime: str) -> bool:
        """Tell whether it claims runs of this queue."""
        return self.claims_any and queue in self.queues and runtime in self.runtimes

    @property
    def claims_any(self) -> bool:
        """Tell whether it claims runs at all."""
        return self.state == RUNNING and not self.command

    @property
    def places(self) -> set[tuple[str, str]]:
        """The queues, each with a runtime, that it claims runs of."""
        return set(product(self.queues, self.runtimes)) if self.claims_any else set()


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """One attempt that a worker holds."""

    run_id: UUID
    task_id: str
    queue: str
    attempt: int
    seconds: float
    """Since it was claimed."""
    cancel_requested: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedWorker(WorkerFacts):
    """One incarnation with what it runs."""

    bodies: Sequence[Body]
    """MOST_BODIES of its ``claims`` at most, the oldest first."""


def listing() -> list[ListedWorker]:
    """Return the incarnations that have not signed off, with what they run, in a handful of statements."""
    clock = store().clock(None)
    workers = read(held(), clock=clock)
    bodies = _bodies([worker.id for worker in workers if worker.claims], clock=clock)
    return [
        ListedWorker(
            **{field.name: getattr(worker, field.name) for field in fields(WorkerFacts)},
            bodies=bodies.get(worker.id, ()),
        )
        for worker in workers
    ]


def _bodies(workers: Sequence[UUID], *, clock: datetime) -> dict[UUID, list[Body]]:
    """Return the oldest claims of each worker, in one statement. Numbered, so that none crowds the others out."""
    numbered = Window(RowNumber(), partition_by="worker_id", order_by=["claimed_at", "run_id"])
    claims = Claim.objects.using(store().alias).filter(worker_id__in=workers)
    found: dict[UUID, list[Body]] = {}
    # As tuples: a fleet runs thousands, and a page shows a few of each.
    oldest = claims.annotate(number=numbered).filter(number__lte=MOST_BODIES).order_by("claimed_at", "run_id")
    for worker, run, task, queue, attempt, since, asked in oldest.values_list(
        "worker_id", "run_id", "task_id", "queue", "attempt", "claimed_at", "cancel_requested_at"
    ):
        found.setdefault(worker, []).append(
            Body(
                run_id=run,
                task_id=task,
                queue=queue,
                attempt=attempt,
                seconds=(clock - since).total_seconds(),
                cancel_requested=asked is not None,
            )
        )
    return found


def held() -> list[Held]:
    """Return how many claims each incarnation holds, by queue, in one statement."""
    claims = Claim.objects.using(store().alias).order_by().values("queue", "worker_id")
    return [Held(**row) for row in claims.annotate(count=Count("pk"), oldest_at=Min("claimed_at"))]


def read(claims: Sequence[Held], *, clock: datetime) -> list[WorkerFacts]:
    """Return the incarnations that have not signed off, in one statement."""
    counts: dict[UUID, int] = {}
    for some in claims:
        counts[some.worker_id] = counts.get(some.worker_id, 0) + some.count
    workers = Worker.objects.using(store().alias).filter(state__in=[RUNNING, STOPPING, LOST])
    rows = workers.order_by("-started_at").defer("memories", "tasks")[:MOST]
    return [_facts(worker, clock=clock, counts=counts) for worker in rows]


def memories(worker_id: UUID) -> list[tuple[datetime, int]]:
    """Return the minutes of a worker's last hour by its own clock, each with the most bytes in it, oldest first.

    The last one may still run; minutes in which it told nothing are not there.
    """
    told = Worker.objects.using(store().alias).filter(pk=worker_id).values_list("memories", flat=True).first()
    return [(datetime.fromtimestamp(minute * 60, UTC), taken) for minute, taken in told or ()]


def _facts(worker: Worker, *, clock: datetime, counts: Mapping[UUID, int]) -> WorkerFacts:
    left = (worker.lease_until - clock).total_seconds()
    state = worker.state
    if state == RUNNING and worker.obeys:
        state = STOPPING if worker.obeys == STOP_COMMAND else QUIET
    return WorkerFacts(
        id=worker.pk,
        host=worker.host,
        pid=worker.pid,
        version=worker.version,
        release=worker.release,
        language=worker.language,
        state=LATE if left <= 0 and state != LOST else state,
        command=worker.command,
        command_by=worker.commanded_by,
        command_age=(clock - worker.commanded_at).total_seconds() if worker.commanded_at else None,
        runtimes=worker.runtimes,
        queues=worker.queues,
        slots=worker.slots,
        busy=worker.busy,
        claims=counts.get(worker.pk, 0),
        lag=worker.lag,
        memory=worker.memory,
        started_at=worker.started_at,
        heartbeat_age=config.lease.total_seconds() - left,
        lease_left=left,
    )
