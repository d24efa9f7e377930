"""Schedules: what comes when, and how it went."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from django.utils import formats, timezone
from django.utils.dateparse import parse_datetime
from django.utils.functional import cached_property
from django.utils.translation import gettext as _

from openqueue.control import activity, schedule_access, schedule_runs, schedule_times, sweeps
from openqueue.control.callers import Right
from openqueue.control.schedule_access import ShownSchedule
from openqueue.control.schedules import STATUSES, ScheduleFacts, Wanted
from openqueue.control.sweeps import SweepFacts
from openqueue_workbench import wording
from openqueue_workbench.drawing import inline
from openqueue_workbench.frame.parts import Part
from openqueue_workbench.pages import lacking, schedule_rows
from openqueue_workbench.pages import schedule_words as words
from openqueue_workbench.pages.schedule_acts import ScheduleActs

SIZE: Final = 25
NARROW: Final = 4
"""Pixels of a past run where many schedules stand one above the other."""
PAST: Final = 20
"""Past runs of a schedule where many schedules stand one above the other: each is drawn, with a link."""
TICKS: Final = 20


class SchedulePages(ScheduleActs):
    """What pages of schedules have in common."""

    @cached_property
    def swept(self) -> list[SweepFacts]:
        """Return when schedulers were last seen."""
        return sweeps.read(self.clock)

    def past(self, schedules: list[ScheduleFacts], *, most: int) -> Any:
        """Return their last runs, where the reader may see runs."""
        if not self.caller.may(Right.READ):
            return {}
        return schedule_runs.latest([one.id for one in schedules], most=most)

    def lines(
        self, schedules: list[ScheduleFacts], *, step: int = inline.STEP, most: int = schedule_runs.MOST
    ) -> list[schedule_rows.ScheduleRow]:
        """Return schedules as rows."""
        return schedule_rows.rows(
            self, schedules, self.past(schedules, most=most), now=self.clock, swept=self.swept, step=step
        )


class SchedulesPage(SchedulePages):
    """All schedules."""

    template = "schedules.html"
    parts = {"schedules": Part(template="parts/schedule_table.html", every="tick")}

    def context(self) -> dict[str, Any]:
        """Offer what the list can be narrowed to."""
        chosen = self.only or ""
        choices = [("", _("All")), *((one, words.state(one).word) for one in STATUSES)]
        return {
            "choices": [
                {
                    "name": name,
                    "is_chosen": value == chosen,
                    "address": self.address_with(status=value or None, after=None),
                }
                for value, name in choices
            ],
            "task": self.request.GET.get("task", ""),
            "key": self.request.GET.get("key", ""),
            "status": chosen,
            "add_address": self.to.of("schedule_add") if self.caller.may(Right.SCHEDULE_ADD) else "",
            "lacking": lacking.runtimes(self, "schedules"),
        }

    @property
    def only(self) -> str | None:
        """Return the only one to be listed."""
        asked = self.request.GET.get("status", "")
        return asked if asked in STATUSES else None

    def part_schedules(self) -> dict[str, Any]:
        """Read a page of them."""
        given = self.request.GET.get("after", "")
        after = int(given) if given.isascii() and given.isdigit() and len(given) < 19 else 0
        wanted = Wanted(
            task_id=self.request.GET.get("task", "").strip() or None,
            key=self.request.GET.get("key", "").strip() or None,
            status=self.only,
            after=after,
            limit=SIZE,
        )
        page = schedule_access.listing(wanted, caller=self.caller)
        is_narrow = wanted.task_id or wanted.key or wanted.status or wanted.after
        return {
            "lines": self.lines(list(page.schedules), step=NARROW, most=PAST),
            "first_address": self.address_with(after=None) if after else "",
            "next_address": self.address_with(after=str(page.next)) if page.next else "",
            "is_narrow": bool(is_narrow),
            "all_address": self.to.of("schedule"),
            "sees_runs": self.caller.may(Right.READ),
            "may_edit": self.caller.may(Right.SCHEDULE_CHANGE),
        }


class SchedulePage(SchedulePages):
    """One schedule."""

    template = "schedule.html"
    parts = {
        "schedule": Part(template="parts/schedule.html", every="tick"),
        "ticks": Part(template="parts/schedule_ticks.html", every="tick"),
        "history": Part(template="parts/queue_history.html", every="slow"),
    }

    @cached_property
    def shown_one(self) -> ShownSchedule:
        """Return it."""
        return schedule_access.one(int(self.kwargs["schedule"]), caller=self.caller)

    def title(self) -> str:
        """Return the heading."""
        return schedule_rows.name_of(self.shown_one.schedule)

    def trail(self) -> list[tuple[str, str]]:
        """Lead to all schedules."""
        return [(self.to.of("schedule"), str(self.where.title))]

    def part_schedule(self) -> dict[str, Any]:
        """Read its rule, what comes, and what came of it."""
        shown = self.shown_one
        (line,) = self.lines([shown.schedule])
        return {
            "line": line,
            "one": shown.schedule,
            "due": [_said(due) for due in schedule_times.due(shown.schedule, shown.upcoming, now=self.clock)],
            "zone": timezone.get_current_timezone_name(),
            "has_two_zones": timezone.get_current_timezone_name() != shown.schedule.timezone,
            "data_hidden": shown.data_hidden,
            "edit_address": self.to.of("schedule_edit", shown.schedule.id),
            "may_edit": self.caller.may(Right.SCHEDULE_CHANGE),
            "declared": _("Code declares it: change @task(…) there.") if line.is_declared else "",
            "kept": _("Code declares it: pause it instead.")
            if line.is_declared and shown.schedule.status != "retired"
            else "",
            "sees_runs": self.caller.may(Right.READ),
        }

    def part_ticks(self) -> dict[str, Any]:
        """Read what became of its moments."""
        page = schedule_access.ticks(
            int(self.kwargs["schedule"]), before=self.before, limit=TICKS, caller=self.caller
        )
        older = page.before.isoformat() if page.before else ""
        return {
            "ticks": [{"tick": one, "mark": wording.tick_mark(one.outcome)} for one in page.ticks],
            "sees_runs": self.caller.may(Right.READ),
            "newest_address": self.address_with(before=None) if self.before else "",
            "older_address": self.address_with(before=older) if older else "",
        }

    @property
    def before(self) -> datetime | None:
        """Return where the page before this one of its moments ended."""
        try:
            at = parse_datetime(self.request.GET.get("before", ""))
        except ValueError:
            return None
        return at if at is not None and timezone.is_aware(at) else None

    def pace(self, name: str) -> str:
        """Leave older moments alone: they do not change."""
        return "" if name == "ticks" and self.before else super().pace(name)

    def part_history(self) -> dict[str, Any]:
        """Read what operators did to it."""
        if not self.caller.may(Right.AUDIT):
            return {"hidden": True}
        name = f"schedule {self.shown_one.schedule.id}"
        found = activity.find(object=name, limit=10)
        return {"entries": found.entries, "address": self.to.of("activity", object=name)}


def _said(due: schedule_times.Due) -> dict[str, Any]:
    notes = []
    if due.clocks_moved:
        told = (
            _("The clocks are put on by %(span)s before it.")
            if due.clocks_moved > 0
            else _("The clocks are put back by %(span)s before it.")
        )
        notes.append(told % {"span": wording.duration(abs(due.clocks_moved))})
    if due.is_left_out:
        notes.append(_("That night has no such time: it is due when it would have been."))
    if due.is_shown_twice:
        notes.append(_("That night shows this time twice."))
    return {"at": due.at, "wall": formats.date_format(due.wall, "D j M, H:i T"), "note": " ".join(notes)}
