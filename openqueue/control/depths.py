"""A queue over time: how much stood in it, how long its oldest run had waited; as a sweep saw it, and now."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from openqueue.conf import config
from openqueue.control.series import after, window
from openqueue.core import depths
from openqueue.core.rollups import HOUR, seconds
from openqueue.models import QueueDepth
from openqueue.store import depths as live
from openqueue.store import store
from openqueue.store.depths import ALL, Depth
from openqueue.store.endings import floor

Look = tuple[datetime, Depth, Depth]
"""When it was; how it stood at last, and at most with the longest wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthFacts:
    """How much stood in a queue at one moment."""

    ready: int
    """Due and free to start."""
    held: int
    """Due and kept from starting: by a pause, a limit or an order."""
    delayed: int
    """For later, or for their next attempt."""
    running: int
    oldest: float
    """Seconds that the oldest due run had waited, whether it was held or not; 0: none was due."""

    @property
    def together(self) -> int:
        """Return all that could be at work, had it room."""
        return self.ready + self.held + self.running


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthPoint:
    """From ``since`` (included) to ``before`` (not included). Without a look both are null: no sweep ran."""

    since: datetime
    before: datetime
    last: DepthFacts | None
    """At the last look."""
    most: DepthFacts | None
    """At the look at which most was ready, held and running together; ``oldest`` is the longest of all looks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthSeries:
    """A queue over time, from a look in each minute."""

    queue: str
    """Empty: all together."""
    step: timedelta
    points: Sequence[DepthPoint]
    """Oldest first; the last one runs still, and its last look is now."""


def of(period: timedelta, *, step: timedelta, queue: str = ALL, now: datetime | None = None) -> DepthSeries:
    """Return how much stood in a queue in the last ``period``, or in all of them, in five statements.

    The window begins at a whole step, and ends now. Steps begin at multiples of ``step`` since 1970 UTC.

    Raises:
        ValueError: ``step`` is not a whole number of minutes, there are too many of them, or looks so fine are not kept
            for so long.
    """
    since, moment = window(period, step, now)
    looks = [*_looks(queue, since, moment, step=step), _now(queue, moment)]
    by_step: dict[datetime, list[Look]] = {}
    for look in looks:
        by_step.setdefault(floor(look[0], step), []).append(look)
    points, start = [], since
    while start <= moment:
        points.append(_point(start, min(start + step, after(moment)), by_step.get(start, ())))
        start += step
    return DepthSeries(queue=queue, step=step, points=points)


def _looks(queue: str, since: datetime, moment: datetime, *, step: timedelta) -> Iterable[Look]:
    """Return what was seen: hours where the steps are made of them, minutes where no hours are written."""
    edge = since
    if step % HOUR == timedelta(0):
        made, fine = depths.written(before=moment), config.retention["minutes"]
        # Until an hour is made there are minutes alone, as far back as they are kept.
        first = since if fine is None else moment - fine
        edge = max(since, made or first)
    for name, begin, end in (("hours", since, edge), ("minutes", edge, after(moment))):
        kept = config.retention[name]
        if kept is not None and begin < end and begin < moment - kept:
            raise ValueError(f"{name} are kept for {kept}. Ask for less, or for longer steps.")
        rows = QueueDepth.objects.using(store().alias).filter(
            period=seconds(name), queue__in={ALL, queue}, start__gte=begin, start__lt=end
        )
        found = {(row.start, row.queue): row for row in rows.order_by("start")} if begin < end else {}
        for start, one in found:
            if one == ALL:  # somebody looked; a queue without a row had nothing
                mine = found.get((start, queue))
                yield (
                    (start, depths.last_of(mine), depths.most_of(mine)) if mine else (start, Depth(), Depth())
                )


def _now(queue: str, moment: datetime) -> Look:
    found = live.read(store(), clock=moment, queue=queue or None)
    depth = found.get(queue, Depth())
    return moment, depth, depth


def _point(since: datetime, before: datetime, looks: Sequence[Look]) -> DepthPoint:
    if not looks:
        return DepthPoint(since=since, before=before, last=None, most=None)
    _, last, _ = looks[-1]
    most = depths.highest(most for _, _, most in looks)
    return DepthPoint(since=since, before=before, last=_facts(last), most=_facts(most))


def _facts(depth: Depth) -> DepthFacts:
    return DepthFacts(**depth._asdict())
