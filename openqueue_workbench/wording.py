"""Numbers, times and states in words: said the same way on every page and in every drawing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.utils import formats, timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from openqueue.states import FlowStatus, Kind, Reason, Status, TickOutcome

NOTHING: Final = "–"
SMALL: Final = 100
"""A share of fewer than these is told as "2 of 5": a percentage would claim to know more."""
MINUTE, HOUR, DAY = 60, 3_600, 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """How a state is shown: never by its colour alone."""

    glyph: str
    word: str
    css: str
    """The class that holds the state's colours (drawing.css)."""
    is_name: bool = False
    """The word is what somebody called it, and stays as it is within a sentence."""

    @property
    def within(self) -> str:
        """Return the word as it stands within a sentence."""
        return self.word if self.is_name else self.word.lower()


_Entry = tuple[str, "str | Promise", str]
_STATES: Final[dict[str, _Entry]] = {
    Status.SCHEDULED: ("◷", pgettext_lazy("state", "Scheduled"), "queued"),
    Status.QUEUED: ("○", pgettext_lazy("state", "Queued"), "queued"),
    Status.WAITING: ("◌", pgettext_lazy("state", "Waiting"), "queued"),
    Status.RUNNING: ("▶", pgettext_lazy("state", "Running"), "running"),
    Status.RETRYING: ("↻", pgettext_lazy("state", "Retrying"), "retrying"),
    Status.COMPLETED: ("✓", pgettext_lazy("state", "Completed"), "completed"),
    Status.FAILED: ("✕", pgettext_lazy("state", "Failed"), "failed"),
    Status.CANCELLED: ("⊘", pgettext_lazy("state", "Cancelled"), "cancelled"),
    Status.EXPIRED: ("⊖", pgettext_lazy("state", "Expired"), "cancelled"),
    FlowStatus.BLOCKED: ("‖", pgettext_lazy("state", "Blocked"), "retrying"),
    # How an attempt can end beside that.
    Kind.RELEASED: ("↶", pgettext_lazy("state", "Given back"), "queued"),
    Kind.WORKER_LOST: ("†", pgettext_lazy("state", "Worker lost"), "dead"),
}
_TICKS: Final[dict[str, _Entry]] = {
    TickOutcome.RUN: ("▶", pgettext_lazy("moment of a schedule", "Made a run"), "completed"),
    TickOutcome.WAITING: (
        "◌",
        pgettext_lazy("moment of a schedule", "Waits for the run before it"),
        "queued",
    ),
    TickOutcome.MISSED: ("⊖", pgettext_lazy("moment of a schedule", "Missed"), "retrying"),
    TickOutcome.OUT_OF_WINDOW: (
        "⊖",
        pgettext_lazy("moment of a schedule", "Missed too long ago"),
        "retrying",
    ),
    TickOutcome.OVERLAPPED: (
        "⊘",
        pgettext_lazy("moment of a schedule", "Left out: the run before it had not ended"),
        "cancelled",
    ),
    TickOutcome.PAUSED: ("‖", pgettext_lazy("moment of a schedule", "Left out: paused"), "cancelled"),
    TickOutcome.FAILED: ("✕", pgettext_lazy("moment of a schedule", "Could not make a run"), "failed"),
}
_REASONS: Final[dict[str, str | Promise]] = {
    Reason.NONE: "",
    Reason.ERROR: gettext_lazy("the task raised an error"),
    Reason.TIMED_OUT: gettext_lazy("it took longer than its time limit"),
    Reason.NON_RETRYABLE: gettext_lazy("an error that is not retried"),
    Reason.WORKER_LOST: gettext_lazy("its worker was lost"),
    Reason.UNKNOWN_TASK: gettext_lazy("no worker knows the task"),
    Reason.UNPUBLISHABLE: gettext_lazy("the broker does not take its message"),
    Reason.PAYLOAD_INVALID: gettext_lazy("the arguments do not fit the task"),
    Reason.RESULT_INVALID: gettext_lazy("the result cannot be kept"),
    Reason.DEPENDENCY_FAILED: gettext_lazy("a step that it waits for failed"),
    Reason.BY_USER: gettext_lazy("somebody asked for it"),
    Reason.QUEUE_CLOSED: gettext_lazy("its queue was closed"),
}


