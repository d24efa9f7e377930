"""A run as people see it: its status derived, its secrets hidden."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self
from uuid import UUID

from openqueue import registry, secrets
from openqueue.models import Run
from openqueue.states import Status

HEAVY: Final = ("payload", "result", "error", "meta", "options")
"""Columns that lists leave where they are."""
PLACES: Final = ("outbox", "claim")
"""What a run must be read with, so that its facts ask for nothing more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """One run as lists show it."""

    id: UUID
    task_id: str
    queue: str
    runtime: str
    status: str
    """As a reader sees it: a scheduled or retrying run whose time has come is queued."""
    reason: str
    priority: int
    attempt: int
    max_attempts: int
    crash_count: int
    cycle: int
    tags: Sequence[str]
    created_at: datetime
    scheduled_for: datetime
    due_at: datetime | None
    """When it falls or fell due; None once it is claimed or over."""
    started_at: datetime | None
    finished_at: datetime | None
    seconds: float | None
    """From the last start to the end."""
    cancel_requested: bool

    @classmethod
    def of(cls, run: Run, **more: Any) -> Self:
        """Read a run that was fetched with its places."""
        outbox, claim = getattr(run, "outbox", None), getattr(run, "claim", None)
        ended = run.finished_at is not None and run.started_at is not None
        return cls(
            id=run.pk,
            task_id=run.task_id,
            queue=run.queue,
            runtime=run.runtime,
            status=status_of(run),
            reason=run.reason,
            priority=run.priority,
            attempt=run.attempt,
            max_attempts=run.max_attempts,
            crash_count=run.crash_count,
            cycle=run.cycle,
            tags=run.tags or [],
            created_at=run.created_at,
            scheduled_for=run.scheduled_for,
            due_at=outbox and outbox.due_at,
            started_at=run.started_at,
            finished_at=run.finished_at,
            seconds=(run.finished_at - run.started_at).total_seconds() if ended else None,
            cancel_requested=claim is not None and claim.cancel_requested_at is not None,
            **more,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineEntry:
    """One line of a run's history."""

    at: datetime
    after: float
    """Seconds since the run was created."""
    kind: str
    attempt: int
    version: int | None
    actor: str
    data: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One line that a run's code logged."""

    at: datetime
    after: float
    """Seconds since the run was created."""
    attempt: int
    level: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDetail(RunFacts):
    """One run with everything that is on record about it."""

    payload: Mapping[str, Any]
    """With "[secret]" in place of secret arguments."""
    result: Any
    error: Mapping[str, Any] | None
    meta: Mapping[str, Any]
    options: Mapping[str, Any]
    worker_id: UUID | None
    expires_at: datetime | None
    traceparent: str | None
    timeline: Sequence[TimelineEntry]
    timeline_left_off: bool
    """Older lines are on record that are not in ``timeline``."""
    logs: Sequence[LogEntry]
    logs_left_off: bool


def status_of(run: Run) -> str:
    """Return the status that a reader sees; nothing is written when time passes, so the outbox row tells."""
    outbox = getattr(run, "outbox", None)
    if outbox is not None and outbox.ready and run.status in {Status.SCHEDULED, Status.RETRYING}:
        return Status.QUEUED.value
    return str(run.status)


def shown_payload(run: Run) -> dict[str, Any]:
    """Return the arguments with a mask for each secret one, also when the task is not known here."""
    payload: dict[str, Any] = run.payload or {}
    sealed = {
        name
        for name, value in payload.items()
        if isinstance(value, dict) and set(value) == {secrets.ENVELOPE}
    }
    task = registry.index().get(run.task_id)
    return secrets.redact(payload, fields=sealed | set(getattr(task, "secret", ())))
