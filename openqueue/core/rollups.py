"""Rolls up what ended: minutes from the runs, hours from minutes, days from hours.

A minute is written soon after it is over, and once more when no transaction can commit an ending in it any more: both
times from nothing, so that it is right however often that happens. Whatever is not yet in the rows, readers take from
the runs (docs: decisions/0032).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from openqueue.core import failures
from openqueue.core import tally as tallies
from openqueue.core.tally import Tally
from openqueue.models import Rollup, RollupMark
from openqueue.store import endings, store
from openqueue.store.endings import MINUTE, floor

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
PERIODS: Final = {"minutes": MINUTE, "hours": HOUR, "days": DAY}
COARSER: Final = (("hours", "minutes", timedelta(days=1)), ("days", "hours", timedelta(days=30)))
"""What is made of what, and how much of it at once."""
LAG: Final = timedelta(seconds=5)
"""A minute is first written when it is over for so long."""
CLOCK_SET_BACK: Final = timedelta(minutes=15)
"""How far before it the rows are written anew, when the database's clock was set back."""
MOST_FAILURES: Final = 5_000
"""Whose errors are read at once; more, where they are of one minute."""
Tallies = dict[tuple[datetime, str, str], Tally]


def advance(*, minutes: int, now: datetime | None = None) -> bool:
    """Write so many minutes at most, and what hours and days they complete; tell whether there was anything to do.

    Only one process at a time: another, meanwhile, has nothing to do.
    """
    with store().atomic():
        moment = store().clock(now)
        mark = _locked("minutes", moment)
        if mark is None:
            return False
        _look_back(mark, moment)
        goal = floor(moment - LAG)
        sure = floor(endings.settled_before(store(), moment, is_clock=now is None))
        span = _next(mark, goal=goal, sure=sure, most=minutes * MINUTE)
        if span is not None:
            since, before = span
            before = _write_minutes(since, before)
            mark.until = max(mark.until, before)
            if since <= mark.sure_until < before:
                mark.sure_until = max(mark.sure_until, min(before, sure))
        mark.save(using=store().alias)
        coarser = [_write_coarser(*names, sure=mark.sure_until) for names in COARSER]
    return span is not None or any(coarser)


def prune(period: str, *, before: datetime, limit: int) -> int:
    """Delete a bounded chunk of rows past their time, that is: of those that coarser ones were made of."""
    coarser = {fine: coarse for coarse, fine, _ in COARSER}.get(period)
    alias = store().alias
    if coarser is not None:
        mark = RollupMark.objects.using(alias).filter(name=coarser).first()
        before = min(before, mark.until) if mark else datetime.fromtimestamp(0, UTC)
    rows = Rollup.objects.using(alias).filter(period=seconds(period), start__lt=before)
    ids = list(rows.order_by("start").values_list("pk", flat=True)[:limit])
    Rollup.objects.using(alias).filter(pk__in=ids).delete()
    return len(ids) + failures.prune(seconds(period), before=before, limit=limit)


def seconds(period: str) -> int:
    return int(PERIODS[period].total_seconds())


def tallied(
    since: datetime, before: datetime, *, task_id: str | None = None, queue: str | None = None
) -> Tallies:
    """Count what ended in a period by minute, task and queue, from the runs."""
    found: Tallies = defaultdict(Tally)
    for ended in endings.counted(store(), since, before, task_id=task_id, queue=queue):
        start = datetime.fromtimestamp(ended.minute * 60, UTC)
        found[start, ended.task_id, ended.queue].take(ended)
    return found


def _locked(name: str, moment: datetime) -> RollupMark | None:
    marks = RollupMark.objects.using(store().alias)
    if not marks.filter(name=name).exists():
        first = floor(endings.first_ended(store(), datetime.fromtimestamp(0, UTC)) or moment - LAG)
        marks.bulk_create([RollupMark(name=name, until=first, sure_until=first)], ignore_conflicts=True)
    mark: RollupMark | None = store().locked(marks.filter(name=name)).first()
    return mark