def mark(status: str) -> Mark:
    """Return how a status of a run, a flow or an attempt is shown; one that is unknown here by its own name."""
    return _mark(_STATES.get(status), status)


def tick_mark(outcome: str) -> Mark:
    """Return how what became of a moment of a schedule is shown."""
    return _mark(_TICKS.get(outcome), outcome)


def _mark(entry: _Entry | None, name: str) -> Mark:
    if entry is None:
        return Mark(glyph="?", word=name.replace("_", " ").capitalize(), css="oq-c-queued")
    glyph, word, hue = entry
    return Mark(glyph=glyph, word=str(word), css=f"oq-c-{hue}")


def reason(code: str) -> str:
    """Return why a run stands where it stands; one that is unknown here by its own name."""
    return str(_REASONS.get(code, code.replace("_", " ")))


def number(value: float, *, decimals: int = 0) -> str:
    """Return a number as the reader's language writes it."""
    return formats.number_format(round(value, decimals), decimals, force_grouping=True)


def count(value: int, *, bound: int | None = None) -> str:
    """Return a count; one that ended at ``bound`` as "10,000+"."""
    if bound is not None and value >= bound:
        return _("%(number)s+") % {"number": number(bound)}
    return number(value)


def estimate(value: float) -> str:
    """Return a number of which the magnitude is known: "about 1.2 million"."""
    if value >= 999_500_000:
        return _("about %(number)s billion") % {"number": number(value / 1e9, decimals=1)}
    if value >= 999_500:
        return _("about %(number)s million") % {"number": number(value / 1e6, decimals=1)}
    if value < SMALL:
        return _("about %(number)s") % {"number": number(value)}
    digits = len(str(int(value))) - 2
    return _("about %(number)s") % {"number": number(round(value, -digits))}


def share(part: int, whole: int) -> str:
    """Return a share with its base: "2 of 5", "3.1 % of 1,240"; nothing of nothing is a dash."""
    if not whole:
        return NOTHING
    if whole < SMALL:
        return _("%(part)s of %(whole)s") % {"part": number(part), "whole": number(whole)}
    return _("%(percent)s of %(whole)s") % {"percent": percent(part, whole), "whole": number(whole)}


def percent(part: float, whole: float) -> str:
    """Return a percentage that says 0 and 100 only where that is so; nothing of nothing is a dash."""
    if not whole:
        return NOTHING
    value = 100 * part / whole
    if 0 < value < 0.1:
        return _("under %(number)s %%") % {"number": number(0.1, decimals=1)}
    if 99.9 < value < 100:
        return _("over %(number)s %%") % {"number": number(99.9, decimals=1)}
    return _("%(number)s %%") % {"number": number(value, decimals=0 if value in {0, 100} else 1)}


def duration(seconds: float | None, *, exact: bool = False) -> str:
    """Return seconds in two units at most: "320 ms", "1.2 s", "3 min 5 s", "14 h 3 min", "2 d 4 h".

    ``exact`` says all units down to hundredths of a second, as a timeline needs them.
    """
    if seconds is None:
        return NOTHING
    seconds = max(0.0, seconds)
    if not seconds:
        return _("%(number)s s") % {"number": number(0)}
    if round(seconds, 3) < 1:
        milliseconds = seconds * 1_000
        if milliseconds < 0.5:
            return _("under %(number)s ms") % {"number": number(1)}
        return _("%(number)s ms") % {"number": number(milliseconds)}
    decimals = 2 if exact else 1 if round(seconds, 1) < 10 else 0
    if round(seconds, decimals) < MINUTE:
        return _("%(number)s s") % {"number": number(seconds, decimals=decimals)}
    if exact:
        return _exact(round(seconds, 2))
    if round(seconds) < HOUR:
        minutes, rest = divmod(round(seconds), MINUTE)
        return _two(_("%(number)s min"), minutes, _("%(number)s s"), rest)
    whole = round(seconds / MINUTE)
    if whole < DAY // MINUTE:
        hours, minutes = divmod(whole, 60)
        return _two(_("%(number)s h"), hours, _("%(number)s min"), minutes)
    days, hours = divmod(round(seconds / HOUR), 24)
    return _two(_("%(number)s d"), days, _("%(number)s h"), hours)


