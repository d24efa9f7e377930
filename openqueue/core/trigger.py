"""Create runs in the caller's transaction and have them announced when it commits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from django.db import connections

from openqueue import runtimes
from openqueue.conf import config
from openqueue.core import post_commit, transitions
from openqueue.errors import TriggerNotAtomic
from openqueue.runtimes.base import Message
from openqueue.types import HEAD_START, NewRun


def trigger(runs: Sequence[NewRun], *, atomic: bool = True, now: datetime | None = None) -> None:
    """Write runs, first events and outbox rows; one statement on PostgreSQL, three on SQLite, whatever their number.

    Raises:
        TriggerNotAtomic: another database has a transaction open and OpenQueue's has not.
    """
    if not runs:
        return
    if atomic:
        refuse_other_transaction()
    transitions.create(runs, now=now)
    due: dict[str, list[Message]] = {}
    for run in runs:
        # Only to choose who is announced now: the database decides what is due.
        if run.delay <= 0 and (run.run_at is None or run.run_at <= (now or datetime.now(UTC))):
            message = Message(run.id, 1, run.task_id, run.queue, 1, run.priority)
            due.setdefault(run.runtime, []).append(message)
    for alias, messages in due.items():
        post_commit.announce_on_commit(alias, messages)


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
