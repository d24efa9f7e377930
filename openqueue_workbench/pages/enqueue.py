"""A run made by hand: of a task that may be triggered from outside, or like one that has ended."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from openqueue.control import means, queue_access, run_acts, tasks
from openqueue.control.callers import Right
from openqueue.control.run_acts import ShownRun
from openqueue.control.tasks import TaskFacts, Wish
from openqueue.errors import FieldError, PayloadInvalid, UnclearRun
from openqueue.wording import in_language
from openqueue_workbench.frame.acts import Told, act
from openqueue_workbench.frame.page import Page
from openqueue_workbench.pages import lacking, schema_hints
from openqueue_workbench.templatetags.openqueue_workbench import task_name

FIELDS: Final = ("payload", "queue", "delay", "priority", "dedupe_key")
LONGEST: Final = 1_000_000
"""Characters of arguments; what tasks take is checked by their own limit."""


class EnqueuePage(Page):
    """The form."""

    place = "enqueue"
    template = "enqueue.html"
    faults: Sequence[FieldError] = ()
    """What is wrong with what was sent, by its path."""

    @cached_property
    def tasks(self) -> list[TaskFacts]:
        """Return the tasks that the reader may trigger."""
        return [
            task
            for task in tasks.listing(self.caller)
            if task.enqueueable and self.caller.may_trigger(task.id, queue=task.queue)
        ]

    @cached_property
    def origin(self) -> ShownRun | None:
        """Return the run that is to be run again, which takes the right to see what it carries."""
        given = self.request.GET.get("from", "")
        if not given:
            return None
        self.caller.needs(Right.DATA)
        try:
            run_id = UUID(given)
        except ValueError:
            raise UnclearRun(_("This is no run's id.")) from None
        return run_acts.show(run_id, caller=self.caller)

    @cached_property
    def task(self) -> TaskFacts | None:
        """Return the chosen task."""
        wanted = self.origin.task_id if self.origin else self.request.GET.get("task", "")
        return next((task for task in self.tasks if task.id == wanted), None)

    def title(self) -> str:
        """Return the heading."""
        return _("Run again") if self.origin else str(self.where.title)

    def trail(self) -> list[tuple[str, str]]:
        """Lead to the run that this is like."""
        if self.origin is None:
            return []
        return [(self.to.run(self.origin.id), task_name(self.origin.task_id))]

    def context(self) -> dict[str, Any]:
        """Return the form as it was sent, or to begin with."""
        task = self.task
        sent = {name: self.request.POST.get(name, "") for name in FIELDS}
        if self.request.method != "POST":
            sent["payload"] = self._beginning()
        queue = sent["queue"] or (task.queue if task else "")
        return {
            "tasks": self.tasks,
            "task": task,
            "origin": self.origin,
            "to_origin": self.to.run(self.origin.id) if self.origin else "",
            "is_unknown": task is None and bool(self.origin or self.request.GET.get("task")),
            "sent": sent,
            "here": self.to.of("enqueue"),
            "hints": schema_hints.hints(task.schema, secret=task.secret) if task else [],
            "queues": queue_access.names(self.caller),
            "queue": queue,
            "has_delays": means.delays(),
            "has_priorities": any(means.keeps_priorities(name) for name in queue_access.names(self.caller)),
            "lacking": lacking.runtimes(self, "delayed", "priorities"),
            "faults": self.faults,
            "faulty": {fault.path for fault in self.faults},
        }

    def _beginning(self) -> str:
        if self.origin is not None:
            return json.dumps(self.origin.payload, ensure_ascii=False, indent=2)
        return schema_hints.skeleton(self.task.schema) if self.task else "{}"

    @act(gettext_lazy("Enqueue"), right=Right.TRIGGER)
    def enqueue(self, on: str, fields: Mapping[str, str]) -> Told:
        """Make the run."""
        try:
            payload = self._payload(fields)
            made = self._again(self.origin, payload) if self.origin else self._new(payload, fields)
        except PayloadInvalid as error:
            self.faults = [FieldError(shown(fault.path), in_language(fault.reason)) for fault in error.errors]
            self.code = 422
            return Told(text=_("Nothing was enqueued: see what is wrong below."), level="error")
        return Told(text=_("The run is enqueued."), go_to=self.to.run(made))

    def _new(self, payload: Mapping[str, Any], fields: Mapping[str, str]) -> UUID:
        if self.task is None:
            raise PayloadInvalid([("task", _("choose one that may be triggered from here"))])
        options: dict[str, Any] = {}
        for name in ("queue", "dedupe_key"):
            if fields.get(name, "").strip():
                options[name] = fields[name].strip()
        for name, kind in (("delay", float), ("priority", int)):
            if fields.get(name, "").strip():
                try:
                    options[name] = kind(fields[name])
                except ValueError:
                    raise PayloadInvalid([(name, _("must be a number"))]) from None
        wish = Wish(task_id=self.task.id, payload=payload, options=options)
        (run,) = tasks.trigger_for(self.caller, [wish], many=False)
        return run.id

    def _again(self, origin: ShownRun, payload: Mapping[str, Any]) -> UUID:
        is_same = payload == origin.payload
        done = run_acts.replay(origin.id, payload=None if is_same else payload, caller=self.caller)
        return done.run.id

    def _payload(self, fields: Mapping[str, str]) -> dict[str, Any]:
        text = fields.get("payload", "").strip() or "{}"
        if len(text) > LONGEST:
            raise PayloadInvalid([("payload", _("is too long to be sent from a form"))])
        try:
            value = json.loads(text, parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            where = ""
            if isinstance(error, json.JSONDecodeError):
                where = _(", line %(line)s, column %(column)s") % {
                    "line": error.lineno,
                    "column": error.colno,
                }
            raise PayloadInvalid([("payload", _("is no JSON%(where)s") % {"where": where})]) from None
        if not isinstance(value, dict):
            raise PayloadInvalid([("payload", _('must be an object: {"name": value}'))])
        return value


def shown(path: str) -> str:
    """Return the path of a fault as it stands in the form."""
    for before in ("payload.", "options."):
        if path.startswith(before):
            return path.removeprefix(before)
    return path


def _refuse(word: str) -> Any:
    raise ValueError(word)
