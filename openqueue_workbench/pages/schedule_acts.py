"""What can be done to a schedule, wherever it is shown."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from openqueue.control import schedule_access, schedules
from openqueue.control.callers import Right
from openqueue.control.schedules import ScheduleFacts
from openqueue.errors import UnclearSchedule
from openqueue_workbench import wording
from openqueue_workbench.frame.acts import Field, Question, Told, act
from openqueue_workbench.frame.page import Page
from openqueue_workbench.pages import schedule_rows, schedule_words


class ScheduleActs(Page):
    """What can be done to a schedule, wherever it is shown."""

    place = "schedule"

    @act(gettext_lazy("Run now"), right=Right.SCHEDULE_TRIGGER)
    def run_now(self, on: str, fields: Mapping[str, str]) -> Told:
        """Create a run beside the rule."""
        answer = schedule_access.trigger_now(number(on), caller=self.caller, reason=fields.get("reason", ""))
        text = _("Run %(run)s was created; the schedule is unchanged.") % {"run": answer.run.id}
        return Told(text=text)

    @run_now.before
    def ask_run_now(self, on: str, _fields: Mapping[str, str]) -> Question:
        """Say what stays."""
        found = self.found(on)
        return Question(
            title=_("Run %(name)s now?") % {"name": schedule_rows.name_of(found)},
            text=_("Runs once now; the schedule is unchanged."),
            facts=[(_("Task"), found.task_id), (_("Next run"), _next(found))],
            fields=[Field(name="reason", label=_("Why"))],
        )

    @act(gettext_lazy("Pause"), right=Right.SCHEDULE_PAUSE)
    def pause(self, on: str, fields: Mapping[str, str]) -> Told:
        """Make no runs of it."""
        answer = schedule_access.pause(number(on), caller=self.caller, reason=fields.get("reason", ""))
        name = {"name": schedule_rows.name_of(answer.schedule)}
        if answer.outcome == schedules.ALREADY:
            return Told(text=_("%(name)s was paused already.") % name, level="warning")
        return Told(text=_("%(name)s is paused: no runs are made of it.") % name)

    @pause.before
    def ask_pause(self, on: str, _fields: Mapping[str, str]) -> Question:
        """Ask why."""
        found = self.found(on)
        return Question(
            title=_("Pause %(name)s?") % {"name": schedule_rows.name_of(found)},
            text=_(
                "No runs are made of it until it is resumed, and what it was due meanwhile is not made up for. Runs "
                "that are there already go on."
            ),
            facts=[(_("Next run, which would be left out"), _next(found))],
            fields=[Field(name="reason", label=_("Why"))],
        )

    @act(gettext_lazy("Resume"), right=Right.SCHEDULE_PAUSE)
    def resume(self, on: str, _fields: Mapping[str, str]) -> Told:
        """Go on with it from now."""
        answer = schedule_access.resume(number(on), caller=self.caller)
        name = schedule_rows.name_of(answer.schedule)
        if answer.outcome == schedules.OPEN:
            return Told(text=_("%(name)s was not paused.") % {"name": name}, level="warning")
        return Told(
            text=_("%(name)s goes on. Next run: %(next)s.") % {"name": name, "next": _next(answer.schedule)}
        )

    @act(gettext_lazy("Delete"), right=Right.SCHEDULE_DELETE, is_grave=True)
    def delete(self, on: str, fields: Mapping[str, str]) -> Told:
        """Delete it; its runs stay."""
        name = schedule_rows.name_of(self.found(on))
        schedule_access.delete(number(on), caller=self.caller, reason=fields.get("reason", ""))
        return Told(
            text=_("Schedule %(name)s was deleted; its runs stay.") % {"name": name},
            go_to=self.to.of("schedule"),
        )

    @delete.before
    def ask_delete(self, on: str, _fields: Mapping[str, str]) -> Question:
        """Have its name typed."""
        found = self.found(on)
        return Question(
            title=_("Delete schedule %(name)s?") % {"name": schedule_rows.name_of(found)},
            text=_("It makes no more runs, and cannot be brought back. Its runs and its record stay."),
            facts=[(_("Task"), found.task_id), (_("Schedule"), schedule_words.expression(found))],
            fields=[Field(name="reason", label=_("Why"))],
            typed=schedule_rows.name_of(found),
        )

    def found(self, on: str) -> ScheduleFacts:
        """Return the schedule that an act is about."""
        return schedule_access.one(number(on), caller=self.caller).schedule


def number(on: str) -> int:
    """Return the id of a schedule.

    Raises:
        UnclearSchedule: it is none.
    """
    if not (on.isascii() and on.isdigit() and len(on) < 19):
        raise UnclearSchedule(_("There is no schedule %(name)s.") % {"name": on[:40]})
    return int(on)


def _next(schedule: ScheduleFacts) -> str:
    if schedule.next_at is None:
        return _("none")
    return f"{wording.day(schedule.next_at)} {wording.clock(schedule.next_at, seconds=True)}"
