"""Why a run is where it is: what it waits for, who keeps it from starting, and what its history says."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from openqueue.control.run_acts import ShownRun
from openqueue.control.run_context import MOST_AHEAD, MOST_QUEUED, Place, Surroundings
from openqueue.control.run_facts import TimelineEntry
from openqueue.states import Kind, Reason, Status
from openqueue_workbench import wording
from openqueue_workbench.pages import run_table

LEADS_TO: Final[dict[str, str]] = {
    Kind.STARTED: Status.RUNNING,
    Kind.COMPLETED: Status.COMPLETED,
    Kind.RETRYING: Status.RETRYING,
    Kind.FAILED: Status.FAILED,
    Kind.CANCELLED: Status.CANCELLED,
    Kind.EXPIRED: Status.EXPIRED,
    Kind.RELEASED: Status.QUEUED,
    Kind.WORKER_LOST: Status.QUEUED,
    Kind.REQUEUED: Status.QUEUED,
    Kind.PROMOTED: Status.QUEUED,
    Kind.UNBLOCKED: Status.QUEUED,
}
"""The status that an event leads to; others change none."""
KINDS: Final[dict[str, str | Promise]] = {
    Kind.TRIGGERED: gettext_lazy("Triggered"),
    Kind.ANNOUNCED_AGAIN: gettext_lazy("Announced to its broker again"),
    Kind.STARTED: gettext_lazy("Started"),
    Kind.PROGRESS: gettext_lazy("Progress"),
    Kind.COMPLETED: gettext_lazy("Completed"),
    Kind.RETRYING: gettext_lazy("Failed, to be tried again"),
    Kind.FAILED: gettext_lazy("Failed"),
    Kind.CANCELLED: gettext_lazy("Cancelled"),
    Kind.EXPIRED: gettext_lazy("Expired"),
    Kind.RELEASED: gettext_lazy("Given back by its worker"),
    Kind.WORKER_LOST: gettext_lazy("Worker lost"),
    Kind.LATE_RESULT_DISCARDED: gettext_lazy("A result came too late"),
    Kind.REQUEUED: gettext_lazy("Retried by an operator"),
    Kind.CANCEL_REQUESTED: gettext_lazy("Asked to stop"),
    Kind.MOVED: gettext_lazy("Moved to another runtime"),
    Kind.PROMOTED: gettext_lazy("Made due"),
    Kind.PRIORITISED: gettext_lazy("Given another priority"),
    Kind.REPLAYED: gettext_lazy("Repeated by a new run"),
    Kind.DUPLICATE: gettext_lazy("A duplicate was left out"),
    Kind.DEBOUNCED: gettext_lazy("Put off by a like of it"),
    Kind.UNBLOCKED: gettext_lazy("What it waited for is through"),
    Kind.STEP: gettext_lazy("Step done"),
    Kind.TICK: gettext_lazy("Made by its schedule"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One sentence; a bad one means that it will not start by itself."""

    text: str
    is_bad: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line of the history."""

    entry: TimelineEntry
    before: str
    after: str
    """The statuses around it; both empty where it changed none."""
    what: str
    reason: str
    data: str


def notes(
    run: ShownRun, around: Surroundings, place: Place | None, *, is_served: bool, now: datetime
) -> list[Note]:
    """Say why a run has not started; nothing once it has."""
    if run.status not in {Status.QUEUED, Status.SCHEDULED, Status.RETRYING, Status.WAITING}:
        return []
    found = []
    if around.paused:
        found.append(Note(text=_held(around, now=now)))
    if not is_served and run.status != Status.WAITING and not around.paused:
        text = _("No worker serves the queue %(queue)s: it starts when one does.")
        found.append(Note(text=text % {"queue": run.queue}, is_bad=True))
    if around.last_error == Reason.UNKNOWN_TASK:
        text = _("A worker put it back, because it has no such task: deploy the code that has it.")
        found.append(Note(text=text, is_bad=True))
    waits = run_table.waits(run, now=now)
    if waits:
        found.append(Note(text=f"{waits}."))
    elif not found:
        found.append(Note(text=_("Waiting for a worker.")))
    if run.status == Status.QUEUED and place is not None:
        found.append(Note(text=_place(place)))
    return found


def _held(around: Surroundings, *, now: datetime) -> str:
    by = _("by %(who)s") % {"who": around.paused_by} if around.paused_by else ""
    since = wording.age(around.paused_at, now=now) if around.paused_at else ""
    told = " ".join(part for part in (_("Held: queue paused"), by, since) if part)
    return f"{told}: {around.pause_reason}" if around.pause_reason else f"{told}."


def _place(place: Place) -> str:
    queued = wording.count(place.queued, bound=MOST_QUEUED)
    if place.ahead >= MOST_AHEAD:
        return _("More than %(count)s of %(queued)s in the queue come first.") % {
            "count": wording.number(MOST_AHEAD), "queued": queued,
        }  # fmt: skip
    return _("Position %(position)s of %(queued)s in the queue.") % {
        "position": wording.number(place.ahead + 1), "queued": queued,
    }  # fmt: skip


def events(entries: Iterable[TimelineEntry], *, first: str) -> list[Event]:
    """Return the history as lines, oldest first; ``first``: the status at the beginning, if it is known."""
    found, status = [], first
    for entry in entries:
        after = LEADS_TO.get(entry.kind, "")
        data = entry.data if isinstance(entry.data, dict) else {}
        if entry.kind == Kind.TRIGGERED:
            before, after = "", status
        else:
            before = status if after else ""
        found.append(
            Event(
                entry=entry,
                before=before,
                after=after,
                what=str(KINDS.get(entry.kind) or entry.kind.replace("_", " ").capitalize()),
                reason=wording.reason(str(data.get("reason") or "")),
                data=json.dumps(data, ensure_ascii=False, indent=1) if data else "",
            )
        )
        status = after or status
    return found
