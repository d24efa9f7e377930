"""The last runs of many schedules at once, for the strips beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db.models import OuterRef, Q, Subquery

from openqueue.control.run_facts import HEAVY, PLACES, RunFacts
from openqueue.models import Run, Schedule, ScheduleTick
from openqueue.store import store

MOST: Final = 60
"""Of each schedule."""
Made = tuple[int, UUID, datetime | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRun:
    """One run that a schedule made."""

    run: RunFacts
    at: datetime
    """The moment that it was due; of one that somebody asked for, when that was."""
    is_by_hand: bool
    """Somebody asked for it beside the rule."""


def latest(schedules: Sequence[int], *, most: int = MOST) -> Mapping[int, Sequence[PastRun]]:
    """Return the last runs of these schedules, oldest first, in three statements whatever their number.

    A schedule finds its runs through its ticks; of those that somebody asked for it knows the newest one. Runs that
    retention deleted are left out.
    """
    made = list(_made(schedules, most=most))
    runs: dict[UUID, Run] = {}
    if made:
        rows = Run.objects.using(store().alias).select_related(*PLACES).defer(*HEAVY)
        runs = {run.pk: run for run in rows.filter(pk__in=[run for _, run, _ in made])}
    found: dict[int, list[PastRun]] = {schedule: [] for schedule in schedules}
    for schedule, run_id, tick in made:
        if (run := runs.get(run_id)) is not None:
            past = PastRun(run=RunFacts.of(run), at=tick or run.created_at, is_by_hand=tick is None)
            found[schedule].append(past)
    return {schedule: sorted(past, key=lambda one: one.at)[-most:] for schedule, past in found.items()}


def _made(schedules: Sequence[int], *, most: int) -> Iterator[Made]:
    """Find the ids: first from which tick on for each schedule, then those ticks, each by the history's own index."""
    alias = store().alias
    ticks: Any = ScheduleTick.objects.using(alias).filter(run_id__isnull=False)
    mine = ticks.filter(schedule_id=OuterRef("pk")).order_by("-tick").values("tick")
    edges: Any = Schedule.objects.using(alias).filter(pk__in=schedules).order_by()
    wanted, few = Q(pk__in=[]), []
    for schedule, manual, edge in edges.annotate(edge=Subquery(mine[most - 1 : most])).values_list(
        "pk", "manual_run_id", "edge"
    ):
        if manual is not None:
            yield schedule, manual, None
        if edge is None:
            few.append(schedule)
        else:
            wanted |= Q(schedule_id=schedule, tick__gte=edge)
    yield from ticks.filter(wanted | Q(schedule_id__in=few)).values_list("schedule_id", "run_id", "tick")
