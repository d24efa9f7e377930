"""Cron text and intervals: when the next tick is, in whatever zone, on whatever night."""

from __future__ import annotations

import re
from calendar import monthrange
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any, Final, Self
from zoneinfo import ZoneInfo

from croniter import CroniterError, croniter

from openqueue.wording import say as _

ALIASES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
WORDS: Final = {*MONTHS, *WEEKDAYS, "l"}
"""What letters may stand for. Not among them: W (nearest workday), and H and R, which mean another time each time."""
YEARS: Final = 30
"""How far ahead a match is looked for. The rarest date there is, 29 February around 2100, comes after eight."""
NIGHT: Final = timedelta(hours=25)
"""No clock is ever put further than a day (Samoa, 2011)."""
SECOND: Final = timedelta(seconds=1)
Next = Callable[[datetime], "datetime | None"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """Five fields, read: which wall times they mean."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int] | None
    """None: every day of the month."""
    on_last_day: bool
    months: frozenset[int] | None
    weekdays: frozenset[int] | None
    """0 is Sunday. None: every day of the week."""
    which: Mapping[int, frozenset[Any]]
    """By weekday: which of the month, where not each; "l" is the last."""
    follows_clock: bool
    """A wildcard or a step in the hour: it fires whenever the clock on the wall shows such a time."""

    @classmethod
    def read(cls, text: str) -> Self:
        """Read cron text: five fields, or an alias such as ``@daily``.

        Raises:
            ValueError: it is no such text; says why.
        """
        fields = ALIASES.get(text.strip().lower(), text).lower().split()
        if len(fields) != 5:
            raise ValueError(
                _(
                    "needs five fields: minute, hour, day of the month, month, day of the week. For seconds, "
                    "use every="
                )
            )
        unknown = sorted({word for field in fields for word in re.findall(r"[a-z]+", field)} - WORDS)
        if unknown:
            raise ValueError(_("does not know {names}", names=", ".join(unknown)))
        try:
            values, which = croniter.expand(" ".join(map(plain, fields)))
        except (CroniterError, ValueError, KeyError, IndexError) as error:
            raise ValueError(_("cannot be read: {error}", error=error)) from error
        minutes, hours, days, months, weekdays = values
        return cls(
            minutes=tuple(range(60)) if minutes == ["*"] else tuple(sorted(minutes)),
            hours=tuple(range(24)) if hours == ["*"] else tuple(sorted(hours)),
            days=limits(days, range(1, 32)),
            on_last_day="l" in days,
            months=limits(months, range(1, 13)),
            weekdays=limits(weekdays, range(7)) if not which else frozenset(weekdays),
            which={weekday: frozenset(numbers) for weekday, numbers in which.items()},
            follows_clock=bool(set(fields[1]) & set("*/?")),
        )

    def is_on(self, day: date) -> bool:
        """Tell whether there are ticks on this day of this month."""
        of_month = self.days is None or day.day in self.days or (self.on_last_day and day.day == last(day))
        if self.weekdays is None:
            return of_month
        of_week = self.is_on_weekday(day)
        return of_week if self.days is None else of_month or of_week

    def is_on_weekday(self, day: date) -> bool:
        weekday = day.isoweekday() % 7
        if self.weekdays is None or weekday not in self.weekdays:
            return False
        numbers = self.which.get(weekday)
        if not numbers:
            return True
        return (day.day + 6) // 7 in numbers or ("l" in numbers and day.day + 7 > last(day))

    def walls(self, after: datetime) -> Iterator[datetime]:
        """Yield the wall times that match, later than ``after`` (which has no zone either), in order."""
        day, end = after.date(), after.year + YEARS
        while day.year <= end:
            if self.months is not None and day.month not in self.months:
                day = following_month(day)
            else:
                if self.is_on(day):
                    for hour in self.hours:
                        if day == after.date() and hour < after.hour:
                            continue
                        for minute in self.minutes:
                            wall = datetime.combine(day, time(hour, minute))
                            if wall > after:
                                yield wall
                day = day + timedelta(days=1) if day < date.max else date.max
            if day == date.max:
                return


def limits(values: list[Any], whole: range) -> frozenset[int] | None:
    """Return what a field limits dates to; None where it names every value, in whatever way."""
    numbers = frozenset(value for value in values if value not in ("*", "l"))
    return None if "*" in values or numbers.issuperset(whole) else numbers


def plain(field: str) -> str:
    """Write 5 for 5-5, whatever its step: croniter takes a range that ends where it begins for a whole round."""

    def ends_where_it_begins(found: re.Match[str]) -> str:
        low, high = found[1], found[2]
        same = low == high or (low.isdigit() and high.isdigit() and int(low) == int(high))
        return low if same else found[0]

    return re.sub(r"(\w+)-(\w+)(?:/\d+)?", ends_where_it_begins, field)


@lru_cache(maxsize=1_024)
def read(text: str) -> Cron:
    """Read cron text as `Cron.read` does; what was read lately is remembered."""
    return Cron.read(text)


def next_tick(cron: Cron, *, zone: ZoneInfo, after: datetime) -> datetime | None:
    """Return the first tick later than ``after``, in UTC; None when there is none.

    A fixed time in the hour that a change of the clocks leaves out fires at the instant of the old offset; one in the
    hour that comes twice fires at its first. Whatever follows the clock fires at each instant that shows such a time.
    """
    after = after.astimezone(UTC).replace(microsecond=0)
    find = next_shown if cron.follows_clock else next_fixed
    try:
        return find(cron, zone=zone, after=after)
    except OverflowError:  # the calendar ends in the year 9999
        return None


def next_fixed(cron: Cron, *, zone: ZoneInfo, after: datetime) -> datetime | None:
    """Each wall time has one instant. The images of lost ones lie among those of the times behind the gap."""
    wall = after.astimezone(zone).replace(tzinfo=None)
    lost = offset(after, zone) - offset(after - NIGHT, zone)
    best, until = None, datetime.max  # noqa: DTZ901  # a wall time
    for candidate in cron.walls(wall - max(lost, timedelta())):
        if candidate > until:
            break
        instant = candidate.replace(tzinfo=zone).astimezone(UTC)
        if instant <= after:
            continue
        if best is None:
            # Where it was lost, times behind the gap may come before it: the gap's width further on none does.
            until = candidate + (offset(instant, zone) - (candidate.replace(tzinfo=UTC) - instant))
            best = instant
        best = min(best, instant)
    return best


def next_shown(cron: Cron, *, zone: ZoneInfo, after: datetime) -> datetime | None:
    """Wall times that come twice have two instants, lost ones none."""
    wall = after.astimezone(zone).replace(tzinfo=None)
    found = first_shown(cron, zone=zone, after=after, beyond=wall)
    if offset(after + NIGHT, zone) < offset(after, zone):  # a change is near that shows some times again
        change = turn(zone, after)
        again = (change.astimezone(zone) - SECOND).replace(tzinfo=None)
        repeated = first_shown(cron, zone=zone, after=change - SECOND, beyond=again)
        found = min(filter(None, (found, repeated)), default=None)
    return found


def first_shown(cron: Cron, *, zone: ZoneInfo, after: datetime, beyond: datetime) -> datetime | None:
    for wall in cron.walls(beyond):
        for fold in (0, 1):
            instant = wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)
            if instant > after and instant.astimezone(zone).replace(tzinfo=None) == wall:
                return instant
    return None


def turn(zone: ZoneInfo, after: datetime) -> datetime:
    """Return the instant within a night after ``after`` from which another offset holds."""
    before, low, high = offset(after, zone), 0, int(NIGHT.total_seconds())
    while high - low > 1:
        middle = (low + high) // 2
        if offset(after + middle * SECOND, zone) == before:
            low = middle
        else:
            high = middle
    return after + high * SECOND


def next_interval(anchor: datetime, *, every: timedelta, after: datetime) -> datetime:
    """Return the first of ``anchor``, ``anchor + every``, ... that is later than ``after``."""
    if after < anchor:
        return anchor
    return anchor + every * ((after - anchor) // every + 1)


def newest(next_after: Next, *, after: datetime, until: datetime, most: int) -> list[datetime]:
    """Return the last ``most`` ticks in (after, until], in order: walked from nearby, however many there are."""
    back = timedelta(minutes=1)
    while True:
        start = max(after, until - back)
        found: deque[datetime] = deque(maxlen=most + 1)
        tick = next_after(start)
        while tick is not None and tick <= until:
            found.append(tick)
            tick = next_after(tick)
        if len(found) >= most or start == after:
            return list(found)[-most:]
        back *= 4


def offset(instant: datetime, zone: ZoneInfo) -> timedelta:
    return instant.astimezone(zone).utcoffset() or timedelta()


def last(day: date) -> int:
    return monthrange(day.year, day.month)[1]


def following_month(day: date) -> date:
    if (day.year, day.month) == (9999, 12):
        return date.max
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)
