"""The attempts of a run, folded from its history."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from openqueue.control.run_facts import TimelineEntry
from openqueue.states import Kind

OPEN: Final = "running"
ENDS: Final = frozenset(
    {Kind.COMPLETED, Kind.RETRYING, Kind.FAILED, Kind.CANCELLED, Kind.RELEASED, Kind.WORKER_LOST}
)
"""Kinds of events that end the attempt under way; how it ended is the event's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One numbered try."""

    cycle: int
    """1, and one more with each retry by an operator."""
    number: int
    """As people count; a released attempt's comes again."""
    outcome: str
    """running, or how it ended: completed, retrying, failed, cancelled, released or worker_lost."""
    claimed_at: datetime
    ended_at: datetime | None
    seconds: float | None
    """From the claim to the end."""
    worker: str | None
    error: Mapping[str, Any] | None
    next_attempt_at: datetime | None
    """When the next one was to be due, where that was said."""


def fold(timeline: Iterable[TimelineEntry], *, cycle: int) -> list[Attempt]:
    """Return the attempts that a history tells of, oldest first; ``cycle`` is that of its newest line."""
    entries = list(timeline)
    number = cycle - sum(entry.kind == Kind.REQUEUED for entry in entries)
    attempts: list[Attempt] = []
    for entry in entries:
        data = entry.data if isinstance(entry.data, dict) else {}
        if entry.kind == Kind.REQUEUED:
            number += 1
        elif entry.kind == Kind.STARTED:
            attempts.append(
                Attempt(
                    cycle=number,
                    number=entry.attempt,
                    outcome=OPEN,
                    claimed_at=entry.at,
                    ended_at=None,
                    seconds=None,
                    worker=data.get("worker"),
                    error=None,
                    next_attempt_at=None,
                )
            )
        elif entry.kind in ENDS and attempts and attempts[-1].outcome == OPEN:
            attempts[-1] = _ended(attempts[-1], entry, data)
    return attempts


def _ended(attempt: Attempt, entry: TimelineEntry, data: Mapping[str, Any]) -> Attempt:
    due = data.get("next_run_at")
    return replace(
        attempt,
        outcome=entry.kind,
        ended_at=entry.at,
        seconds=(entry.at - attempt.claimed_at).total_seconds(),
        error=data.get("error"),
        next_attempt_at=datetime.fromisoformat(due) if due else None,
    )
