"""The values that rooms hand to each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

from openqueue.states import Kind, Reason, Status

HEAD_START: Final = 2.0
"""Seconds that the publisher woken on commit has before the announcing sweep looks at a new row."""


class NewRun(NamedTuple):
    """A run to be created: validated, encoded, on its way into the database. A tuple: made thousands at a time."""

    id: UUID
    task_id: str
    queue: str
    runtime: str
    payload: str
    priority: int = 0
    max_attempts: int = 3
    delay: float = 0.0
    """Seconds from now, by the database's clock."""
    run_at: datetime | None = None
    """An aware moment; wins over ``delay``."""
    ttl: float | None = None
    """Seconds from the due time to the first start."""
    head_start: float = 0.0
    """Seconds before the announcing sweep may take the row: HEAD_START on brokers, 0 on the database runtime."""
    meta: str | None = None
    tags: str | None = None
    options: str | None = None
    traceparent: str | None = None
    replay_of: UUID | None = None
    """The past run that this one repeats."""
    flow_id: UUID | None = None
    """The flow that it is a node of."""
    waiting: bool = False
    """It waits for other nodes of its flow: it is in no outbox until they let it go."""
    dedupe_key: str | None = None
    schedule_id: int | None = None
    """The schedule that made it; ``run_at`` is then its tick, also where that is past."""
    concurrency_key: str | None = None
    """What its fleet-wide limit counts by."""
    ordering_key: str | None = None
    """One of these at a time, in due order."""

    @property
    def is_plain(self) -> bool:
        """Tell whether nothing ties it to anything else."""
        return self[LINKS:] == UNTIED


LINKS: Final = NewRun._fields.index("replay_of")
UNTIED: Final = (None, None, False, None, None, None, None)


class Key(NamedTuple):
    """A key that a run wants to have for itself."""

    id: UUID
    """A digest of scope and key."""
    scope: str
    key: str
    run_id: UUID
    window: float = 0.0
    """Seconds after the trigger in which it stands although the run has completed."""
    until_start: bool = False
    """A run that has started has it no more; otherwise one that has ended."""
    debounce: Debounce | None = None
    """What becomes of the run that has it, when that has not started."""


class Debounce(NamedTuple):
    """What a later trigger changes of a run that waits."""

    payload: str
    delay: float
    """Seconds from now until it is due."""
    most: float | None
    """Seconds after its first trigger at which it is due at the latest."""
    ttl: float | None
    meta: str | None
    tags: str | None
    head_start: float


class Holder(NamedTuple):
    """The run that has a key."""

    key_id: UUID
    run_id: UUID
    task_id: str
    queue: str
    status: Status | None
    """None: retention deleted it."""
    attempt: int
    in_window: bool
    """The key's window is not over."""
    told: int
    """How many duplicates its history tells of."""


class TickRow(NamedTuple):
    """One line of a schedule's history, on its way into the database."""

    schedule_id: int
    tick: datetime
    until: datetime | None
    outcome: str
    run_id: UUID | None = None
    reason: str = ""


class Announcement(NamedTuple):
    """A due row on its way to a broker. (run_id, seq) is its identity everywhere."""

    run_id: UUID
    seq: int
    tries: int
    attempt: int
    task_id: str
    runtime: str
    queue: str
    priority: int
    ordering_key: str | None = None
    unheard: int = 0
    """How often it was tried since a worker last had its message: what back-offs and giving up go by."""


class Claimed(NamedTuple):
    """An attempt that is ours: what the executor needs. Made straight from a row, hundreds at a time."""

    run_id: UUID
    token: UUID
    worker_id: UUID
    seq: int
    attempt: int
    task_id: str
    queue: str
    payload: str
    max_attempts: int
    crash_count: int
    meta: str | None
    options: str | None
    traceparent: str | None
    flow_id: UUID | None = None
    dedupe_key: str | None = None

    @property
    def is_linked(self) -> bool:
        """Tell whether its end has consequences for others (core/consequences.py)."""
        return self.flow_id is not None or self.dedupe_key is not None


class Deferred(NamedTuple):
    """A row that was put back unannounced, with a later moment."""

    run_id: UUID
    seq: int
    task_id: str
    unheard: int
    """How often it was tried since a worker last put it back though nothing was wrong with it."""
    why: str


