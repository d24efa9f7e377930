"""When a schedule is due, and what becomes of moments that could not be kept: checked when saved."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Final, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.utils import timezone as django_timezone

from openqueue import cron as crons
from openqueue.errors import FieldError, ScheduleInvalid
from openqueue.models import Schedule
from openqueue.options import seconds
from openqueue.wording import say as _

MISFIRES: Final = ("skip", "run_once", "run_all")
OVERLAPS: Final = ("allow", "skip", "queue")
SHORTEST: Final = timedelta(seconds=1)
LONGEST: Final = timedelta(days=3_660)
LONGEST_JITTER: Final = timedelta(days=1)
LOOKED_AT: Final = 20
"""Ticks between which there must be room for the jitter."""
TICK: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """The columns of a schedule that say when; each may also be given to ``@task(...)``."""

    cron: str = ""
    every: timedelta | None = None
    timezone: str = "UTC"
    misfire: str = "run_once"
    catchup_window: timedelta | None = None
    overlap: str = "allow"
    jitter: timedelta = timedelta()
    starts_at: datetime | None = None
    ends_at: datetime | None = None

    @classmethod
    def checked(cls, given: Mapping[str, Any]) -> Self:
        """Return the rule that these options mean; None stands for the default.

        Raises:
            ScheduleInvalid: names each option that is wrong, and says why.
        """
        reader = Reader({name: value for name, value in given.items() if value is not None})
        values = reader.read()
        if reader.faults:
            raise ScheduleInvalid(reader.faults)
        rule = cls(**values)
        rule.refuse_impossible()
        return rule

    @classmethod
    def of(cls, row: Schedule) -> Self:
        """Return the rule that a row holds."""
        return cls(**{name: getattr(row, name) for name in NAMES})

    def to_json(self) -> dict[str, Any]:
        """Return the rule as a JSON object, to compare it with another one."""
        return {name: jsonable(value) for name, value in asdict(self).items()}

    def next_after(self, after: datetime, *, anchor: datetime) -> datetime | None:
        """Return the first tick later than ``after``, in UTC; None when there is none.

        Raises:
            ZoneInfoNotFoundError: this system does not know the zone any more.
        """
        if self.starts_at is not None and after < self.starts_at:
            after = self.starts_at - TICK
        if self.every is not None:
            tick: datetime | None = crons.next_interval(anchor, every=self.every, after=after)
        else:
            tick = crons.next_tick(crons.read(self.cron), zone=ZoneInfo(self.timezone), after=after)
        return None if tick is None or (self.ends_at is not None and tick > self.ends_at) else tick

    def delay_of(self, tick: datetime, *, of: str) -> timedelta:
        """Return by how much the jitter moves a tick of this schedule: always the same for the same tick."""
        if not self.jitter:
            return timedelta()
        name = f"{of} {tick.astimezone(UTC).isoformat()}".encode()
        share = int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "big")
        return timedelta(microseconds=(self.jitter // TICK) * share >> 64)

    def refuse_impossible(self) -> None:
        """Refuse a date that never comes, and a jitter that would put ticks out of their order."""
        if self.every is not None:
            if self.jitter > self.every:
                raise ScheduleInvalid(
                    [
                        (
                            "jitter",
                            _(
                                "({jitter}) is longer than every= ({every})",
                                jitter=self.jitter,
                                every=self.every,
                            ),
                        )
                    ]
                )
            return
        rule, ticks = replace(self, ends_at=None), [datetime.now(UTC)]
        for _number in range(LOOKED_AT):
            tick = rule.next_after(ticks[-1], anchor=ticks[0])
            if tick is None:
                break
            ticks.append(tick)
        del ticks[0]
        if not ticks:
            raise ScheduleInvalid([("cron", _("({cron}) names no date that ever comes", cron=self.cron))])
        shortest = min((b - a for a, b in pairwise(ticks)), default=self.jitter)
        if self.jitter > shortest:
            wrong = _(
                "({jitter}) is longer than the time between two ticks ({shortest})",
                jitter=self.jitter,
                shortest=shortest,
            )
            raise ScheduleInvalid([("jitter", wrong)])


NAMES: Final = tuple(field.name for field in fields(Rule))
TIMES: Final = frozenset({"cron", "every", "timezone", "jitter", "starts_at", "ends_at"})
"""What moves the next tick."""


class Reader:
    """Reads options one by one and collects what is wrong with them."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.given = given
        self.faults: list[FieldError] = []

    def fault(self, path: str, reason: str) -> None:
        self.faults.append(FieldError(path, reason))

    def read(self) -> dict[str, Any]:
        unknown = set(self.given) - set(NAMES)
        for name in sorted(unknown):
            self.fault(name, _("is not known; there are: {known}", known=", ".join(NAMES)))
        values = {name: getattr(self, name)(value) for name, value in self.given.items() if name in NAMES}
        if ("cron" in self.given) == ("every" in self.given):
            self.fault("cron", _("or every= must be given, and not both"))
        starts, ends = values.get("starts_at"), values.get("ends_at")
        if starts and ends and ends < starts:
            self.fault("ends_at", _("is before starts_at"))
        return values

    def cron(self, value: Any) -> str:
        if not isinstance(value, str) or len(value) > 200:
            self.fault("cron", _("({value!r}) must be text such as '0 9 * * MON'", value=value))
            return ""
        try:
            crons.read(value)
        except ValueError as error:
            self.fault("cron", _("({value!r}) {why}", value=value, why=error.args[0]))
        return value.strip()

    def every(self, value: Any) -> timedelta | None:
        return self.duration("every", value, least=SHORTEST, most=LONGEST)

    def catchup_window(self, value: Any) -> timedelta | None:
        return self.duration("catchup_window", value, least=SHORTEST, most=LONGEST)

    def jitter(self, value: Any) -> timedelta | None:
        return self.duration("jitter", value, least=timedelta(), most=LONGEST_JITTER)

    def duration(self, name: str, value: Any, *, least: timedelta, most: timedelta) -> timedelta | None:
        try:
            duration = timedelta(seconds=seconds(value) or 0)
        except (TypeError, ValueError, OverflowError):
            duration = None
        if duration is None or not least <= duration <= most:
            self.fault(
                name,
                _(
                    "({value!r}) must be seconds or a timedelta, from {least} to {most}",
                    value=value,
                    least=least,
                    most=most,
                ),
            )
        return duration

    def timezone(self, value: Any) -> str:
        name = value.key if isinstance(value, ZoneInfo) else value
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError, TypeError, AttributeError):
            self.fault(
                "timezone",
                _(
                    "({value!r}) is no time zone that this system knows. Give a name such as 'Europe/Berlin'; "
                    "where the system has no time zones of its own, install `tzdata`",
                    value=value,
                ),
            )
            return ""
        return str(name)

    def misfire(self, value: Any) -> Any:
        return self.choice("misfire", value, MISFIRES)

    def overlap(self, value: Any) -> Any:
        return self.choice("overlap", value, OVERLAPS)

    def choice(self, name: str, value: Any, choices: tuple[str, ...]) -> Any:
        if value not in choices:
            self.fault(name, _("({value!r}) must be one of: {known}", value=value, known=", ".join(choices)))
        return value

    def starts_at(self, value: Any) -> datetime | None:
        return self.moment("starts_at", value)

    def ends_at(self, value: Any) -> datetime | None:
        return self.moment("ends_at", value)

    def moment(self, name: str, value: Any) -> datetime | None:
        """Read a datetime; a naive one is in TIME_ZONE, as Django reads it."""
        if not isinstance(value, datetime):
            self.fault(name, _("({value!r}) must be a datetime", value=value))
            return None
        aware = django_timezone.make_aware(value) if django_timezone.is_naive(value) else value
        return aware.astimezone(UTC)


def jsonable(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value.total_seconds()
    return value.isoformat() if isinstance(value, datetime) else value
