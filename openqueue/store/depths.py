"""How much stands in each queue now: one statement, each part of it read through the index that holds these rows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final, NamedTuple

from django.db.models import BigIntegerField, CharField, Count, F, Min, Value
from django.db.models.functions import Cast

from openqueue.models import Claim, Outbox, QueueState
from openqueue.store.base import BaseStore

READY, LATER, WAITING, RUNNING, PAUSED = "ready", "later", "waiting", "running", "paused"
ALL: Final = ""
"""The name under which all queues together are told."""


class Depth(NamedTuple):
    """How much stands in one queue, or in all."""

    ready: int = 0
    """Due and free to start."""
    held: int = 0
    """Due and kept from starting: by a pause, a limit or an order."""
    delayed: int = 0
    """For later, or for the next attempt."""
    running: int = 0
    oldest: float = 0.0
    """Seconds that the oldest due run has waited; 0: none is due."""

    @property
    def together(self) -> int:
        """Return all that could be at work, had it room."""
        return self.ready + self.held + self.running

    def plus(self, other: Depth) -> Depth:
        """Return both together."""
        return Depth(
            ready=self.ready + other.ready,
            held=self.held + other.held,
            delayed=self.delayed + other.delayed,
            running=self.running + other.running,
            oldest=max(self.oldest, other.oldest),
        )


def read(store: BaseStore, *, clock: datetime, queue: str | None = None) -> dict[str, Depth]:
    """Return the queues in which anything stands, and ALL of them together; of one queue, only that."""
    numbers: dict[str, dict[str, int]] = {}
    oldest: dict[str, float] = {}
    paused = set()
    for name, kind, number, at in _counted(store, queue):
        if kind == PAUSED:
            paused.add(name)
            continue
        numbers.setdefault(name, {})[kind] = number
        if kind == READY:
            oldest[name] = max(0.0, (clock - at).total_seconds())
    found = {ALL: Depth()}
    for name, counts in numbers.items():
        due = counts.get(READY, 0)
        found[name] = Depth(
            ready=0 if name in paused else due,
            held=counts.get(WAITING, 0) + (due if name in paused else 0),
            delayed=counts.get(LATER, 0),
            running=counts.get(RUNNING, 0),
            oldest=oldest.get(name, 0.0),
        )
        found[ALL] = found[ALL].plus(found[name])
    return found


def _counted(store: BaseStore, queue: str | None) -> Iterator[tuple[str, str, int, Any]]:
    outbox = Outbox.objects.all() if queue is None else Outbox.objects.filter(queue=queue)
    claims = Claim.objects.all() if queue is None else Claim.objects.filter(queue=queue)
    states = QueueState.objects.filter(paused=True)
    states = states if queue is None else states.filter(name=queue)
    first, *others = (
        _rows(outbox.filter(ready=True), READY, at="due_at"),
        _rows(outbox.filter(ready=False, waits_for__isnull=True), LATER, at="due_at"),
        _rows(outbox.filter(waits_for__isnull=False), WAITING, at="due_at"),
        _rows(claims, RUNNING, at="claimed_at"),
        _rows(states, PAUSED, name="name", at="paused_at"),
    )
    return iter(first.using(store.alias).union(*others, all=True).order_by())


def _rows(rows: Any, kind: str, *, at: str, name: str = "queue") -> Any:
    # Rows are counted, not keys, which the index of what is ready does not hold: so it answers alone.
    counted = rows.order_by().values(of=F(name)).annotate(
        kind=Value(kind, output_field=CharField()), number=Cast(Count("*"), BigIntegerField()), at=Min(at)
    )  # fmt: skip
    return counted.values_list("of", "kind", "number", "at")
