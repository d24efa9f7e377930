"""Schedules in plain words: when they are due, what becomes of what was missed, and how they stand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

from django.utils.dates import MONTHS, WEEKDAYS
from django.utils.text import get_text_list
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from openqueue import cron as crons
from openqueue.control.schedules import ScheduleFacts
from openqueue.cron import Cron
from openqueue_workbench import wording
from openqueue_workbench.wording import Mark

NAMED: Final = 6
"""Times of a day that are named one by one."""
STATES: Final = {
    "active": ("✓", gettext_lazy("Active"), "oq-c-completed"),
    "failing": ("✕", gettext_lazy("Failing"), "oq-c-failed"),
    "paused": ("‖", gettext_lazy("Paused"), "oq-c-retrying"),
    "retired": ("⊘", gettext_lazy("Retired"), "oq-c-cancelled"),
    "ended": ("⊖", gettext_lazy("Ended"), "oq-c-queued"),
}
MISFIRES: Final = {
    "skip": gettext_lazy("What was missed is left out."),
    "run_once": gettext_lazy("One run makes up for all that was missed."),
    "run_all": gettext_lazy("Each that was missed is made up for, the newest 100 at most."),
}
OVERLAPS: Final = {
    "allow": gettext_lazy("It starts all the same: several can run at a time."),
    "skip": gettext_lazy("It is left out."),
    "queue": gettext_lazy("One waits for the run before it to end; more are left out."),
}
WHICH: Final = {
    1: gettext_lazy("first"),
    2: gettext_lazy("second"),
    3: gettext_lazy("third"),
    4: gettext_lazy("fourth"),
    5: gettext_lazy("fifth"),
    "l": gettext_lazy("last"),
}


def state(status: str) -> Mark:
    """Return how a schedule's status is shown."""
    glyph, word, css = STATES.get(status, ("?", status.capitalize(), "oq-c-queued"))
    return Mark(glyph=glyph, word=str(word), css=css)


def expression(schedule: ScheduleFacts) -> str:
    """Return the rule as it is written."""
    return schedule.cron or f"every={schedule.every:g}"


def rule(schedule: ScheduleFacts) -> str:
    """Return the rule in words."""
    if schedule.every is not None:
        return _("every %(span)s") % {"span": wording.duration(schedule.every)}
    try:
        return cron(crons.read(schedule.cron))
    except ValueError:  # a row that was written by hand
        return ""


def cron(read: Cron) -> str:
    """Return cron text in words: "at 09:00, Monday to Friday"."""
    parts = [_times(read), *_days(read), *_months(read)]
    return ", ".join(part for part in parts if part)


def misfire(schedule: ScheduleFacts) -> str:
    """Return what becomes of moments that nobody kept."""
    said = str(MISFIRES.get(schedule.misfire, schedule.misfire))
    if schedule.catchup_window is not None and schedule.misfire != "skip":
        said += " " + _("What is older than %(span)s is left out.") % {
            "span": wording.duration(schedule.catchup_window)
        }
    return said


def overlap(schedule: ScheduleFacts) -> str:
    """Return what becomes of a moment at which the run before it has not ended."""
    return str(OVERLAPS.get(schedule.overlap, schedule.overlap))


def _times(read: Cron) -> str:
    hours, minutes = read.hours, read.minutes
    if len(hours) * len(minutes) <= NAMED:
        return _("at %(times)s") % {"times": _list(f"{h:02}:{m:02}" for h in hours for m in minutes)}
    often, within = _often(minutes), _within(hours)
    if often and within is not None:
        return f"{often} {within}".strip()
    at = _list(f":{minute:02}" for minute in minutes)
    if step := _step(hours, 24):
        every = ngettext("every hour", "every %(number)s hours", step) % {"number": step}
        return _("%(every)s at %(minutes)s") % {"every": every, "minutes": at}
    if within:
        return _("every hour at %(minutes)s %(within)s") % {"minutes": at, "within": within}
    return _("at %(minutes)s of the hours %(hours)s") % {
        "minutes": often or at,
        "hours": _list(str(hour) for hour in hours),
    }


def _often(minutes: Sequence[int]) -> str:
    step = _step(minutes, 60) if len(minutes) > 1 else 0
    return ngettext("every minute", "every %(number)s minutes", step) % {"number": step} if step else ""


def _within(hours: Sequence[int]) -> str | None:
    """Return between which times; None where the hours are not one stretch."""
    if len(hours) == 24:
        return ""
    if any(b - a != 1 for a, b in pairwise(hours)):
        return None
    return _("from %(first)s to %(last)s") % {"first": f"{hours[0]:02}:00", "last": f"{hours[-1]:02}:59"}


def _step(values: Sequence[int], whole: int) -> int:
    """Return the step that these go by all the way round; 0 where they go by none."""
    step = whole // len(values)
    return step if list(values) == list(range(0, whole, step)) and whole % step == 0 else 0


def _days(read: Cron) -> list[str]:
    named = []
    if read.days:
        named.append(
            ngettext("on day %(days)s of the month", "on days %(days)s of the month", len(read.days))
            % {"days": _list(str(day) for day in sorted(read.days))}
        )
    if read.on_last_day:
        named.append(_("on the last day of the month"))
    if read.weekdays is not None:
        named.append(_weekdays(read))
    if not named:
        return [_("every day")] if len(read.hours) * len(read.minutes) <= NAMED else []
    return [_(" or ").join(named)]


def _weekdays(read: Cron) -> str:
    days = sorted(read.weekdays or (), key=lambda day: (day - 1) % 7)  # from Monday on
    names = [str(WEEKDAYS[(day - 1) % 7]) for day in days]
    if any(read.which.get(day) for day in days):
        told = []
        for day, name in zip(days, names, strict=True):
            which = sorted(read.which.get(day, ()), key=str)
            order = _list(str(WHICH.get(one, one)) for one in which)
            told.append(_("%(which)s %(day)s") % {"which": order, "day": name} if which else name)
        return _("on the %(days)s of the month") % {"days": _list(told)}
    places = [(day - 1) % 7 for day in days]
    if len(days) > 2 and all(b - a == 1 for a, b in pairwise(places)):
        return _("%(first)s to %(last)s") % {"first": names[0], "last": names[-1]}
    return _("on %(days)s") % {"days": _list(names)}


def _months(read: Cron) -> list[str]:
    if read.months is None:
        return []
    return [_("in %(months)s") % {"months": _list(str(MONTHS[month]) for month in sorted(read.months))}]


def _list(words: Iterable[str]) -> str:
    return get_text_list(list(words), _("and"))
