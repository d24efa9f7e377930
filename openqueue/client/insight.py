"""What the API has counted, as values: numbers of ended runs, depths of queues, and groups of errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from openqueue.client.values import Run

Seconds = float | timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """How runs ended from `since` (included) to `before` (not included)."""

    since: datetime
    before: datetime
    counts: Mapping[str, int]
    """By outcome."""
    total: int
    retries: int
    crashes: int
    wait_p50: float | None
    """Seconds until the start, to within a tenth; of the runs that took one attempt."""
    wait_p95: float | None
    time_p50: float | None
    """Seconds of the last attempt, to within a tenth."""
    time_p95: float | None
    longest: float | None
    run_seconds: float
    """Of all last attempts together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Numbers of a whole window, and of each step of it."""

    step: timedelta
    whole: Numbers
    points: Sequence[Numbers]
    """Oldest first, without gaps; the last one runs still."""
    stopped: bool
    """The newest minutes are missing: counting them took the server's database too long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """How much stood in a queue at one moment."""

    ready: int
    """Due and free to start."""
    held: int
    """Due and kept from starting: by a pause, a limit or an order."""
    delayed: int
    """For later, or for their next attempt."""
    running: int
    oldest: float
    """Seconds that the oldest due run had waited; 0: none was due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthPoint:
    """From `since` (included) to `before` (not included); None where no sweep looked."""

    since: datetime
    before: datetime
    last: Depth | None
    """At the last look."""
    most: Depth | None
    """At the fullest look, with the longest wait of all looks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthSeries:
    """A queue over time, from a look in each minute."""

    queue: str
    step: timedelta
    points: Sequence[DepthPoint]
    """Oldest first; the last one runs still, and its last look is now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NumbersBy:
    """Numbers of one window, by task or by queue."""

    numbers: Mapping[str, Numbers]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorGroup:
    """Failures that are the same."""

    id: int
    task_id: str
    type: str
    place: str
    """File and function, or the shape of the message."""
    message: str
    """Of the run that failed last; empty where the token may not see it."""
    state: str
    """open, resolved or ignored."""
    ignored_until: datetime | None
    """Of an ignored one; None: for ever."""
    ignored_above: int | None = None
    """Of an ignored one: more failures within one hour open it."""
    resolved_in: str = ""
    """Of a resolved one: failures of releases that were first seen before this one do not open it."""
    changed_by: str
    changed_at: datetime | None
    count: int
    recent: int
    """In the last 24 hours."""
    trend: Sequence[int]
    """Of the last 24 hours, the running one included, oldest first."""
    first_seen: datetime
    first_release: str = ""
    """Of the run that failed so first, where its worker told one."""
    last_seen: datetime
    last_release: str = ""
    last_run: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownErrorGroup(ErrorGroup):
    """One group with a sample."""

    by_release: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """The trend of each release that failed so in that time; under an empty name of workers that told none."""
    error: Any
    """Of the run that failed last, where it is still there."""
    runs: Sequence[Run]
    """That failed last, newest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorGroupAnswer:
    """What came of an act, and the group as it is now."""

    outcome: str
    error: ErrorGroup
