"""How rows are written by hand on SQLite: identifiers are hexadecimal text, instants are naive UTC text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from openqueue.states import CLAIMABLE, FINAL
from openqueue.store.base import BaseStore

OPEN = tuple(sorted(status.value for status in CLAIMABLE))
ENDED = tuple(sorted(status.value for status in FINAL))
NOT_PAUSED = "NOT EXISTS (SELECT 1 FROM openqueue_queuestate s WHERE s.name = o.queue AND s.paused)"
IN_JSON = "IN (SELECT value FROM json_each(%s))"
INSERT_EVENT = """
    INSERT INTO openqueue_runevent (run_id, version, attempt, kind, token, actor, data, at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
"""
INSERT_OUTBOX = """
    INSERT INTO openqueue_outbox (run_id, seq, attempt, task_id, runtime, queue, priority, due_at, ready, expires_at,
        concurrency_key, announce_at, tries)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 0)
"""


class Writing(BaseStore):
    """The one way to write."""

    @contextmanager
    def writing(self) -> Iterator[Any]:
        """One transaction that takes the write lock first, so that it never fails half-way for a newer reader."""
        connection = self.connection
        if connection.in_atomic_block:
            with connection.cursor() as cursor:
                yield cursor
            return
        with transaction.atomic(using=self.alias), connection.cursor() as cursor:
            yield cursor


def text(moment: datetime) -> str:
    """Write an instant as the column holds it."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


def stamp(value: Any) -> Any:
    """Give an instant that came back from a column as that column holds it."""
    return value.isoformat(" ", "microseconds") if isinstance(value, datetime) else value


def ids(runs: Iterable[UUID]) -> str:
    return json.dumps([run.hex for run in runs])