Answer = Literal["claimed", "gone", "later", "deferred", "unavailable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRequest:
    """Who claims, and what it can serve."""

    worker_id: UUID
    token: UUID
    known: Sequence[str]
    """Task ids that this process has registered; a row of another task is deferred."""
    task_rooms: Mapping[str, int] = field(default_factory=dict)
    """How many more of each task that is limited in this process; messages beyond are deferred, due rows left."""
    in_order: bool = False
    """Due rows: the first queue gives all it has before the next is asked. Otherwise they are merged by priority."""
    queue_rooms: Mapping[str, int] = field(default_factory=dict)
    """The same by queue."""

    announced: bool = False
    """Due rows: also those that a broker carries or is about to. For workers that no broker reaches (decision 0036)."""

    @property
    def free(self) -> list[str]:
        """Return the known tasks that have a free slot here."""
        return [task for task in self.known if self.task_rooms.get(task, 1) > 0]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimResult:
    """The answer to one batch of claims."""

    claimed: Sequence[Claimed] = ()
    deferred: Sequence[Deferred] = ()
    inconsistent: Sequence[UUID] = ()
    """Rows whose run could not take the arrow: deleted, and reported by the doctor."""
    answers: Mapping[tuple[UUID, int], Answer] | None = None
    """Per announcement, for messages only."""


class Outcome(NamedTuple):
    """How an attempt ended. One row of a settle batch."""

    run_id: UUID
    token: UUID
    kind: Kind
    status: Status
    reason: Reason = Reason.NONE
    result: str | None = None
    error: str | None = None
    data: str | None = None
    """The event's facts, a JSON object."""
    delay: float = 0.0
    """Seconds until the next attempt, when there is one."""
    age: float | None = None
    """Seconds since the body began, at the moment of sending; None when it never began."""
    own: bool = True
    """Settled by the worker that holds the claim (its token goes into the event)."""
    attempt: int | None = None
    """Its number, for the event of a result that comes too late."""
    linked: bool = True
    """Its end may have consequences for others; False where the claim told that it has none."""
    written: bool = False
    """It is settled: the body did that in a transaction of its own, which has committed."""

    def become(self, kind: str) -> Outcome:
        """Return what was accepted of this attempt before, if that was of another kind."""
        if kind == Kind.RELEASED != self.kind:
            return self._replace(status=Status.QUEUED)
        known = kind in Status._value2member_map_
        return self._replace(status=Status(kind)) if known and kind != self.kind else self


class Settled(NamedTuple):
    """What an accepted settle made of a run; ``status`` differs from the outcome's when a cancel request won."""

    run_id: UUID
    token: UUID
    status: Status
    limits: tuple[str, ...] = ()
    """The fleet-wide limits that may have room by it."""


class Held(NamedTuple):
    """A claim of this incarnation as the database sees it."""

    run_id: UUID
    token: UUID
    cancel_requested: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What a worker takes of its host's memory, with its children."""

    resident: int
    """Bytes, now."""
    history: Sequence[tuple[int, int]] | None = None
    """Minutes since 1970 UTC by the worker's clock, each with its most bytes, oldest first; None: as told last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """The answer to a heartbeat."""

    alive: bool
    command: str = ""
    held: Sequence[Held] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Incarnation:
    """A worker process from one registration to its loss or stop."""

    id: UUID
    host: str
    pid: int
    version: str
    runtimes: Sequence[str]
    queues: Sequence[str]
    tasks: Sequence[str] = ()
    slots: int
    release: str = ""
    """The project's own."""
    command: str = ""
    """What the process was told in its incarnation before, and still follows."""


class LogLine(NamedTuple):
    """One line that a run's code logged; ``age`` is seconds before the moment of writing."""

    run_id: UUID
    attempt: int
    level: int
    text: str
    age: float


class Progress(NamedTuple):
    """The newest progress of an attempt."""

    run_id: UUID
    attempt: int
    data: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What the database runtime answers instead of receipts: claim from these queues, at most so many."""

    queues: Sequence[str]
    limit: int


JSON = dict[str, Any]
