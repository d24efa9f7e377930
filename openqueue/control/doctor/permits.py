"""Limits that let nobody through: who holds their permits waits where no worker takes it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import Count, Exists, Min, OuterRef, Subquery

from openqueue.control.findings import Finding
from openqueue.control.queues import QueueFacts
from openqueue.models import Claim, Outbox, Permit
from openqueue.store import store

OVERDUE: Final = timedelta(minutes=5)
"""A shorter wait for a permit is what limits are for."""
LOOKED_AT: Final = 100
"""Limits, those first at which somebody has waited longest."""
Place = tuple[str, str]
"""A queue, and its runtime."""


def findings(queues: Iterable[QueueFacts], clock: datetime, facts: dict[str, Any]) -> Iterator[Finding]:
    """Look for runs that wait for permits of which none is used, and none can be: each is a run's in a shut queue."""
    waiting = _waiting(clock)
    shut = {(queue.name, queue.runtime): why for queue in queues if (why := _why_shut(queue))}
    holders = _holders(waiting)
    facts["held_permits"] = stuck = [
        name for name in waiting if holders.get(name) and holders[name] <= set(shut)
    ]
    for name in stuck:
        where = sorted(holders[name])
        yield Finding(
            id="held_permits",
            level="warning",
            subject=f"limit {name}",
            message=f"{waiting[name]} due for over {OVERDUE.seconds // 60} min, waiting for a permit. The runs that "
            f"hold one do not start: {', '.join(f'queue {place[0]} {shut[place]}' for place in where)}.",
            remedy="Have the queue served again, or cancel its runs that are due: each gives its permit back.",
        )


def _why_shut(queue: QueueFacts) -> str:
    if queue.paused:
        return "is paused or disabled"
    return "" if queue.workers else "has no worker"


def _waiting(clock: datetime) -> Mapping[str, int]:
    """Return how many wait too long at each limit, the oldest first."""
    late = Outbox.objects.using(store().alias).filter(
        ready=False, waits_for__isnull=False, due_at__lt=clock - OVERDUE
    )
    counts = late.order_by().values("waits_for").annotate(runs=Count("pk"), oldest=Min("due_at"))
    oldest = counts.order_by("oldest").values_list("waits_for", "runs")[:LOOKED_AT]
    return {name: runs for name, runs in oldest if name is not None}


def _holders(limits: Collection[str]) -> dict[str, set[Place]]:
    """Return where the due runs are that hold permits of each limit; nothing for a limit of which one is used."""
    alias = store().alias
    due = Outbox.objects.using(alias).filter(run_id=OuterRef("run_id"), ready=True)
    claim = Claim.objects.using(alias).filter(run_id=OuterRef("run_id"))
    permits = Permit.objects.using(alias).filter(key__in=list(limits), forget_at=None).order_by()
    rows = permits.annotate(
        is_used=Exists(claim), queue=Subquery(due.values("queue")), runtime=Subquery(due.values("runtime"))
    )
    found: dict[str, set[Place]] = {}
    live = set()
    for key, is_used, queue, runtime in rows.values_list("key", "is_used", "queue", "runtime").distinct():
        if is_used:
            live.add(key)
        elif queue is not None:
            found.setdefault(key, set()).add((queue, runtime))
    return {key: places for key, places in found.items() if key not in live}
