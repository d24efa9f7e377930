"""What needs attention, the most harmful first, each with one way on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from openqueue.control.callers import Right
from openqueue.control.standing import Rising, Standing
from openqueue.wording import in_language
from openqueue_workbench import wording

if TYPE_CHECKING:
    from openqueue_workbench.frame.page import Page

SHOWN: Final = 5
HARM: Final = {"error": 0, "warning": 1, "info": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Concern:
    """One line: a fact with its number, since when, and where to go."""

    level: str
    subject: str
    text: str
    address: str = ""
    link: str = ""


def concerns(page: Page, found: Standing, rising: Sequence[Rising]) -> list[Concern]:
    """Return the lines, sorted by harm."""
    lines = [
        *_alarms(page, found),
        *_findings(page, found),
        *_lost(page, found),
        *_paused(page, found),
        *_rising(page, rising),
    ]
    return sorted(lines, key=lambda one: HARM[one.level])


def _alarms(page: Page, found: Standing) -> Iterator[Concern]:
    if not page.caller.may(Right.ALERTS):
        return
    for alarm in found.alarms:
        text = ngettext("%(count)s alert is open.", "%(count)s alerts are open.", alarm.count)
        since = wording.age(alarm.since, now=found.at) if alarm.since else ""
        yield Concern(
            level="error" if alarm.severity == "critical" else "warning",
            subject=alarm.rule,
            text=f"{text % {'count': wording.number(alarm.count)}} {since}".strip(),
            address=page.to.of("alert", severity=alarm.severity),
            link=_("Alerts"),
        )


def _findings(page: Page, found: Standing) -> Iterator[Concern]:
    for finding in found.findings:
        kind, _space, name = finding.subject.partition(" ")
        if kind == "queue" and page.caller.may(Right.QUEUES):
            address, link = page.to.queue(name), _("Queue")
        elif kind == "schedules" and page.caller.may(Right.SCHEDULES):
            address, link = page.to.of("schedule"), _("Schedules")
        elif kind == "flows" and page.caller.may(Right.FLOWS):
            address, link = page.to.of("flow", status="blocked"), _("Flows")
        elif page.caller.may(Right.FLEET):
            address, link = page.to.of("worker"), _("Workers")
        else:
            address, link = "", ""
        yield Concern(
            level=finding.level,
            subject=finding.subject,
            text=f"{in_language(finding.message)} {in_language(finding.remedy)}",
            address=address,
            link=link,
        )


def _lost(page: Page, found: Standing) -> Iterator[Concern]:
    for worker in found.workers:
        if not worker.is_alive and worker.claims:
            text = ngettext(
                "Lost %(span)s ago with %(count)s run; it returns to its queue.",
                "Lost %(span)s ago with %(count)s runs; they return to their queues.",
                worker.claims,
            ) % {"span": wording.span(worker.heartbeat_age), "count": wording.number(worker.claims)}
            yield Concern(
                level="warning",
                subject=f"{worker.host}:{worker.pid}",
                text=text,
                address=page.to.of("worker") if page.caller.may(Right.FLEET) else "",
                link=_("Workers"),
            )


def _paused(page: Page, found: Standing) -> Iterator[Concern]:
    for queue in found.queues:
        if queue.paused and queue.due:
            text = ngettext(
                "Paused, and holds %(count)s run.", "Paused, and holds %(count)s runs.", queue.due
            ) % {"count": wording.number(queue.due)}
            if queue.paused_by and queue.paused_for is not None:
                text += " " + _("By %(who)s, %(span)s ago.") % {
                    "who": queue.paused_by,
                    "span": wording.span(queue.paused_for),
                }
            yield Concern(
                level="info",
                subject=_("queue %(name)s") % {"name": queue.name},
                text=text,
                address=page.to.queue(queue.name) if page.caller.may(Right.QUEUES) else "",
                link=_("Queue"),
            )


def _rising(page: Page, rising: Sequence[Rising]) -> Iterator[Concern]:
    for error in rising:
        numbers = {
            "before": wording.number(error.hour_before),
            "now": wording.number(error.last_hour),
            "task": error.task_id,
        }
        if error.is_new:
            text = ngettext(
                "New: %(now)s run of %(task)s in the last hour.",
                "New: %(now)s runs of %(task)s in the last hour.",
                error.last_hour,
            )
        else:
            text = _("Rose from %(before)s to %(now)s runs of %(task)s from one hour to the next.")
        yield Concern(
            level="warning",
            subject=error.type,
            text=text % numbers,
            address=page.to.of("error_change", error.group),
            link=_("Error"),
        )