def _look_back(mark: RollupMark, moment: datetime) -> None:
    """Where the clock was set back, runs end once more in minutes that are written: those are written anew."""
    if moment - LAG >= mark.until:
        return
    again = floor(moment - CLOCK_SET_BACK)
    mark.until, mark.sure_until = min(mark.until, again), min(mark.sure_until, again)
    for name in ("hours", "days"):
        edge = floor(again, PERIODS[name])
        RollupMark.objects.using(store().alias).filter(name=name, until__gt=edge).update(
            until=edge, sure_until=edge
        )


def _next(
    mark: RollupMark, *, goal: datetime, sure: datetime, most: timedelta
) -> tuple[datetime, datetime] | None:
    """Return the minutes to write now: those that are sure by now, or those that are over."""
    if mark.sure_until < min(mark.until, sure):
        return mark.sure_until, min(mark.until, sure, mark.sure_until + most)
    if mark.until >= goal:
        return None
    first = endings.first_ended(store(), mark.until)
    if first is None or first >= goal:
        return mark.until, goal
    return mark.until, min(goal, floor(first) + most)


def _write_minutes(since: datetime, before: datetime) -> datetime:
    """Write what ended in a period, minute by minute, in place of what was written; return how far that came."""
    found = tallied(since, before)
    before = min(before, _bearable(found, since=since, before=before))
    found = {place: tally for place, tally in found.items() if place[0] < before}
    _replace(60, since, before, found)
    failures.count(since, before, any_failed=any(tally.counts["failed"] for tally in found.values()))
    return before


def _bearable(found: Tallies, *, since: datetime, before: datetime) -> datetime:
    """Return where to stop, so that not too many errors are read at once; after the first minute at the earliest."""
    total = 0
    by_minute: Counter[datetime] = Counter()
    for (start, _, _), tally in found.items():
        by_minute[start] += tally.counts["failed"]
    for start in sorted(by_minute):
        total += by_minute[start]
        if total > MOST_FAILURES and start > min(by_minute):
            return start
    return before


def _replace(period: int, since: datetime, before: datetime, found: Tallies) -> None:
    rows = Rollup.objects.using(store().alias)
    rows.filter(period=period, start__gte=since, start__lt=before).delete()
    rows.bulk_create(
        [
            tally.row(period=period, start=start, task_id=task_id, queue=queue)
            for (start, task_id, queue), tally in sorted(found.items(), key=lambda one: one[0])
        ],
        batch_size=500,
    )


def _write_coarser(coarse: str, fine: str, most: timedelta, *, sure: datetime) -> bool:
    """Write hours of minutes, or days of hours, that are complete."""
    period = PERIODS[coarse]
    marks = RollupMark.objects.using(store().alias)
    if fine != "minutes":
        sure = marks.get(name=fine).sure_until
    goal = floor(sure, period)
    mark = marks.filter(name=coarse).first()
    since = mark.until if mark else datetime.fromtimestamp(0, UTC)
    if since >= goal:
        return False
    oldest = Rollup.objects.using(store().alias).filter(
        period=seconds(fine), start__gte=since, start__lt=goal
    )
    first = oldest.order_by("start").values_list("start", flat=True).first()
    before = goal if first is None else min(goal, floor(first, period) + most)
    found: Tallies = defaultdict(Tally)
    for *row, start, task, queue in _rows(fine, since, before):
        found[floor(start, period), task, queue].take_rows([row])
    _replace(seconds(coarse), since, before, found)
    failures.gather(seconds(fine), period, since, before)
    RollupMark(name=coarse, until=before, sure_until=before).save(using=store().alias)
    return True


def _rows(period: str, since: datetime, before: datetime) -> Iterator[tuple[Any, ...]]:
    rows = Rollup.objects.using(store().alias).filter(
        period=seconds(period), start__gte=since, start__lt=before
    )
    return iter(tallies.rows(rows, "start", "task_id", "queue").iterator())
