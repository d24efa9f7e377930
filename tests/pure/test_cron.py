"""Cron text against an oracle that knows nothing of it: a walk over every minute, by zoneinfo alone."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openqueue.cron import Cron, newest, next_interval, next_tick, read

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
ZONES = (
    "UTC", "Europe/Berlin", "Europe/London", "Europe/Dublin", "America/New_York", "America/St_Johns",
    "America/Santiago", "America/Havana", "America/Sao_Paulo", "America/Phoenix", "Australia/Lord_Howe",
    "Australia/Sydney", "Asia/Tehran", "Asia/Kathmandu", "Asia/Beirut", "Asia/Gaza", "Africa/Cairo",
    "Africa/Casablanca", "Pacific/Chatham", "Antarctica/Troll",
)  # fmt: skip
FIRST, LAST = datetime(2024, 1, 1, tzinfo=UTC), datetime(2034, 1, 1, tzinfo=UTC)
HORIZON = 40 * DAY


# --- the oracle ---------------------------------------------------------------------------------------------------


class Oracle:
    """What the promises say of a pattern, given as sets of numbers; None is a star."""

    def __init__(self, *, minutes, hours, days, months, weekdays, shown: bool, zone: str) -> None:
        self.sets = minutes, hours, days, months, weekdays
        self.shown = shown
        self.zone = ZoneInfo(zone)

    def matches(self, wall: datetime) -> bool:
        minutes, hours, days, months, weekdays = self.sets
        if minutes is not None and wall.minute not in minutes:
            return False
        if hours is not None and wall.hour not in hours:
            return False
        if months is not None and wall.month not in months:
            return False
        of_month = days is None or wall.day in days
        of_week = weekdays is None or (wall.weekday() + 1) % 7 in weekdays
        if days is not None and weekdays is not None:
            return of_month or of_week
        return of_month and of_week

    def is_tick(self, instant: datetime) -> bool:
        local = instant.astimezone(self.zone)
        wall = local.replace(tzinfo=None, fold=0)
        if self.shown:
            return self.matches(wall)
        if local.fold == 0 and self.matches(wall):
            return True
        before = (instant - DAY).astimezone(self.zone).utcoffset()
        if before >= local.utcoffset():
            return False
        lost = (instant + before).replace(tzinfo=None)  # what an old clock would have shown
        came_back = lost.replace(tzinfo=self.zone).astimezone(UTC).astimezone(self.zone).replace(tzinfo=None)
        return came_back != lost and self.matches(lost)

    def next(self, after: datetime) -> datetime | None:
        instant = after.replace(second=0, microsecond=0) + MINUTE
        while instant <= after + HORIZON:
            if self.is_tick(instant):
                return instant
            instant += self.step(instant)
        return None

    def step(self, instant: datetime) -> timedelta:
        """Skip what is left of an hour or a day that cannot match, unless clocks change nearby."""
        if instant.date() in NEAR[self.zone.key]:
            return MINUTE
        wall = instant.astimezone(self.zone).replace(tzinfo=None)
        _, hours, days, _, weekdays = self.sets
        may_match = days is None and weekdays is None
        may_match |= days is not None and wall.day in days
        may_match |= weekdays is not None and (wall.weekday() + 1) % 7 in weekdays
        if not may_match:
            return MINUTE * (1_440 - wall.hour * 60 - wall.minute)
        if hours is not None and wall.hour not in hours:
            return MINUTE * (60 - wall.minute)
        return MINUTE


@st.composite
def patterns(draw: st.DrawFn) -> tuple[str, dict]:
    """Return cron text and the sets that it means, made together so that neither is read from the other."""

    def numbers(low: int, high: int, most: int = 4) -> tuple[str, set[int] | None]:
        kind = draw(st.sampled_from(["star", "list", "range", "step"]))
        if kind == "star":
            return "*", None
        if kind == "list":
            chosen = sorted(draw(st.sets(st.integers(low, high), min_size=1, max_size=most)))
            return ",".join(map(str, chosen)), set(chosen)
        a, b = sorted((draw(st.integers(low, high)), draw(st.integers(low, high))))
        if kind == "range":
            return f"{a}-{b}", None if (a, b) == (low, high) else set(range(a, b + 1))
        by = draw(st.integers(1, high - low))
        every = set(range(low, high + 1, by))
        return f"*/{by}", None if by == 1 else every

    minutes, minute_set = numbers(0, 59)
    at_night = draw(st.sampled_from([None, ("2", {2}), ("0,1,2,3", {0, 1, 2, 3})]))
    hours, hour_set = at_night or numbers(0, 23)
    kinds = draw(st.sampled_from(["days", "weekdays", "both", "neither"]))
    days, day_set = numbers(1, 31, 10) if kinds in {"days", "both"} else ("*", None)
    weekdays, weekday_set = numbers(0, 6) if kinds in {"weekdays", "both"} else ("*", None)
    sets = {
        "minutes": minute_set,
        "hours": hour_set,
        "days": day_set,
        "months": None,
        "weekdays": weekday_set,
    }
    return f"{minutes} {hours} {days} * {weekdays}", sets | {"shown": "*" in hours or "/" in hours}


def changes_of(zone: str) -> list[datetime]:
    """Return the days on which the clocks of a zone change, in these ten years."""
    found, info, day = [], ZoneInfo(zone), FIRST
    while day < LAST:
        if day.astimezone(info).utcoffset() != (day + DAY).astimezone(info).utcoffset():
            found.append(day)
        day += DAY
    return found


NIGHTS = {zone: changes_of(zone) for zone in ZONES}
NEAR = {zone: {(day + n * DAY).date() for day in days for n in range(-2, 4)} for zone, days in NIGHTS.items()}


@st.composite
def moments(draw: st.DrawFn) -> tuple[str, datetime]:
    """Return a zone and a moment, mostly near a change of its clocks."""
    zone = draw(st.sampled_from(ZONES))
    if NIGHTS[zone] and draw(st.integers(0, 3)):
        day = draw(st.sampled_from(NIGHTS[zone]))
        return zone, day + timedelta(
            minutes=draw(st.integers(-1_440, 2_880)), seconds=draw(st.integers(0, 59))
        )
    minutes = draw(st.integers(0, (LAST - FIRST) // MINUTE))
    return zone, FIRST + timedelta(minutes=minutes, seconds=draw(st.integers(0, 59)))


@settings(max_examples=250, deadline=None)
@given(pattern=patterns(), when=moments())
def test_the_next_ticks_are_those_that_a_walk_finds(pattern: tuple[str, dict], when: tuple[str, datetime]):
    (text, sets), (zone, after) = pattern, when
    oracle = Oracle(**sets, zone=zone)
    for _ in range(3):
        expected = oracle.next(after)
        found = next_tick(read(text), zone=ZoneInfo(zone), after=after)
        if expected is None:
            assert found is None or found > after + HORIZON
            return
        assert found == expected, f"{text!r} in {zone} after {after}"
        after = found


def ticks_of_day(text: str, zone: str, day: str) -> list[datetime]:
    info = ZoneInfo(zone)
    start = datetime.fromisoformat(day).replace(tzinfo=info)
    end = (start + DAY).astimezone(UTC)
    return list(ticks(text, zone, start.astimezone(UTC) - timedelta(seconds=1), end))


def ticks(text: str, zone: str, after: datetime, before: datetime) -> Iterator[datetime]:
    tick = next_tick(read(text), zone=ZoneInfo(zone), after=after)
    while tick is not None and tick < before:
        yield tick
        tick = next_tick(read(text), zone=ZoneInfo(zone), after=tick)


def test_a_time_in_the_lost_hour_fires_once_at_the_instant_of_the_old_offset():
    assert ticks_of_day("30 2 * * *", "Europe/Berlin", "2027-03-28") == [
        datetime(2027, 3, 28, 1, 30, tzinfo=UTC)
    ]


def test_a_time_in_the_repeated_hour_fires_once_at_its_first():
    assert ticks_of_day("30 2 * * *", "Europe/Berlin", "2026-10-25") == [
        datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    ]


@pytest.mark.parametrize(
    ("text", "day", "count"),
    [
        ("*/15 * * * *", "2027-03-28", 92),
        ("*/15 * * * *", "2026-10-25", 100),
        ("*/15 * * * *", "2026-10-26", 96),
        ("0 * * * *", "2027-03-28", 23),
        ("0 * * * *", "2026-10-25", 25),
        ("0 */2 * * *", "2027-03-28", 11),
        ("0 */2 * * *", "2026-10-25", 13),
        ("*/15 2 * * *", "2027-03-28", 4),
        ("*/15 2 * * *", "2026-10-25", 4),
        ("0,30 2,3 * * *", "2027-03-28", 2),
        ("0 0-23 * * *", "2027-03-28", 23),
    ],
)
def test_both_nights_in_berlin(text: str, day: str, count: int):
    assert len(ticks_of_day(text, "Europe/Berlin", day)) == count


@pytest.mark.parametrize(
    ("text", "zone", "day", "count"),
    [
        ("*/15 * * * *", "Australia/Lord_Howe", "2026-10-04", 94),
        ("*/15 * * * *", "Australia/Lord_Howe", "2027-04-04", 98),
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-04", 1),
        ("45 1 * * *", "Australia/Lord_Howe", "2027-04-04", 1),
        ("*/15 * * * *", "America/Phoenix", "2027-03-14", 96),
        ("0 0 * * *", "Africa/Cairo", "2027-04-30", 1),
    ],
)
def test_other_nights(text: str, zone: str, day: str, count: int):
    """Half an hour, none at all, midnight itself."""
    assert len(ticks_of_day(text, zone, day)) == count


def test_a_day_that_is_left_out_fires_on_the_next():
    """Samoa had no Friday, 30 December 2011: its noon fell on Saturday's, and one instant is one tick."""
    thursday = datetime(2011, 12, 29, 12, tzinfo=UTC)
    found = ticks("0 12 * * *", "Pacific/Apia", thursday, thursday + 4 * DAY)
    assert [f"{tick:%d %H:%M}" for tick in found] == ["29 22:00", "30 22:00", "31 22:00", "01 22:00"]


