"""Writes down how much stands in each queue: a look in each minute, and hours made of them.

The row of all queues together is written with every look, whatever there was. So readers can tell a minute in which
nobody looked from one in which there was nothing, and a queue without anything costs no row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from django.db import IntegrityError

from openqueue.core.rollups import HOUR, seconds
from openqueue.models import QueueDepth
from openqueue.store import depths, store
from openqueue.store.depths import ALL, Depth
from openqueue.store.endings import MINUTE, floor

PERIODS: Final = {"minutes": MINUTE, "hours": HOUR}
LIMIT: Final = timedelta(seconds=10)
"""Of the statement that counts, where the database can be told so: other sweeps wait for this one."""
MOST_HOURS: Final = 24
"""Made at once, where nobody did for long."""
PARTS: Final = ("ready", "held", "delayed", "running")


def look(*, now: datetime | None = None) -> bool:
    """Write how much stands in each queue, once in a minute; tell whether this one did.

    The unique key of the row of all queues decides: whoever comes second has nothing to do.
    """
    moment = store().clock(now)
    start = floor(moment, MINUTE)
    if QueueDepth.objects.using(store().alias).filter(period=60, queue=ALL, start=start).exists():
        return False
    with store().bounded(LIMIT):
        found = depths.read(store(), clock=moment)
    rows = [row(60, start, queue, [depth]) for queue, depth in sorted(found.items())]
    try:
        with store().atomic():
            QueueDepth.objects.using(store().alias).bulk_create(rows)
    except IntegrityError:
        return False
    return True


def gather(*, now: datetime | None = None) -> int:
    """Make hours of the minutes of those that are over; return how many hours were made."""
    goal = floor(store().clock(now), HOUR)
    made = 0
    while made < MOST_HOURS:
        since = written(before=goal)
        rows = QueueDepth.objects.using(store().alias).filter(period=60, start__lt=goal)
        if since is not None:
            rows = rows.filter(start__gte=since)
        first = rows.filter(queue=ALL).order_by("start").values_list("start", flat=True).first()
        if first is None:
            break
        _gather(floor(first, HOUR))
        made += 1
    return made


def written(*, before: datetime) -> datetime | None:
    """Return where the hours end that are written; None: there are none."""
    hours = QueueDepth.objects.using(store().alias).filter(period=3600, queue=ALL, start__lt=before)
    last: datetime | None = hours.order_by("-start").values_list("start", flat=True).first()
    return None if last is None else last + HOUR


def prune(period: str, *, before: datetime, limit: int) -> int:
    """Delete a bounded chunk of rows past their time; of minutes only those that hours were made of."""
    if period == "minutes":
        made = written(before=before + HOUR)
        if made is None:
            return 0
        before = min(before, made)
    rows = QueueDepth.objects.using(store().alias).filter(period=seconds(period), start__lt=before)
    ids = list(rows.order_by("start").values_list("pk", flat=True)[:limit])
    QueueDepth.objects.using(store().alias).filter(pk__in=ids).delete()
    return len(ids)


def last_of(row: QueueDepth) -> Depth:
    """Return the last look of a row's period."""
    return Depth(**{part: getattr(row, part) for part in (*PARTS, "oldest")})


def most_of(row: QueueDepth) -> Depth:
    """Return the look of a row's period at which most stood there, with the longest wait of all looks."""
    return Depth(**{part: getattr(row, f"most_{part}") for part in PARTS}, oldest=row.longest)


def highest(looks: Iterable[Depth]) -> Depth:
    """Return the look at which most was ready, held and running, with the longest wait of all."""
    looks = list(looks)
    most = max(looks, key=lambda one: one.together)
    return most._replace(oldest=max(one.oldest for one in looks))


def row(
    period: int, start: datetime, queue: str, looks: Sequence[Depth], *, last: Depth | None = None
) -> QueueDepth:
    """Return what is written of these looks, of which the last one is ``last``."""
    most, last = highest(looks), looks[-1] if last is None else last
    return QueueDepth(
        period=period,
        start=start,
        queue=queue,
        **last._asdict(),
        **{f"most_{part}": getattr(most, part) for part in PARTS},
        longest=most.oldest,
    )


def _gather(start: datetime) -> None:
    minutes = QueueDepth.objects.using(store().alias).filter(
        period=60, start__gte=start, start__lt=start + HOUR
    )
    looks: dict[str, list[QueueDepth]] = {}
    for one in minutes.order_by("start"):
        looks.setdefault(one.queue, []).append(one)
    last = looks[ALL][-1].start
    rows = [
        row(
            3600,
            start,
            queue,
            [most_of(one) for one in found],
            # A queue that has no row at the last look had nothing then.
            last=last_of(found[-1]) if found[-1].start == last else Depth(),
        )
        for queue, found in sorted(looks.items())
    ]
    QueueDepth.objects.using(store().alias).bulk_create(rows, ignore_conflicts=True)
