"""Errors: what fails alike, since when, how often; and what is done about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.http import HttpResponse
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from openqueue import registry
from openqueue.control import error_access, insight, releases, tracebacks
from openqueue.control.callers import Right
from openqueue.control.error_access import ShownError
from openqueue.control.errors import ErrorFacts
from openqueue.errors import UnclearErrorGroup
from openqueue_workbench import wording
from openqueue_workbench.drawing import trend
from openqueue_workbench.frame.acts import Field, Question, Told, act
from openqueue_workbench.frame.page import Page
from openqueue_workbench.frame.parts import Part
from openqueue_workbench.pages import bulk_told, error_chart, periods

SIZE = 50
STATES: Final = (
    ("open", gettext_lazy("Open")),
    ("resolved", gettext_lazy("Resolved")),
    ("ignored", gettext_lazy("Ignored")),
    ("all", gettext_lazy("All")),
)
SPANS: Final = (
    ("1", gettext_lazy("for an hour")),
    ("8", gettext_lazy("for 8 hours")),
    ("24", gettext_lazy("for a day")),
    ("168", gettext_lazy("for 7 days")),
    ("", gettext_lazy("until somebody reopens it")),
)
"""Hours, and what is said of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One group as a row."""

    facts: ErrorFacts
    address: str
    trend: SafeString
    share: str
    """Of the runs of its task."""


class ErrorActs(Page):
    """What can be done to a group of errors, wherever it is shown."""

    place = "error"

    @act(gettext_lazy("Resolve"), right=Right.TRIAGE)
    def resolve(self, on: str, fields: Mapping[str, str]) -> Told:
        """Say that it is mended, perhaps in a release."""
        release = fields.get("release", "").strip()
        answer = insight.resolve(
            _number(on), release=release, caller=self.caller, reason=fields.get("reason", "")
        )
        if answer.outcome == insight.UNCHANGED:
            return Told(text=_("It was resolved already: %(error)s.") % _named(answer.error), level="warning")
        named = {**_named(answer.error), "release": release}
        if not release:
            return Told(text=_("Resolved: %(error)s. It opens by itself when it returns.") % named)
        if releases.is_seen(release):
            return Told(
                text=_(
                    "Resolved in %(release)s: %(error)s. It opens by itself when it returns in that release or a "
                    "newer one."
                )
                % named
            )
        return Told(
            text=_(
                "Resolved in %(release)s: %(error)s. No worker has told that release yet: until one does, failures of "
                "the known ones do not open it."
            )
            % named
        )

    @resolve.before
    def ask_resolve(self, on: str, _fields: Mapping[str, str]) -> Question:
        """Ask in which release."""
        facts = error_access.facts_of(_number(on), caller=self.caller)
        return Question(
            title=_("Resolve %(error)s?") % _named(facts),
            text=_("It leaves the list of open errors, and opens by itself when a run fails so again."),
            facts=_told(facts),
            fields=[
                Field(
                    name="release",
                    label=_("In release"),
                    choices=[(one.name, one.name) for one in releases.listing()],
                    help=_(
                        "May be empty, or one that is yet to come. Failures of releases that were seen before it do "
                        "not open the error."
                    ),
                ),
                Field(name="reason", label=_("Why")),
            ],
        )

    @act(gettext_lazy("Ignore"), right=Right.TRIAGE)
    def ignore(self, on: str, fields: Mapping[str, str]) -> Told:
        """Have it out of the way: for a time, for ever, or until it fails too often."""
        hours = fields.get("hours", "")
        if hours not in dict(SPANS):
            raise ValueError(_("Choose for how long."))
        above = _whole(fields.get("above", ""))
        until = timezone.now() + timedelta(hours=int(hours)) if hours else None
        answer = insight.ignore(
            _number(on), until=until, above=above, caller=self.caller, reason=fields.get("reason", "")
        )
        if answer.outcome == insight.UNCHANGED:
            return Told(text=_("It was ignored already: %(error)s.") % _named(answer.error), level="warning")
        named = {**_named(answer.error), "span": dict(SPANS)[hours], "above": wording.number(above or 0)}
        if above is None:
            return Told(text=_("Ignored %(span)s: %(error)s.") % named)
        text = _("Ignored %(span)s, unless it fails more than %(above)s times within one hour: %(error)s.")
        return Told(text=text % named)

    @ignore.before
    def ask_ignore(self, on: str, _fields: Mapping[str, str]) -> Question:
        """Ask for how long."""
        facts = error_access.facts_of(_number(on), caller=self.caller)
        return Question(
            title=_("Ignore %(error)s?") % _named(facts),
            text=_("It leaves the list of open errors. Its runs go on failing and are counted."),
            facts=_told(facts),
            fields=[
                Field(name="hours", label=_("For how long"), kind="select", choices=SPANS, value="24"),
                Field(
                    name="above",
                    label=_("Unless it fails more than so many times within one hour"),
                    kind="number",
                    help=_("Then it opens again before that. Empty: however often it fails."),
                ),
                Field(name="reason", label=_("Why")),
            ],
        )

    @act(gettext_lazy("Reopen"), right=Right.TRIAGE)
    def reopen(self, on: str, _fields: Mapping[str, str]) -> Told:
        """Open it again."""
        answer = insight.reopen(_number(on), caller=self.caller)
        if answer.outcome == insight.UNCHANGED:
            return Told(text=_("It was open already: %(error)s.") % _named(answer.error), level="warning")
        return Told(text=_("Open again: %(error)s.") % _named(answer.error))

    @act(gettext_lazy("Retry all"), right=Right.RETRY)
    def retry_all(self, on: str, fields: Mapping[str, str]) -> Told:
        """Begin all its failed runs anew."""
        asked = error_access.retry(_number(on), caller=self.caller, reason=fields.get("reason", ""))
        return bulk_told.told(self, asked)

    @retry_all.before
    def ask_retry_all(self, on: str, _fields: Mapping[str, str]) -> Question:
        """Say how many they are."""
        number = _number(on)
        facts = error_access.facts_of(number, caller=self.caller)
        seen = error_access.preview_retry(number, caller=self.caller)
        return Question(
            title=_("Retry all runs that failed with %(error)s?") % _named(facts),
            text=_(
                "Each begins a new cycle of attempts, with the same arguments. Runs that failed otherwise are left "
                "alone."
            ),
            facts=[*_told(facts), (_("Failed runs of this task and class"), bulk_told.number_of(seen))],
            fields=[Field(name="reason", label=_("Why"))],
        )


class ErrorsPage(ErrorActs):
    """All groups."""

    template = "errors.html"
    parts = {"errors": Part(template="parts/error_table.html", every="slow")}

    @property
    def state(self) -> str:
        """Return which are shown."""
        asked = self.request.GET.get("state", "open")
        return asked if asked in dict(STATES) else "open"

    @property
    def task(self) -> str:
        """Return of which task; empty: of any."""
        return self.request.GET.get("task", "").strip()

    def context(self) -> dict[str, Any]:
        """Return the filter."""
        choices = [
            (self.address_with(state=name, at=None), label, name == self.state) for name, label in STATES
        ]
        return {"choices": choices, "known_tasks": sorted(registry.index())}

    def part_errors(self) -> dict[str, Any]:
        """Read a page of groups."""
        at = periods.place(self.request.GET.get("at"))
        found = error_access.listing(
            state=None if self.state == "all" else self.state,
            task_id=self.task or None,
            beyond=(at[0], number) if at and (number := periods.number(at[1])) else None,
            limit=SIZE,
            caller=self.caller,
        )
        lines = [
            Line(
                facts=facts,
                address=self.to.of("error_change", facts.id),
                trend=trend.drawn(
                    f"oq-trend-{facts.id}", facts.trend, title=_("Failures per hour, last 24 hours")
                ),
                share=wording.share(facts.recent, max(facts.recent, found.ended.get(facts.task_id, 0))),
            )
            for facts in found.errors
        ]
        return {
            "lines": lines,
            "cleared": self.to.of("error"),
            "older": self.address_with(at=periods.placed(found.older)) if found.older else "",
            "newest": self.address_with(at=None) if at else "",
        }


class ErrorPage(ErrorActs):
    """One group."""

    template = "error.html"
    parts = {"error": Part(template="parts/error.html", every="slow")}

    @cached_property
    def window(self) -> tuple[datetime | None, datetime | None]:
        """Return when the runs failed that are listed; from any time without."""
        asked = self.request.GET
        return periods.moment(asked.get("since")), periods.moment(asked.get("before"))

    @cached_property
    def shown_error(self) -> ShownError:
        """Read it, once for the heading and its parts."""
        since, before = self.window
        at = periods.place(self.request.GET.get("at"))
        run = periods.run_id(at[1]) if at else None
        return error_access.show(
            self.kwargs["number"],
            since=since,
            before=before,
            beyond=(at[0], run) if at and run else None,
            caller=self.caller,
        )

    def title(self) -> str:
        """Return the class."""
        return self.shown_error.facts.type

    def trail(self) -> list[tuple[str, str]]:
        """Lead to all groups."""
        return [(self.to.of("error"), str(self.where.title))]

    def go_on(self) -> HttpResponse:
        """Read it anew after an act."""
        vars(self).pop("shown_error", None)
        return super().go_on()

    def part_error(self) -> dict[str, Any]:
        """Return all of it."""
        found = self.shown_error
        facts, runs = found.facts, found.runs
        since, before = self.window
        error = found.error if isinstance(found.error, Mapping) else {}
        has_data = self.caller.may(Right.DATA)
        return {
            "facts": facts,
            "share": wording.share(facts.recent, max(facts.recent, found.ended)),
            "chart": error_chart.drawn(found, self.address_with),
            "stretches": tracebacks.stretches(str(error.get("traceback") or "")),
            "sample": error,
            "has_data": has_data,
            "runs": runs,
            "lines": [(self.to.run(run.id), run) for run in runs.runs],
            "last_run": self.to.run(facts.last_run),
            "affected": [
                (_("Queues"), [(self.to.queue(name), name, count) for name, count in runs.queues.items()]),
                (_("Tags"), [("", name, count) for name, count in runs.tags.items()]),
                (_("Workers"), [("", name, count) for name, count in runs.workers.items()]),
            ],
            "window": wording.window(since, before) if since and before else "",
            "everything": self.address_with(since=None, before=None, at=None) if since or before else "",
            "older": self.address_with(at=periods.placed(runs.older)) if runs.older else "",
            "newest": self.address_with(at=None) if self.request.GET.get("at") else "",
            "search": self.to.runs(q=error_access.search_of(facts)) if has_data else "",
        }


def _number(on: str) -> int:
    number = periods.number(on)
    if number is None:
        raise UnclearErrorGroup(f"There is no group of errors {on[:40]!r}.")
    return number


def _whole(text: str) -> int | None:
    """Return what stands in a field for a number; None: nothing does."""
    if not text.strip():
        return None
    if not (text.strip().isascii() and text.strip().isdigit()) or len(text.strip()) > 9:
        raise ValueError(_("Give a whole number of failures, or leave it empty."))
    return int(text)


def _named(facts: ErrorFacts) -> dict[str, str]:
    return {"error": facts.type}


def _told(facts: ErrorFacts) -> list[tuple[str, str]]:
    return [
        (_("Task"), facts.task_id),
        (_("Where"), facts.place),
        (_("Failures, last 24 hours"), wording.number(facts.recent)),
        (_("Failures, ever"), wording.number(facts.count)),
    ]
