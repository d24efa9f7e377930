"""A run as people see it: its status derived, its secrets hidden."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Self
from uuid import UUID

from openqueue import payloads, registry, secrets
from openqueue.conf import config
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
    waits_for: str | None
    """The limit that has to let it through: ``order:`` and its ordering key, or its concurrency key."""
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
            waits_for=outbox and outbox.waits_for,
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
class RunState(RunFacts):
    """One run as it stands, with what it carries."""

    payload: Mapping[str, Any]
    """With "[secret]" in place of secret arguments."""
    result: Any
    error: Mapping[str, Any] | None
    meta: Mapping[str, Any]
    options: Mapping[str, Any]
    worker_id: UUID | None
    expires_at: datetime | None
    traceparent: str | None
    replay_of: UUID | None
    """The past run that this one repeats."""
    flow_id: UUID | None
    """The flow that it is a node of, or that it is a callback of."""

    @classmethod
    def of(cls, run: Run, **more: Any) -> Self:
        """Read a run that was fetched whole, with its places."""
        # super() without arguments knows only the class that slots=True replaced.
        return super(RunState, cls).of(
            run,
            payload=shown_payload(run),
            result=run.result,
            error=run.error,
            meta=shown_meta(run),
            options=run.options or {},
            worker_id=run.worker_id,
            expires_at=run.expires_at,
            traceparent=run.traceparent,
            replay_of=run.replay_of,
            flow_id=run.flow_id,
            **more,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDetail(RunState):
    """One run with everything that is on record about it."""

    timeline: Sequence[TimelineEntry]
    timeline_left_off: bool
    """Older lines are on record that are not in ``timeline``."""
    logs: Sequence[LogEntry]
    logs_left_off: bool


def status_of(run: Run) -> str:
    """Return the status that a reader sees; nothing is written when time passes, so the outbox row tells."""
    outbox = getattr(run, "outbox", None)
    if outbox is not None and run.status in {Status.SCHEDULED, Status.RETRYING}:
        # Who waits for a permit is made ready by that; by this host's clock, which is near enough to be shown.
        waits = outbox.waits_for is not None and outbox.due_at <= datetime.now(UTC)
        if outbox.ready or waits:
            return Status.QUEUED.value
    return str(run.status)


def shown_meta(run: Run) -> dict[str, Any]:
    """Return what travels with the arguments, masked by the names in it."""
    meta: dict[str, Any] = secrets.veil(run.meta or {}, names=config.mask_names)
    return meta


def shown_payload(run: Run) -> dict[str, Any]:
    """Return the arguments with masks for secret ones, also of a task unknown here, and for names that say secret."""
    payload: dict[str, Any] = payloads.shown(run.payload or {})
    sealed = {
        name
        for name, value in payload.items()
        if isinstance(value, dict) and set(value) == {secrets.ENVELOPE}
    }
    task = registry.find(run.task_id)
    payload = secrets.veil(payload, names=config.mask_names)
    return secrets.redact(payload, fields=sealed | set(getattr(task, "secret", ())))