def _exact(seconds: float) -> str:
    minutes, rest = divmod(seconds, MINUTE)
    hours, minutes = divmod(int(minutes), 60)
    days, hours = divmod(hours, 24)
    units = ((_("%(number)s d"), days), (_("%(number)s h"), hours), (_("%(number)s min"), minutes))
    first = next(index for index, (_unit, value) in enumerate(units) if value)
    parts = [unit % {"number": number(value)} for unit, value in units[first:]]
    return " ".join([*parts, _("%(number)s s") % {"number": number(rest, decimals=2)}])


def tick(seconds: float) -> str:
    """Return seconds at an axis, where whole ones have no decimals."""
    if seconds < MINUTE and seconds == int(seconds):
        return _("%(number)s s") % {"number": number(seconds)}
    return duration(seconds)


def _two(large: str, high: float, small: str, low: float) -> str:
    text = large % {"number": number(high)}
    return f"{text} {small % {'number': number(low)}}" if low else text


def span(seconds: float) -> str:
    """Return seconds roughly, in the one unit that people would use: "48 s", "12 min", "14 h", "3 d"."""
    seconds = max(0.0, seconds)
    if round(seconds) < MINUTE:
        return _("%(number)s s") % {"number": number(seconds)}
    if round(seconds / MINUTE) < 60:
        return _("%(number)s min") % {"number": number(seconds / MINUTE)}
    if round(seconds / HOUR) < 48:
        return _("%(number)s h") % {"number": number(seconds / HOUR)}
    return _("%(number)s d") % {"number": number(seconds / DAY)}


def age(moment: datetime, *, now: datetime) -> str:
    """Return how far a moment is: "12 min ago", "in 4 min", "now"."""
    seconds = (now - moment).total_seconds()
    if abs(seconds) < 0.5:
        return _("now")
    if seconds < 0:
        return _("in %(span)s") % {"span": span(-seconds)}
    return _("%(span)s ago") % {"span": span(seconds)}


def clock(moment: datetime, *, seconds: bool = False) -> str:
    """Return the time of day in the reader's zone, by 24 hours: columns of times compare."""
    return timezone.localtime(moment).strftime("%H:%M:%S" if seconds else "%H:%M")


def day(moment: datetime) -> str:
    """Return the day in the reader's zone, in the reader's language: "27 November" or "November 27"."""
    return formats.date_format(timezone.localtime(moment), "MONTH_DAY_FORMAT")


def short_day(moment: datetime) -> str:
    """Return the day in the reader's zone, short: "27 Nov"."""
    return formats.date_format(timezone.localtime(moment), _("j M"))


def window(since: datetime, before: datetime, *, seconds: bool = False) -> str:
    """Return from when to when, with the zone: "27 November 10:00 to 28 November 09:30, Europe/Berlin"."""
    same = timezone.localtime(since).date() == timezone.localtime(before).date()
    end = clock(before, seconds=seconds)
    return _("%(since)s to %(before)s, %(zone)s") % {
        "since": f"{day(since)} {clock(since, seconds=seconds)}",
        "before": end if same else f"{day(before)} {end}",
        "zone": timezone.get_current_timezone_name(),
    }
