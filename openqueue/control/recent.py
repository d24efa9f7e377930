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
from openqueue.store.endings import MINUTE, OUTCOMES, floor
from openqueue.store.refusals import took_too_long

BARS: Final = 24


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
    sums = Sums(now=now, day_since=day_since, hour_since=hour_since)
    wanted = Q(period=3600, start__gte=day_since, start__lt=edge) | Q(
        period=60, start__gte=edge, start__lt=rolled
    )
    rows: Any = Rollup.objects.using(store().alias).filter(wanted)
    if queues is not None:
        rows = rows.filter(queue__in=sorted(queues))
    # Of the hours only their counts are shown: the database adds them up. Of the last hour queues have percentiles.
    found = tallies.mixed(rows.filter(start__gte=edge), rows.filter(start__lt=edge))
    sums.take(tallies.by_place(found))
    stopped = False
    try:
        for (start, _, queue), tally in _live(max(rolled, edge), now).items():
            if queues is None or queue in queues:
                sums.add(start, queue, tally)
    except OperationalError as error:
        if not took_too_long(error):
            raise
        stopped = True
    return sums.recent(stopped=stopped)


def _live(since: datetime, now: datetime) -> rollups.Tallies:
    until = after(now)
    if now - since <= USUAL:
        return rollups.tallied(since, until)
    with store().bounded(LIMIT):
        return rollups.tallied(since, until)


class Sums:
    """What is added up, each number in every place that shows it."""

    def __init__(self, *, now: datetime, day_since: datetime, hour_since: datetime) -> None:
        self.now, self.day_since, self.hour_since = now, day_since, hour_since
        self.hours: defaultdict[datetime, Tally] = defaultdict(Tally)
        self.minutes: defaultdict[datetime, Tally] = defaultdict(Tally)
        self.by_queue: defaultdict[str, Tally] = defaultdict(Tally)
        self.counts: defaultdict[str, list[int]] = defaultdict(lambda: [0] * 60)
        self.hour = Tally()

    def places(self, start: datetime, queue: str) -> Sequence[Tally]:
        """Return where the runs of a minute, or of an hour, belong."""
        hour = self.hours[floor(start, HOUR)]
        if start < self.hour_since:
            return (hour,)
        return hour, self.minutes[start], self.by_queue[queue], self.hour

    def count(self, start: datetime, queue: str, number: int) -> None:
        if start >= self.hour_since:
            self.counts[queue][int((start - self.hour_since) / MINUTE)] += number

    def take(self, found: Mapping[tuple[Any, ...], Sequence[Sequence[Any]]]) -> None:
        """Add roll-ups by start and queue."""
        tallies.add_up(found, self.places)
        for (start, queue), rows in found.items():
            self.count(start, queue, sum(sum(row[: len(OUTCOMES)]) for row in rows))

    def add(self, start: datetime, queue: str, tally: Tally) -> None:
        """Add runs of a minute that are not rolled up."""
        for place in self.places(start, queue):
            place.add(tally)
        self.count(start, queue, tally.counts.total())

    def recent(self, *, stopped: bool) -> Recent:
        end = after(self.now)
        return Recent(
            hours=_steps(self.hours, since=self.day_since, step=HOUR, now=self.now),
            minutes=_steps(self.minutes, since=self.hour_since, step=MINUTE, now=self.now),
            hour=Numbers.of(self.hour, self.hour_since, end),
            by_queue={queue: Numbers.of(one, self.hour_since, end) for queue, one in self.by_queue.items()},
            minutes_by_queue=dict(self.counts),
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
