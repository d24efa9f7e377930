"""Schedules made and changed in a form."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Final

from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from openqueue.control import schedule_access, tasks
from openqueue.control.callers import Right
from openqueue.control.schedule_access import ScheduleAnswer, ShownSchedule
from openqueue.errors import PayloadInvalid, ScheduleInvalid, UnknownTask, WrongState
from openqueue.wording import in_language
from openqueue_workbench.frame.acts import Told, act
from openqueue_workbench.frame.page import Page
from openqueue_workbench.pages import schedule_fields as form
from openqueue_workbench.pages import schedule_rows

RULE: Final = (
    "cron", "every", "timezone", "overlap", "misfire", "catchup_window", "jitter", "starts_at", "ends_at",
)  # fmt: skip


class ScheduleForm(Page, ABC):
    """What both forms have in common."""

    place = "schedule"
    template = "schedule_form.html"
    faults: Mapping[str, str] = {}
    others: Sequence[str] = ()
    """What is wrong and belongs to no field."""

    @property
    def names(self) -> list[str]:
        """Return the fields; arguments and options are for who may see them."""
        return [*RULE, *(form.OBJECTS if self.caller.may(Right.DATA) else ()), "reason"]

    def trail(self) -> list[tuple[str, str]]:
        """Lead to all schedules."""
        return [(self.to.of("schedule"), str(self.where.title))]

    def typed(self) -> Mapping[str, str]:
        """Return what was typed, or nothing."""
        return {name: self.request.POST[name] for name in self.names if name in self.request.POST}

    def saved(self, fields: Mapping[str, str]) -> Told:
        """Save what was typed; what is wrong is said at its field."""
        values, faults = form.read(fields, self.names)
        values.pop("reason", None)
        try:
            if not faults:
                answer = self.save_values(values, reason=fields.get("reason", "").strip()[:500])
                name = schedule_rows.name_of(answer.schedule)
                text = _("Schedule %(name)s is saved.") % {"name": name}
                return Told(text=text, go_to=self.to.of("schedule_change", answer.schedule.id))
        except (ScheduleInvalid, PayloadInvalid) as error:
            faults, self.others = form.by_field(error.errors, self.names)
        except UnknownTask as error:
            faults = {"task_id": in_language(error)}
        self.faults, self.code = faults, 422
        return Told(text=_("Nothing was saved: see what is wrong below."), level="error")

    @abstractmethod
    def save_values(self, values: dict[str, Any], *, reason: str) -> ScheduleAnswer:
        """Write them."""


class ScheduleEdit(ScheduleForm):
    """The form of a schedule that is there."""

    right = Right.SCHEDULE_CHANGE

    @cached_property
    def shown_one(self) -> ShownSchedule:
        """Return it."""
        return schedule_access.one(int(self.kwargs["schedule"]), caller=self.caller)

    def title(self) -> str:
        """Return the heading."""
        return _("Edit %(name)s") % {"name": schedule_rows.name_of(self.shown_one.schedule)}

    def context(self) -> dict[str, Any]:
        """Show what it holds, or what was typed."""
        one = self.shown_one.schedule
        return {
            "inputs": form.inputs(self.names, {**form.held(one), **self.typed()}, self.faults),
            "others": self.others,
            "back": self.to.of("schedule_change", one.id),
            "declared": one.kind == "declared",
            "facts": [(_("Task"), one.task_id), (_("Name"), schedule_rows.name_of(one))],
        }

    @act(gettext_lazy("Save"), right=Right.SCHEDULE_CHANGE)
    def save(self, _on: str, fields: Mapping[str, str]) -> Told:
        """Save it."""
        if self.shown_one.schedule.kind == "declared":
            raise WrongState(_("Code declares this schedule: change @task(…) there."))
        return self.saved(fields)

    def save_values(self, values: dict[str, Any], *, reason: str) -> ScheduleAnswer:
        """Change what differs: what is empty becomes the default, and options that are gone the task's own."""
        one = self.shown_one.schedule
        changed = {name: values[name] for name in RULE}
        if "payload" in values and values["payload"] != one.payload:
            changed["payload"] = values["payload"]
        if "options" in values and values["options"] != one.options:
            changed["options"] = values["options"]
        return schedule_access.edit(one.id, changed, caller=self.caller, reason=reason)


class ScheduleAdd(ScheduleForm):
    """The form of a new schedule."""

    right = Right.SCHEDULE_ADD

    @property
    def names(self) -> list[str]:
        """Return the fields, before them whose schedule it is."""
        return ["task_id", "key", *RULE, *form.OBJECTS, "reason"]

    def title(self) -> str:
        """Return the heading."""
        return _("Add a schedule")

    def context(self) -> dict[str, Any]:
        """Show an empty form, or what was typed."""
        known = [
            (task.id, task.id)
            for task in tasks.listing(self.caller)
            if task.enqueueable and self.caller.may_trigger(task.id, queue=task.queue)
        ]
        return {
            "inputs": form.inputs(
                self.names,
                {"task_id": self.request.GET.get("task", "")} | dict(self.typed()),
                self.faults,
                choices={"task_id": known},
            ),
            "others": self.others,
            "back": self.to.of("schedule"),
            "nothing": not known,
        }

    @act(gettext_lazy("Add"), right=Right.SCHEDULE_ADD)
    def save(self, _on: str, fields: Mapping[str, str]) -> Told:
        """Add it."""
        return self.saved(fields)

    def save_values(self, values: dict[str, Any], *, reason: str) -> ScheduleAnswer:
        """Create it; one of this task and name that is there already is left alone."""
        key = values["key"] or ""
        task = values["task_id"] or ""
        if key and schedule_access.exists(task, key=key, caller=self.caller):
            raise ScheduleInvalid([("key", _("is taken: this task has a schedule of this name"))])
        return schedule_access.create(
            task,
            key=key,
            rule={name: values[name] for name in RULE if values[name] is not None},
            payload=values["payload"],
            options=values["options"],
            caller=self.caller,
            reason=reason,
        )
