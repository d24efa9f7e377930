"""The phases of a run, read off its history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal

from django.utils.translation import gettext as _

from openqueue.control import attempts
from openqueue.control.attempts import ENDS, Attempt
from openqueue.control.run_facts import TimelineEntry
from openqueue.states import FINAL, Kind, Reason, Status
from openqueue_workbench import wording
from openqueue_workbench.drawing.waterfall import Phase

LETTERS: Final = 300
"""Of an error's message."""
WITHDRAWN: Final = frozenset({Kind.CANCELLED, Kind.EXPIRED, Kind.FAILED, Kind.COMPLETED})
"""Kinds of events that end a run while it waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What is known of a worker."""

    name: str
    url: str = ""
    last_seen: datetime | None = None


@dataclass(slots=True)
class _Idle:
    """The wait under way."""

    since: datetime
    due: datetime | None = None
    kind: Literal["waiting", "backoff"] = "waiting"
    is_vague: bool = False
    """Whether it was delayed is not on record."""


def phases(
    timeline: Sequence[TimelineEntry],
    *,
    created_at: datetime,
    scheduled_for: datetime,
    status: str,
    cycle: int,
    now: datetime,
    workers: Mapping[str, Seen] | None = None,
) -> list[Phase]:
    """Return what a run (`openqueue.control.runs.show`) waited for and did, oldest first.

    ``workers`` by id tells names, and when a lost worker was last heard of.
    """
    known, found = workers or {}, list[Phase]()
    tries = iter(attempts.fold(timeline, cycle=cycle))
    # A later round has a moment of its own, which is no longer the first one's.
    first = _Idle(created_at, scheduled_for) if cycle == 1 else _Idle(created_at, is_vague=True)
    idle: _Idle | None = None
    attempt: Attempt | None = None
    is_open = False
    for entry in timeline:
        data: Mapping[str, Any] = entry.data if isinstance(entry.data, dict) else {}
        if entry.kind == Kind.TRIGGERED:
            idle = replace(first, since=entry.at)
        elif entry.kind == Kind.STARTED:
            found += _waited(idle, now=now, until=entry.at)
            attempt, idle, is_open = next(tries), None, True
            found.append(_attempt(attempt, known))
        elif entry.kind in ENDS and attempt is not None and is_open:
            idle, is_open = _after(attempt), False
        elif entry.kind in WITHDRAWN and idle is not None:
            in_flow = data.get("reason") == Reason.DEPENDENCY_FAILED
            found += _waited(idle, now=now, until=entry.at, status=entry.kind, in_flow=in_flow)
            idle = None
        elif entry.kind == Kind.REQUEUED:
            idle = _Idle(entry.at)
        elif entry.kind == Kind.UNBLOCKED:
            found += _waited(idle, now=now, until=entry.at, in_flow=True)
            idle = _Idle(entry.at)
        elif entry.kind == Kind.PROMOTED and idle is not None:
            idle.due = _due(data) or idle.due
            found += _waited(idle, now=now, until=entry.at)
            idle = _Idle(entry.at)
        elif entry.kind == Kind.DEBOUNCED and idle is not None:
            idle.due = _due(data) or idle.due
        elif entry.kind == Kind.STEP:
            label = _("Step “%(name)s” done") % {"name": data.get("name", "")}
            found.append(
                Phase(kind="moment", label=label, since=entry.at, until=entry.at, status="completed")
            )
    if idle is not None and status not in FINAL:
        found += _waited(idle, now=now, until=None, in_flow=status == Status.WAITING)
    return found


def _due(data: Mapping[str, Any]) -> datetime | None:
    due = data.get("due_at")
    return datetime.fromisoformat(due) if due else None


def _waited(
    idle: _Idle | None, *, now: datetime, until: datetime | None, status: str = "", in_flow: bool = False
) -> list[Phase]:
    """Return a wait as up to two phases: until it was due, and in its queue."""
    if idle is None:
        return []
    end = until or now
    if in_flow:
        return [
            Phase(
                kind="waiting",
                label=_("Waiting for other steps"),
                since=idle.since,
                until=until,
                status=status,
            )
        ]
    delayed = _("Back-off") if idle.kind == "backoff" else _("Delayed")
    queued = _("Waiting") if idle.is_vague else _("Waiting in queue")
    if idle.due is None or idle.due <= idle.since:
        label = delayed if idle.kind == "backoff" and idle.due is None else queued
        return [Phase(kind="waiting", label=label, since=idle.since, until=until, status=status)]
    if idle.due >= end:
        return [Phase(kind=idle.kind, label=delayed, since=idle.since, until=until, status=status)]
    return [
        Phase(kind=idle.kind, label=delayed, since=idle.since, until=idle.due),
        Phase(kind="waiting", label=queued, since=idle.due, until=until, status=status),
    ]


def _after(attempt: Attempt) -> _Idle | None:
    """Return what an attempt's end leads to."""
    if attempt.ended_at is None or attempt.outcome in FINAL:
        return None
    if attempt.outcome == Kind.RETRYING:
        return _Idle(attempt.ended_at, attempt.next_attempt_at, "backoff")
    return _Idle(attempt.ended_at)


def _attempt(attempt: Attempt, workers: Mapping[str, Seen]) -> Phase:
    worker = workers.get(attempt.worker or "", Seen(name=(attempt.worker or "")[:8]))
    is_lost = attempt.outcome == Kind.WORKER_LOST or (attempt.error or {}).get("type") == "WorkerLost"
    label = _("Attempt %(number)s") % {"number": wording.number(attempt.number)}
    if attempt.cycle > 1:
        label = _("Attempt %(number)s of round %(cycle)s") % {
            "number": wording.number(attempt.number),
            "cycle": wording.number(attempt.cycle),
        }
    lost_at, note = None, _error(attempt.error)
    if is_lost and attempt.ended_at is not None:
        back = wording.clock(attempt.ended_at, seconds=True)
        lost_at = max(attempt.claimed_at, min(worker.last_seen or attempt.claimed_at, attempt.ended_at))
        told = _("worker lost, taken back %(back)s") % {"back": back}
        if worker.last_seen is not None:
            lost = wording.clock(lost_at, seconds=True)
            told = _("worker lost %(lost)s, taken back %(back)s") % {"lost": lost, "back": back}
        note = f"{told}. {note}" if note else told
    return Phase(
        kind="attempt",
        label=label,
        since=attempt.claimed_at,
        until=attempt.ended_at,
        # One that is tried again has failed; that it is tried again is told by what comes next.
        status=Status.FAILED if attempt.outcome == Kind.RETRYING else attempt.outcome,
        note=note,
        worker=worker.name,
        worker_url=worker.url,
        lost_at=lost_at,
    )


def _error(error: Mapping[str, Any] | None) -> str:
    if not error:
        return ""
    message = str(error.get("message") or "")
    if len(message) > LETTERS:
        message = f"{message[:LETTERS]}…"
    return ": ".join(part for part in (str(error.get("type") or ""), message) if part)
