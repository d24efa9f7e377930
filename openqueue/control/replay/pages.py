"""Past runs, page after page, in the order in which they were created."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple, Protocol, cast
from uuid import UUID

from django.db.models import QuerySet

from openqueue.control.replay.pace import MOST
from openqueue.control.replay.report import Why
from openqueue.control.replay.wanted import Wanted
from openqueue.control.run_ids import earliest_at
from openqueue.control.run_list import CLOCKS_APART
from openqueue.models import Run
from openqueue.store import store

NEEDED: Final = (
    "task_id", "queue", "outcome", "priority", "attempt", "payload", "meta", "tags", "options", "max_attempts",
    "scheduled_for", "expires_at", "concurrency_key", "ordering_key",
)  # fmt: skip
"""Columns that a new run is made of; results and errors stay where they are."""


class Found(NamedTuple):
    """One thing that a source holds: a past run, or the reason why there is none."""

    behind: str
    """The position behind it."""
    run: Run | None
    why: Why | None = None
    named: str = ""
    """What to call it where there is no run."""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some of what a source holds."""

    found: Sequence[Found]
    end: str
    """The position behind all of it."""

    @property
    def runs(self) -> dict[UUID, Run]:
        """Return the past runs by their ids."""
        return {one.run.pk: one.run for one in self.found if one.run is not None}


class Source(Protocol):
    """Where past runs are found."""

    name: str
    first: str
    """The position to begin at."""
    until: str
    """The position at which it ends."""

    def page(self, position: str) -> Page:
        """Return what follows a position."""

    def share(self, position: str) -> float:
        """Return how much of it lies before a position, from 0 to 1."""


class PastRuns:
    """The runs of a window, by their ids: UUIDv7, so that a window of time is a stretch of the primary key."""

    name = "runs"

    def __init__(self, settled: Wanted) -> None:
        self.wanted = settled
        since, until = cast("datetime | None", settled.since), cast(datetime, settled.until)
        first = earliest_at(since - CLOCKS_APART) if since else UUID(int=0)
        last = earliest_at(until + CLOCKS_APART)
        if settled.ids:
            first, last = max(first, UUID(int=min(settled.ids).int - 1)), min(last, max(settled.ids))
        self.first, self.until = str(first), str(last)

    def page(self, position: str) -> Page:
        """Return the runs behind the one of this id."""
        rows = self.rows().filter(pk__gt=UUID(position), pk__lte=UUID(self.until))[:MOST]
        found = [Found(str(row.pk), row) for row in rows]
        return Page(found=found, end=found[-1].behind if len(found) == MOST else self.until)

    def rows(self) -> QuerySet[Run]:
        wanted = self.wanted
        named: dict[str, Any] = {
            "pk__in": wanted.ids,
            "task_id__in": wanted.tasks,
            "queue__in": wanted.queues,
            "outcome__in": wanted.statuses,
            "created_at__gte": wanted.since,
            "created_at__lt": wanted.until,
        }
        rows = Run.objects.using(store().alias).filter(
            **{key: value for key, value in named.items() if value}
        )
        return rows.only(*NEEDED).order_by("pk")

    def share(self, position: str) -> float:
        """Return how much of the window's time lies before a run."""
        at, first, last = (UUID(text).int >> 80 for text in (position, self.first, self.until))
        if position == self.until:
            return 1.0
        return min(1.0, max(0.0, (at - first) / (last - first))) if 0 < first < last else 0.0


def past(**conditions: Any) -> QuerySet[Run]:
    """Return the past runs that all of these conditions hold for; what is empty is none."""
    rows = Run.objects.using(store().alias).filter(
        **{key: value for key, value in conditions.items() if value}
    )
    return rows.only(*NEEDED)
