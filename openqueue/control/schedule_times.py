"""When a schedule is due next, and what a change of the clocks does to that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from openqueue import cron as crons
from openqueue.control.schedules import ScheduleFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """One moment at which a schedule is due, without its jitter."""

    at: datetime
    wall: datetime
    """The same on a clock in the schedule's zone."""
    clocks_moved: float
    """Seconds by which the clocks there were put on since the moment before it; negative: back."""
    is_left_out: bool
    """The clocks leave out the time that the rule names; it is due at the instant of the old offset."""
    is_shown_twice: bool
    """The clocks show this time twice that night."""


def due(schedule: ScheduleFacts, moments: Sequence[datetime], *, now: datetime) -> list[Due]:
    """Return these moments, in order, with what the zone's clocks do between them."""
    zone = ZoneInfo(schedule.timezone)
    rule = crons.read(schedule.cron) if schedule.cron else None
    found, before = [], now
    for at in moments:
        wall = at.astimezone(zone)
        moved = (crons.offset(at, zone) - crons.offset(before, zone)).total_seconds()
        first, second = (wall.replace(fold=fold).utcoffset() for fold in (0, 1))
        named = rule is None or (wall.hour in rule.hours and wall.minute in rule.minutes)
        found.append(
            Due(
                at=at,
                wall=wall,
                clocks_moved=moved,
                is_left_out=not named,
                is_shown_twice=first is not None and second is not None and first > second,
            )
        )
        before = at
    return found
