"""Which groups of errors open again, now that they were counted: what was resolved or ignored, and returns.

A resolved group opens with a failure after that moment. Resolved in a release, it opens only with one of that release
or of one that was first seen later; of a worker that told none, it opens as well: nothing says that it is older.

An ignored group opens with a failure after the moment until which it is ignored, and with more than so many failures
in any 60 minutes on end, counted from the first whole minute after it was ignored.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Final

from django.db.models import Sum

from openqueue.models import ErrorCount, ErrorGroup
from openqueue.store import releases, store

HOUR: Final = timedelta(hours=1)
MINUTE: Final = 60
Ends = Mapping[str, datetime]
"""The last failure of each release."""
Minutes = list[tuple[datetime, int]]
"""How many failed in which minute, oldest first."""


def open_again(seen: Mapping[int, Ends], *, since: datetime) -> None:
    """Open what returned, of the groups that were just counted from ``since`` on.

    The caller holds the lock of the roll-ups: no other process counts meanwhile. What an operator does then stands.
    """
    groups = ErrorGroup.objects.using(store().alias)
    closed = list(groups.filter(pk__in=list(seen)).exclude(state=ErrorGroup.OPEN).order_by("pk"))
    if not closed:
        return
    wanted = {one.resolved_in for one in closed if one.resolved_in}
    named = wanted | {release for one in closed if one.resolved_in for release in seen[one.pk]}
    known = releases.places(store(), named) if named else {}
    bounded = [one.pk for one in closed if one.state == ErrorGroup.IGNORED and one.ignored_above is not None]
    minutes = _minutes(bounded, since=since - HOUR) if bounded else {}
    for one in closed:
        if one.state == ErrorGroup.RESOLVED:
            at = _after_resolving(one, seen[one.pk], known)
        else:
            at = _after_ignoring(one, seen[one.pk], minutes.get(one.pk, []))
        if at is not None:
            groups.filter(pk=one.pk, state=one.state, changed_at=one.changed_at).update(
                state=ErrorGroup.OPEN, ignored_until=None, ignored_above=None, resolved_in="", returned_at=at
            )


def _after_resolving(group: ErrorGroup, ends: Ends, known: Mapping[str, releases.Place]) -> datetime | None:
    """Return when it failed so last in a release that it is mended in."""
    counting = (
        at
        for release, at in ends.items()
        if not (group.resolved_in and releases.is_older(release, group.resolved_in, known=known))
    )
    last = max(counting, default=None)
    return last if last is not None and group.changed_at is not None and last > group.changed_at else None


def _after_ignoring(group: ErrorGroup, ends: Ends, minutes: Minutes) -> datetime | None:
    """Return when it failed so last, where its time is over or it failed too often."""
    last = max(ends.values())
    is_over = group.ignored_until is not None and group.ignored_until < last
    counted = [one for one in minutes if group.changed_at is None or one[0] >= group.changed_at]
    is_often = group.ignored_above is not None and most_an_hour(counted) > group.ignored_above
    return last if is_over or is_often else None


def most_an_hour(minutes: Minutes) -> int:
    """Return how many there are at most in 60 minutes on end."""
    most = number = 0
    window: deque[tuple[datetime, int]] = deque()
    for start, count in minutes:
        window.append((start, count))
        number += count
        while window[0][0] <= start - HOUR:
            number -= window.popleft()[1]
        most = max(most, number)
    return most


def _minutes(groups: Collection[int], *, since: datetime) -> dict[int, Minutes]:
    """Read the minutes of these groups, in one statement."""
    rows = ErrorCount.objects.using(store().alias).filter(group__in=groups, period=MINUTE, start__gt=since)
    found: defaultdict[int, Minutes] = defaultdict(list)
    for group, start, number in (
        rows.values_list("group_id", "start").annotate(n=Sum("count")).order_by("start")
    ):
        found[group].append((start, number))
    return found