@pytest.mark.parametrize(
    ("text", "dates"),
    [
        ("0 0 29 2 *", ["2028-02-29", "2032-02-29"]),
        ("0 0 31 * *", ["2027-01-31", "2027-03-31", "2027-05-31"]),
        ("0 0 L * *", ["2027-01-31", "2027-02-28", "2027-03-31"]),
        ("0 0 * * fri#2", ["2027-01-08", "2027-02-12"]),
        ("0 0 * * L5", ["2027-01-29", "2027-02-26"]),
        ("0 0 13 * FRI", ["2027-01-08", "2027-01-13", "2027-01-15"]),
        ("0 0 * jan,JUL mon", ["2027-01-04", "2027-01-11"]),
        ("0 0 * * 7", ["2027-01-03", "2027-01-10"]),
        ("0 0 * * mon-mon", ["2027-01-04", "2027-01-11"]),
        ("0-00 0 * * fri-sun", ["2027-01-02", "2027-01-03", "2027-01-08"]),
        ("@monthly", ["2027-02-01", "2027-03-01"]),
        ("@yearly", ["2028-01-01"]),
        ("0 0 1 1 ?", ["2028-01-01"]),
    ],
)
def test_dates(text: str, dates: list[str]):
    after = datetime(2027, 1, 1, 12, tzinfo=UTC)
    for date in dates:
        after = next_tick(read(text), zone=ZoneInfo("UTC"), after=after)
        assert after.isoformat() == f"{date}T00:00:00+00:00"


