"""One run: how it stands and why, what happened when, what it carries, what it logged, and what can be done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from openqueue.control import run_acts, run_context
from openqueue.control.callers import Right
from openqueue.control.run_acts import Events
from openqueue.control.run_context import Surroundings
from openqueue.states import Status
from openqueue_workbench.drawing import history, waterfall
from openqueue_workbench.drawing.history import Seen
from openqueue_workbench.frame.parts import Part
from openqueue_workbench.pages import run_data, run_story, run_table
from openqueue_workbench.pages.run_log import RunLog
from openqueue_workbench.templatetags.openqueue_workbench import task_name

SIDES: Final = {
    "timeline": (_("Timeline"), Right.READ),
    "arguments": (_("Arguments"), Right.DATA),
    "result": (_("Result"), Right.DATA),
    "logs": (_("Logs"), Right.DATA),
    "events": (_("Events"), Right.READ),
}
"""Their titles, and who sees them."""
WAITS: Final = frozenset({Status.QUEUED, Status.SCHEDULED, Status.RETRYING, Status.WAITING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One side of a run."""

    name: str
    title: str
    address: str
    is_here: bool


class RunPage(RunLog):
    """The page."""

    place = "run"
    template = "run.html"
    parts = {
        "head": Part(template="parts/run_head.html", every="fast"),
        "timeline": Part(template="parts/run_timeline.html", every="fast"),
        "result": Part(template="parts/run_result.html", every="fast"),
        "events": Part(template="parts/run_events.html", every="fast"),
        "log": Part(template="parts/run_log.html", every="fast"),
    }

    def title(self) -> str:
        """Return the task's short name."""
        return task_name(self.run.task_id)

    def trail(self) -> list[tuple[str, str]]:
        """Lead to all runs."""
        return [(self.to.runs(), str(self.where.title))]

    @cached_property
    def tab(self) -> str:
        """Return which side is shown; one that the reader may not see is not there."""
        asked = self.request.GET.get("tab", "")
        return asked if asked in SIDES and self.caller.may(SIDES[asked][1]) else "timeline"

    @cached_property
    def around(self) -> Surroundings:
        """Return what surrounds it."""
        return run_context.read(self.run_id, caller=self.caller)

    @cached_property
    def history(self) -> Events:
        """Return what happened."""
        return run_acts.events(self.run_id, caller=self.caller)

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Show the page, a part of it, or its log as text."""
        if "download" in request.GET:
            return self.download()
        return super().get(request, *args, **kwargs)

    def pace(self, name: str) -> str:
        """Ask for nothing again once it has ended."""
        return "" if self.is_over else super().pace(name)

    def context(self) -> dict[str, Any]:
        """Return the sides, and what does not change while the page is open."""
        sides = [
            Side(
                name=name,
                title=str(title),
                address=self.to.run(self.run_id, tab=name),
                is_here=name == self.tab,
            )
            for name, (title, right) in SIDES.items()
            if self.caller.may(right)
        ]
        found: dict[str, Any] = {"sides": sides, "tab": self.tab}
        if self.tab == "arguments":
            found |= {"payload": run_data.shown(self.run.payload), "meta": self._meta()}
        if self.tab == "logs":
            found |= self.log_form()
        return found

    def part_head(self) -> dict[str, Any]:
        """Read how it stands, and why."""
        run, around = self.run, self.around
        waits = run.status in WAITS
        place = run_context.place(run) if run.status == Status.QUEUED else None
        served = not waits or run_context.is_served(run, clock=self.clock)
        return {
            "run": run,
            "around": around,
            "notes": run_story.notes(run, around, place, is_served=served, now=self.clock),
            "seconds": run_table.elapsed(run, now=self.clock),
            "why_not": self.why_not(),
            "can_delay": self.can_delay,
            "can_repeat": self.caller.may(Right.TRIGGER) and self.caller.may(Right.DATA),
            "again": self.to.known("enqueue", **{"from": str(run.id)}),
            "to_queue": self.to.queue(run.queue) if self.caller.may(Right.QUEUES) else "",
            "to_flow": self._link("flow_change", run.flow_id, Right.FLOWS),
            "to_schedule": self._link("schedule_change", around.schedule_id, Right.SCHEDULES),
            "to_worker": self._link("worker_change", run.worker_id, Right.FLEET) if around.worker else "",
            "to_original": self.to.run(run.replay_of) if run.replay_of else "",
            "trace": "".join((run.traceparent or "").split("-")[1:2]),
            "to_tasks": self.to.runs(task=run.task_id),
            **self._failure(),
        }

    def part_timeline(self) -> dict[str, Any]:
        """Draw what it waited for and did."""
        run = self.run
        names = run_context.named(
            {str((one.data or {}).get("worker")) for one in self.history.events if isinstance(one.data, dict)}
        )
        workers = {
            key: Seen(
                name=one.name, url=self._link("worker_change", key, Right.FLEET), last_seen=one.last_seen
            )
            for key, one in names.items()
        }
        phases = history.phases(
            self.history.events,
            created_at=run.created_at,
            scheduled_for=run.scheduled_for,
            status=run.status,
            cycle=run.cycle,
            now=self.clock,
            workers=workers,
        )
        return {
            "drawn": waterfall.drawn("oq-waterfall", phases, now=self.clock),
            "left_off": self.history.left_off,
        }

    def part_result(self) -> dict[str, Any]:
        """Show what it returned."""
        result = run_data.shown(self.run.result) if self.run.status == Status.COMPLETED else None
        return {"run": self.run, "result": result}

    def part_events(self) -> dict[str, Any]:
        """List what happened."""
        run = self.run
        first = (
            Status.SCHEDULED if (run.scheduled_for - run.created_at).total_seconds() >= 1 else Status.QUEUED
        )
        first = Status.WAITING if run.flow_id else first
        found = run_story.events(self.history.events, first="" if self.history.left_off else first)
        return {"events": found, "left_off": self.history.left_off, "hidden": self.history.data_hidden}

    def _failure(self) -> dict[str, Any]:
        if not self.run.error:
            return {}
        found: dict[str, Any] = {"failure": run_data.failure(self.run.error)}
        group = run_context.alike(self.run.task_id, self.run.error)
        if group is not None:
            number, times = group
            others = times - (self.run.status == Status.FAILED)
            found |= {"others": others, "to_others": self._to_error(number)}
        return found

    def _to_error(self, group: int) -> str:
        address = self._link("error_change", group, Right.ERRORS)
        kind = str((self.run.error or {}).get("type") or "")
        search = f'status:failed error:"{kind}"'
        return address or self.to.runs(q=search, task=self.run.task_id, period="all")

    def _meta(self) -> run_data.Shown | None:
        return run_data.shown(self.run.meta) if self.run.meta else None

    def _link(self, page: str, key: object, right: Right) -> str:
        return self.to.known(page, key) if key is not None and self.caller.may(right) else ""
