"""Create runs in the caller's transaction and have them announced when it commits."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db import connections

from openqueue import limits, runtimes
from openqueue.conf import config
from openqueue.core import ahead, post_commit, rehearsal, transitions, uniqueness
from openqueue.errors import QueueClosed, TriggerNotAtomic
from openqueue.runtimes.base import Message
from openqueue.states import Status
from openqueue.store import store
from openqueue.types import HEAD_START, Holder, Key, NewRun


def trigger(
    runs: Sequence[NewRun], *, atomic: bool = True, strict: bool = True, now: datetime | None = None
) -> None:
    """Write runs, first events and outbox rows; one statement on PostgreSQL, three on SQLite, whatever their number.

    strict: False where nobody is there to hear of a queue that rejects: runs are skipped there as well.

    Raises:
        TriggerNotAtomic: another database has a transaction open and OpenQueue's has not.
        QueueClosed: a queue rejects; nothing was written.
    """
    if not runs:
        return
    if atomic:
        refuse_other_transaction()
    now = now or rehearsal.moment()
    closed = transitions.create(runs, strict=strict, now=now)
    if closed:  # seldom: nothing is written yet, so that the run and its end are one transaction
        with store().own():
            transitions.skip(transitions.create_closed(runs, closed=closed, now=now), now=now)
    announce(runs, closed=closed, now=now)


def write(runs: Sequence[NewRun], *, now: datetime | None = None) -> set[UUID]:
    """Write nodes of a flow, have them announced on commit; return those that the same transaction has to skip.

    Raises:
        QueueClosed: a queue rejects; nothing was written.
    """
    now = now or rehearsal.moment()
    closed = transitions.create(runs, now=now)
    skipped = transitions.create_closed(runs, closed=closed, now=now) if closed else set()
    announce(runs, closed=closed, now=now)
    return skipped


def announce(runs: Sequence[NewRun], *, closed: Collection[str], now: datetime | None) -> None:
    """Have runs announced when the transaction commits, but those of closed queues."""
    announced: dict[str, list[Message]] = {}
    waited_for: set[str] = set()
    for run in runs:
        # Only to choose who is announced now: the database decides what is due.
        if run.waiting or run.queue in closed:
            continue
        wait = run.delay if run.run_at is None else (run.run_at - (now or datetime.now(UTC))).total_seconds()
        limit, _ = limits.first(run.concurrency_key, run.ordering_key, priority=0)
        if limit is not None:
            if wait <= 0:
                waited_for.add(limit)
            continue
        due = 0.0
        if wait > 0:
            if wait > ahead.reach(run.runtime):
                continue
            due = ahead.moment(wait)
        message = Message(run.id, 1, run.task_id, run.queue, 1, run.priority, run.traceparent, due)
        announced.setdefault(run.runtime, []).append(message)
    for alias, messages in announced.items():
        post_commit.announce_on_commit(alias, messages)
    if waited_for:
        post_commit.admit_on_commit(waited_for)


def trigger_unique(
    runs: Sequence[NewRun], *, keys: Sequence[Key], atomic: bool = True, now: datetime | None = None
) -> dict[UUID, Holder]:
    """Create runs, those with keys only where nobody else has the key; return, by run, who has it.

    The keys are taken in the transaction that writes the runs. A key that is given twice goes to the first of its runs;
    one that is debounced to the last, whose payload is the newest.

    Raises:
        TriggerNotAtomic: as `trigger`.
        QueueClosed: as `trigger`.
    """
    if atomic:
        refuse_other_transaction()
    now = now or rehearsal.moment()
    leaders: dict[UUID, Key] = {}
    for key in keys:
        if key.id not in leaders or key.debounce is not None:
            leaders[key.id] = key

    def write() -> dict[UUID, Holder]:
        is_callers = connections[config.database].in_atomic_block
        with store().own():
            held = uniqueness.take(list(leaders.values()), now=now)
            led = {key.run_id: leaders[key.id].run_id for key in keys}
            mine = [run for run in runs if led.get(run.id, run.id) == run.id and run.id not in held]
            try:
                trigger(mine, atomic=atomic, now=now)
                return held | followers(mine, keys, leaders, held)
            except QueueClosed as error:
                if not is_callers:
                    raise
                refusal = error  # the caller's transaction goes on, without their keys
                uniqueness.free({run.id: Status.CANCELLED for run in mine}, now)
        raise refusal

    return transitions.again(write)


def followers(
    made: Sequence[NewRun], keys: Sequence[Key], leaders: Mapping[UUID, Key], held: Mapping[UUID, Holder]
) -> dict[UUID, Holder]:
    """Return who has the keys of those runs of a batch that another one of the batch speaks for."""
    by_id = {run.id: run for run in made}
    answers = {}
    for key in keys:
        leader = leaders[key.id].run_id
        if leader == key.run_id:
            continue
        answers[key.run_id] = held.get(leader) or holder_of(by_id[leader], key.id)
    return answers


def holder_of(run: NewRun, key_id: UUID) -> Holder:
    return Holder(key_id, run.id, run.task_id, run.queue, status_of(run), 0, in_window=True, told=0)


def status_of(run: NewRun) -> Status:
    """Return how a run that was just created stands, by this host's clock."""
    return Status.SCHEDULED if is_later(run.delay, run.run_at) else Status.QUEUED


def is_later(delay: Any, run_at: datetime | None) -> bool:
    """Tell whether a run is due only after its trigger, by the clock of this process."""
    return bool(delay and delay > 0) or (run_at is not None and run_at > datetime.now(UTC))


def refuse_other_transaction() -> None:
    """Raise when the caller seems to believe in an atomicity that cannot be had."""
    alias = config.database
    if connections[alias].in_atomic_block:
        return
    for other in connections.all(initialized_only=True):
        if other.in_atomic_block and other.alias != alias:
            raise TriggerNotAtomic(
                f"transaction.atomic(using={other.alias!r}) is open, but OpenQueue lives on {alias!r}, so the run "
                f"would stand even if that transaction rolls back. Open transaction.atomic(using={alias!r}) too, "
                f"or say .using(atomic=False) to trigger at once."
            )


def head_start(runtime: str) -> float:
    """Return the seconds that the on-commit publisher has before the sweep looks at a row of this runtime."""
    return HEAD_START if runtimes.get(runtime).carries_messages else 0.0
