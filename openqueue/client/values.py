"""What the API answers, as values. Fields that a newer server adds are passed over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol, TypedDict
from uuid import UUID


class Options(TypedDict, total=False):
    """What one trigger may change, as `using()` does in Django; durations are seconds or timedelta."""

    queue: str
    priority: int
    """-100 to 100; higher runs sooner."""
    delay: float | timedelta
    run_at: datetime
    """With its offset: the server does not know your zone."""
    max_attempts: int
    backoff: float | Sequence[float]
    timeout: float | timedelta
    ttl: float | timedelta
    ordering_key: str
    concurrency_key: str
    tags: Sequence[str]
    meta: Mapping[str, Any]
    dedupe_key: str
    """While a run has it, triggering its like gives that run."""
    dedupe_scope: str
    dedupe_until: str
    dedupe_window: float | timedelta
    debounce: float | timedelta
    debounce_max: float | timedelta


class Identified(Protocol):
    """Whatever names a run."""

    @property
    def id(self) -> UUID:
        """The run's."""


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run to create: `NewRun("shop.send_invoice", {"invoice_id": 42}, {"delay": 60})`."""

    task_id: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    options: Options = field(default_factory=Options)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedRun:
    """A run that was created."""

    id: UUID
    task_id: str
    queue: str
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run as lists show it."""

    id: UUID
    task_id: str
    queue: str
    runtime: str
    status: str
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
    waits_for: str | None
    """The limit that has to let it through."""
    started_at: datetime | None
    finished_at: datetime | None
    seconds: float | None
    """From the last start to the end."""
    cancel_requested: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownRun(Run):
    """One run with what it carries; secret arguments are masked."""

    payload: Mapping[str, Any]
    result: Any
    error: Mapping[str, Any] | None
    meta: Mapping[str, Any]
    options: Mapping[str, Any]
    worker_id: UUID | None
    expires_at: datetime | None
    traceparent: str | None
    replay_of: UUID | None
    data_hidden: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPage:
    """A page of runs."""

    runs: Sequence[Run]
    searched_all: bool
    stopped: bool
    older: str | None
    newer: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunAnswer:
    """What came of an act, and the run as it is now."""

    outcome: str
    run: Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
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
class LogLine:
    """One line that a run's code logged."""

    at: datetime
    after: float
    """Seconds since the run was created."""
    attempt: int
    level: int
    """As in Python's logging."""
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One numbered try."""

    cycle: int
    number: int
    outcome: str
    claimed_at: datetime
    ended_at: datetime | None
    seconds: float | None
    worker: str | None
    error: Mapping[str, Any] | None
    next_attempt_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """One queue on one runtime; ages are seconds."""

    name: str
    runtime: str
    paused: bool
    paused_by: str
    pause_reason: str
    paused_for: float | None
    due: int
    later: int
    running: int
    oldest_due: float | None
    workers: int
    at_broker: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueAnswer:
    """What came of an act, and the queue as it is now."""

    outcome: str
    queues: Sequence[Queue]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleared:
    """What clearing a queue did."""

    queue: str
    cancelled: int
    left: int
    """To be cancelled by asking again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """One schedule; durations are seconds."""

    id: int
    task_id: str
    key: str
    kind: str
    """declared (in code) or dynamic."""
    status: str
    cron: str
    every: float | None
    timezone: str
    misfire: str
    catchup_window: float | None
    overlap: str
    jitter: float
    starts_at: datetime | None
    ends_at: datetime | None
    payload: Any
    options: Mapping[str, Any]
    next_at: datetime | None
    last_tick: datetime | None
    last_run_at: datetime | None
    last_run_id: UUID | None
    error: str
    failures: int
    paused_at: datetime | None
    paused_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulePage:
    """A page of schedules."""

    schedules: Sequence[Schedule]
    next: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSchedule:
    """One schedule, and when it is due next."""

    schedule: Schedule
    upcoming: Sequence[datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleAnswer:
    """What came of an act, and the schedule as it is now."""

    outcome: str
    schedule: Schedule


class Rule(TypedDict, total=False):
    """When a schedule makes runs, and of what: `cron` or `every`; durations are seconds or timedelta."""

    cron: str
    every: float | timedelta
    timezone: str
    misfire: str
    catchup_window: float | timedelta
    overlap: str
    jitter: float | timedelta
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One task as the server declares it."""

    id: str
    description: str
    queue: str
    priority: int
    max_attempts: int
    timeout: float | None
    ttl: float | None
    tags: Sequence[str]
    enqueueable: bool
    """Whether it may be triggered from outside."""
    secret: Sequence[str]
    schema: Mapping[str, Any]
    """JSON Schema of its payload."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """One incarnation of a worker process; ages are seconds."""

    id: UUID
    host: str
    pid: int
    version: str
    release: str = ""
    """The project's own; empty: the worker told none, or the server knows of none."""
    state: str
    runtimes: Sequence[str]
    queues: Sequence[str]
    slots: int
    busy: int
    claims: int
    memory: int | None = None
    """Bytes of its host's memory that it and its children take; None: it does not tell."""
    started_at: datetime
    heartbeat_age: float
    lease_left: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Info:
    """Who the server is, and what the token can name."""

    service: str
    api_version: int
    namespace: str
    tasks: int
    queues: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldProblem:
    """One thing wrong with one field."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why a request was not done (RFC 9457)."""

    status: int
    code: str = ""
    detail: str = ""
    errors: Sequence[FieldProblem] = ()
    run: Run | None = None
