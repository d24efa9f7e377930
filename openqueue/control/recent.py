"""The last day by the hour, and the last hour by queue and minute: what an overview shows, from two statements."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import OperationalError
from django.db.models import Q

from openqueue.control.series import LIMIT, USUAL, Numbers, after
from openqueue.core import rollups
from openqueue.core import tally as tallies
from openqueue.core.rollups import HOUR
from openqueue.core.tally import Tally
from openqueue.models import Rollup
from openqueue.store import store
from openqueue.store.endings import MINUTE, floor
from openqueue.store.refusals import took_too_long

BARS: Final = 24
Cells = defaultdict[tuple[datetime, str], Tally]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recent:
    """How runs ended; the hour and the minute that run are in it, last."""

    hours: Sequence[Numbers]
    """Of the last day, oldest first, at whole hours of UTC: how many ended how, without times."""
    minutes: Sequence[Numbers]
    """Of the last hour."""
    hour: Numbers
    """The last sixty minutes together."""
    by_queue: Mapping[str, Numbers]
    """The same, of each queue in which something ended."""
    minutes_by_queue: Mapping[str, Sequence[int]]
    """How many ended in each of ``minutes``, by queue."""
    stopped: bool = False
    """What is not rolled up yet took too long to read, and is missing."""


def read(*, now: datetime, marks: Mapping[str, datetime], queues: Collection[str] | None = None) -> Recent:
    """Read it. ``marks``: how far the roll-ups are; ``queues``: only these."""
    hour_since = floor(now, MINUTE) - timedelta(minutes=59)
    day_since = floor(now, HOUR) - (BARS - 1) * HOUR
    rolled = marks.get("minutes", day_since)
    # Hours where they are written and the last hour does not need minutes; minutes up to their mark; runs since then.
    edge = max(day_since, min(marks.get("hours", day_since), floor(hour_since, HOUR)))
    cells: Cells = defaultdict(Tally)
    wanted = Q(period=3600, start__gte=day_since, start__lt=edge) | Q(
        period=60, start__gte=edge, start__lt=rolled
    )
    rows: Any = Rollup.objects.using(store().alias).filter(wanted)
    if queues is not None:
        rows = rows.filter(queue__in=sorted(queues))
    # Of the hours only their counts are shown: the database adds them up. Of the last hour queues have percentiles.
    found = tallies.mixed(rows.filter(start__gte=edge), rows.filter(start__lt=edge))
    for place, some in tallies.by_place(found).items():
        cells[place].take_rows(some)
    stopped = False
    try:
        for (start, _, queue), tally in _live(max(rolled, edge), now).items():
            if queues is None or queue in queues:
                cells[start, queue].add(tally)
    except OperationalError as error:
        if not took_too_long(error):
            raise
        stopped = True
    return _folded(cells, now=now, day_since=day_since, hour_since=hour_since, stopped=stopped)


def _live(since: datetime, now: datetime) -> rollups.Tallies:
    until = after(now)
    if now - since <= USUAL:
        return rollups.tallied(since, until)
    with store().bounded(LIMIT):
        return rollups.tallied(since, until)


def _folded(
    cells: Cells, *, now: datetime, day_since: datetime, hour_since: datetime, stopped: bool
) -> Recent:
    hours: defaultdict[datetime, Tally] = defaultdict(Tally)
    minutes: defaultdict[datetime, Tally] = defaultdict(Tally)
    by_queue: defaultdict[str, Tally] = defaultdict(Tally)
    counts: defaultdict[str, list[int]] = defaultdict(lambda: [0] * 60)
    whole = Tally()
    for (start, queue), tally in cells.items():
        hours[floor(start, HOUR)].add(tally)
        if start >= hour_since:
            minutes[start].add(tally)
            by_queue[queue].add(tally)
            counts[queue][int((start - hour_since) / MINUTE)] += tally.counts.total()
            whole.add(tally)
    return Recent(
        hours=_steps(hours, since=day_since, step=HOUR, now=now),
        minutes=_steps(minutes, since=hour_since, step=MINUTE, now=now),
        hour=Numbers.of(whole, hour_since, after(now)),
        by_queue={queue: Numbers.of(tally, hour_since, after(now)) for queue, tally in by_queue.items()},
        minutes_by_queue=dict(counts),
        stopped=stopped,
    )


def _steps(
    found: Mapping[datetime, Tally], *, since: datetime, step: timedelta, now: datetime
) -> list[Numbers]:
    steps = []
    while since <= now:
        steps.append(Numbers.of(found.get(since) or Tally(), since, min(since + step, after(now))))
        since += step
    return steps
