"""How rows are written by hand on SQLite: identifiers are hexadecimal text, instants are naive UTC text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from openqueue.states import CLAIMABLE, FINAL
from openqueue.store.base import BaseStore
from openqueue.store.sqlite.transactions import READS, WRITES, Begun

OPEN = tuple(sorted(status.value for status in CLAIMABLE))
ENDED = tuple(sorted(status.value for status in FINAL))
NOT_PAUSED = "NOT EXISTS (SELECT 1 FROM openqueue_queuestate s WHERE s.name = o.queue AND s.paused)"
IN_JSON = "IN (SELECT value FROM json_each(%s))"
INSERT_RUN = """
    INSERT INTO openqueue_run (id, task_id, queue, runtime, status, reason, priority, payload, meta, tags, options,
        attempt, max_attempts, crash_count, cycle, version, created_at, scheduled_for, expires_at, traceparent,
        replay_of, flow_id, dedupe_key, schedule_id, concurrency_key, ordering_key)
    SELECT %s, %s, %s, %s, %s, '', %s, %s, %s, %s, %s, 0, %s, 0, 1, 1, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s
"""
IF_OPEN = f"""
    WHERE NOT EXISTS (
        SELECT 1 FROM openqueue_queuestate WHERE behaviour IN ('reject', 'skip') AND name {IN_JSON})
"""
"""All runs of a batch, or none: the names are those of all of them."""
INSERT_EVENT = """
    INSERT INTO openqueue_runevent (run_id, version, attempt, kind, token, actor, data, at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
"""
INSERT_OUTBOX = """
    INSERT INTO openqueue_outbox (run_id, seq, attempt, task_id, runtime, queue, priority, due_at, ready, expires_at,
        concurrency_key, announce_at, ordering_key, waits_for, turn, tries)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 0)
"""


class Writing(BaseStore):
    """How transactions begin, and the one way to write."""

    @contextmanager
    def writing(self) -> Iterator[Any]:
        """One transaction that takes the write lock first, so that it never fails half-way for a newer reader.

        Inside a transaction of the caller it takes no savepoint: what fails half-way cannot be committed any more.
        """
        with Begun(self.alias, WRITES, savepoint=False), self.connection.cursor() as cursor:
            yield cursor

    def atomic(self) -> Begun:
        return Begun(self.alias, WRITES)

    @contextmanager
    def bounded(self, limit: timedelta, *, by_index: bool = False, writes: bool = False) -> Iterator[None]:
        """One transaction; who only reads holds up no writer. SQLite cannot be told how long a statement may take."""
        with Begun(self.alias, WRITES if writes else READS):
            yield


def stamp(value: Any) -> Any:
    """Give an instant that came back from a column as that column holds it."""
    return value.isoformat(" ", "microseconds") if isinstance(value, datetime) else value


def ids(runs: Iterable[UUID]) -> str:
    return json.dumps([run.hex for run in runs])
