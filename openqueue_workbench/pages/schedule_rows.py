"""Schedules as rows of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from django.utils import formats, timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from openqueue.control.callers import Right
from openqueue.control.schedule_runs import PastRun
from openqueue.control.schedules import ScheduleFacts
from openqueue.control.sweeps import SweepFacts
from openqueue_workbench import wording
from openqueue_workbench.drawing import inline
from openqueue_workbench.pages import schedule_words as words
from openqueue_workbench.wording import Mark

if TYPE_CHECKING:
    from openqueue_workbench.frame.page import Page

LATE: Final = timedelta(seconds=10)
"""Schedulers look at least this often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleRow:
    """One schedule as a row."""

    schedule: ScheduleFacts
    name: str
    state: Mark
    expression: str
    words: str
    misfire: str
    overlap: str
    strip: SafeString | str
    """Empty: the reader may not see runs."""
    there: str
    """The next moment on a clock in the schedule's zone; empty where the reader's is the same."""
    late: str
    last_address: str
    address: str

    @property
    def is_declared(self) -> bool:
        """Tell whether code declares it, or did."""
        return self.schedule.kind == "declared"

    @property
    def is_paused(self) -> bool:
        """Tell whether somebody paused it."""
        return self.schedule.paused_at is not None


def row(
    page: Page,
    schedule: ScheduleFacts,
    past: Sequence[PastRun],
    *,
    now: datetime,
    swept: Sequence[SweepFacts],
    step: int,
) -> ScheduleRow:
    """Return a schedule as a row; ``step``: how many pixels each past run takes."""
    sees_runs = page.caller.may(Right.READ)
    name = name_of(schedule)
    return ScheduleRow(
        schedule=schedule,
        name=name,
        state=words.state(schedule.status),
        expression=words.expression(schedule),
        words=words.rule(schedule),
        misfire=words.misfire(schedule),
        overlap=words.overlap(schedule),
        strip=_strip(page, schedule, past, name=name, step=step) if sees_runs else "",
        there=_there(schedule),
        late=_late(schedule, now=now, swept=swept),
        last_address=page.to.run(schedule.last_run_id) if sees_runs and schedule.last_run_id else "",
        address=page.to.of("schedule_change", schedule.id),
    )


def rows(
    page: Page,
    schedules: Sequence[ScheduleFacts],
    past: Mapping[int, Sequence[PastRun]],
    *,
    now: datetime,
    swept: Sequence[SweepFacts],
    step: int,
) -> list[ScheduleRow]:
    """Return schedules as rows, in their order."""
    return [row(page, one, past.get(one.id, ()), now=now, swept=swept, step=step) for one in schedules]


def name_of(schedule: ScheduleFacts) -> str:
    """Return what a schedule is called: its key, or the task's name for the one that code declares."""
    return schedule.key or schedule.task_id.rpartition(".")[2]


def said_of(past: PastRun) -> str:
    """Return what is worth knowing of a past run, in a line."""
    said = f"{wording.short_day(past.at)} {wording.clock(past.at)}"
    if past.run.seconds is not None:
        said += ", " + _("took %(time)s") % {"time": wording.duration(past.run.seconds)}
    if past.is_by_hand:
        said += ", " + _("asked for by hand")
    return said


def _strip(
    page: Page, schedule: ScheduleFacts, past: Sequence[PastRun], *, name: str, step: int
) -> SafeString:
    drawn = [
        inline.Past(status=one.run.status, url=page.to.run(one.run.id), said=said_of(one)) for one in past
    ]
    title = _("Last runs of %(name)s, the newest on the right") % {"name": name}
    return inline.strip(f"oq-strip-{schedule.id}", drawn, title=title, with_table=False, step=step)


def _there(schedule: ScheduleFacts) -> str:
    if schedule.next_at is None or not schedule.cron:
        return ""
    there = schedule.next_at.astimezone(ZoneInfo(schedule.timezone))
    here = timezone.localtime(schedule.next_at)
    if there.utcoffset() == here.utcoffset():
        return ""
    day = "" if there.date() == here.date() else f"{formats.date_format(there, _('j M'))} "
    return f"{day}{there:%H:%M} {schedule.timezone}"


def _late(schedule: ScheduleFacts, *, now: datetime, swept: Sequence[SweepFacts]) -> str:
    if schedule.next_at is None or now - schedule.next_at < LATE:
        return ""
    due = _("Due %(span)s ago, not yet fired") % {
        "span": wording.span((now - schedule.next_at).total_seconds())
    }
    # Schedules are looked at each second, which is not written down; the slower sweeps of the same processes are.
    seen = max((one.last_at for one in swept), default=None)
    if seen is None:
        return _("%(due)s: no scheduler was ever seen.") % {"due": due}
    last = wording.clock(seen, seconds=True)
    if timezone.localtime(seen).date() != timezone.localtime(now).date():
        last = f"{wording.short_day(seen)} {last}"
    return _("%(due)s: scheduler last seen %(time)s.") % {"due": due, "time": last}
