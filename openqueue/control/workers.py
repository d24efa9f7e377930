"""Workers: who lives, who was lost, and what they hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db.models import Count, Min

from openqueue.conf import config
from openqueue.models import Claim, Worker
from openqueue.store import store

MOST: Final = 500
"""Incarnations listed, newest first."""
RUNNING, STOPPING, LATE, LOST = "running", "stopping", "late", "lost"


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
    state: str
    """running, stopping, late (its lease ended, nobody has reaped it yet) or lost."""
    runtimes: Sequence[str]
    queues: Sequence[str]
    slots: int
    busy: int
    claims: int
    started_at: datetime
    heartbeat_age: float
    """Seconds since it renewed its lease."""
    lease_left: float
    """Seconds until its lease ends; negative when it has ended."""

    @property
    def is_alive(self) -> bool:
        """Tell whether its lease holds."""
        return self.state in {RUNNING, STOPPING}

    def serves(self, queue: str, *, runtime: str) -> bool:
        """Tell whether it claims runs of this queue."""
        return self.state == RUNNING and queue in self.queues and runtime in self.runtimes


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
    return [_facts(worker, clock=clock, counts=counts) for worker in workers.order_by("-started_at")[:MOST]]


def _facts(worker: Worker, *, clock: datetime, counts: Mapping[UUID, int]) -> WorkerFacts:
    left = (worker.lease_until - clock).total_seconds()
    return WorkerFacts(
        id=worker.pk,
        host=worker.host,
        pid=worker.pid,
        version=worker.version,
        state=LATE if left <= 0 and worker.state != LOST else worker.state,
        runtimes=worker.runtimes,
        queues=worker.queues,
        slots=worker.slots,
        busy=worker.busy,
        claims=counts.get(worker.pk, 0),
        started_at=worker.started_at,
        heartbeat_age=config.lease.total_seconds() - left,
        lease_left=left,
    )