@pytest.mark.parametrize("text", ["0 0 30 2 *", "0 0 31 2,4,6,9,11 *"])
def test_a_date_that_never_comes_is_answered_at_once(text: str):
    assert next_tick(read(text), zone=ZoneInfo("UTC"), after=FIRST) is None


def test_the_end_of_the_calendar_is_no_error():
    last = datetime(9999, 12, 31, 23, 59, tzinfo=UTC)
    for text in ("* * * * *", "0 0 1 * *", "0 0 * * *", "0 0 1 1 *", "0 9 * * *"):
        for zone in ("UTC", "Pacific/Kiritimati", "Pacific/Niue"):
            next_tick(read(text), zone=ZoneInfo(zone), after=last)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "five fields"),
        ("* * * *", "five fields"),
        ("*/5 * * * * *", "use every="),
        ("0 0 * * * 2027", "use every="),
        ("@reboot", "five fields"),
        ("0 24 * * *", "cannot be read"),
        ("60 0 * * *", "cannot be read"),
        ("0 0 0 * *", "cannot be read"),
        ("0 0 * 13 *", "cannot be read"),
        ("0 0 15W * *", "does not know w"),
        ("H 0 * * *", "does not know h"),
        ("R 0 * * *", "does not know r"),
        ("0 0 * * mo", "does not know mo"),
        ("0 0 * * mon#6", "cannot be read"),
        ("0 0 -3 * *", "cannot be read"),
        ("a b c d e", "does not know a, b, c, d, e"),
        ("0/0 * * * *", "cannot be read"),
    ],
)
def test_other_texts_are_refused_with_the_reason(text: str, reason: str):
    with pytest.raises(ValueError, match=reason):
        Cron.read(text)


@given(text=st.text(alphabet="0123456789*/,-#L ?@abcmonW", max_size=24))
def test_whatever_is_typed_is_read_or_refused_with_a_value_error(text: str):
    try:
        cron = Cron.read(text)
    except ValueError:
        return
    next_tick(cron, zone=ZoneInfo("Europe/Berlin"), after=FIRST)


@given(
    every=st.timedeltas(min_value=timedelta(seconds=1), max_value=timedelta(days=400)),
    ahead=st.timedeltas(min_value=timedelta(days=-400), max_value=timedelta(days=4000)),
)
def test_intervals_follow_elapsed_time_from_their_anchor(every: timedelta, ahead: timedelta):
    tick = next_interval(FIRST, every=every, after=FIRST + ahead)
    assert tick > FIRST + ahead
    assert (tick - FIRST) % every == timedelta()
    assert tick == FIRST or tick - every <= FIRST + ahead


@given(count=st.integers(0, 400), most=st.integers(1, 50), every=st.integers(1, 7_200))
def test_the_newest_ticks_are_found_from_nearby(count: int, most: int, every: int):
    step = timedelta(seconds=every)
    until = FIRST + count * step
    found = newest(
        lambda after: next_interval(FIRST, every=step, after=after), after=FIRST, until=until, most=most
    )
    assert found == [FIRST + n * step for n in range(1, count + 1)][-most:]


def test_months_have_their_lengths():
    ends = ticks("59 23 L * *", "UTC", FIRST, LAST)
    assert all(monthrange(tick.year, tick.month)[1] == tick.day for tick in ends)
