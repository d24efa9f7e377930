"""How rows are written by hand: identifiers are hexadecimal text, instants naive UTC, many rows one statement."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.db import transaction

from openqueue.states import CLAIMABLE, FINAL
from openqueue.store.base import BaseStore
from openqueue.store.ending import text
from openqueue.store.statements import statement

OPEN: Final = tuple(sorted(status.value for status in CLAIMABLE))
ENDED: Final = tuple(sorted(status.value for status in FINAL))
READ_COMMITTED: Final = "read committed"
SESSION: Final = "SET SESSION innodb_lock_wait_timeout = 2, idle_transaction_timeout = 10"
"""Of threads that are OpenQueue's own: LOCK_TIMEOUT in seconds. The second, which MySQL has not: a worker that froze
or lost its network in the middle of a claim does not keep the rows from the others."""
LONGEST: Final = 2**20
"""Characters in one statement: at most four bytes each, a quarter of the smallest max_allowed_packet we accept."""
INSERT_EVENT: Final = """
    INSERT INTO openqueue_runevent (run_id, version, attempt, kind, token, actor, data, at) VALUES
"""
INSERT_OUTBOX: Final = """
    INSERT INTO openqueue_outbox (run_id, seq, attempt, task_id, runtime, queue, priority, due_at, ready, expires_at,
        concurrency_key, announce_at, tries, ordering_key, waits_for, turn) VALUES
"""
thread = threading.local()


class Writing(BaseStore):
    """The one way to write."""

    def pin_plans(self) -> None:
        thread.is_ours = True

    @contextmanager
    def writing(self) -> Iterator[Any]:
        """One transaction; in the caller's own, an error in the middle of a verb leaves nothing to be committed."""
        connection = self.connection
        if connection.in_atomic_block:
            with transaction.mark_for_rollback_on_error(using=self.alias), connection.cursor() as cursor:
                yield cursor
            return
        self.prepare(connection)
        with transaction.atomic(using=self.alias), connection.cursor() as cursor:
            yield cursor

    @staticmethod
    def prepare(connection: Any) -> None:
        """Where the project chose another isolation, keep our locks to the rows themselves, without the gaps around."""
        connection.ensure_connection()
        if getattr(thread, "is_ours", False) and getattr(thread, "set_up", None) is not connection.connection:
            with connection.cursor() as cursor:
                cursor.execute(SESSION if connection.mysql_is_mariadb else SESSION.partition(",")[0])
            thread.set_up = connection.connection
        if connection.isolation_level != READ_COMMITTED and connection.get_autocommit():
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")

    def own(self) -> AbstractContextManager[Any]:
        if not self.connection.in_atomic_block:
            self.prepare(self.connection)
        return super().own()

    def clock(self, now: datetime | None) -> datetime:
        if now is not None:
            return now
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT UTC_TIMESTAMP(6)")
            return instant(cursor.fetchone()[0])

    def insert(self, cursor: Any, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert many rows: one statement, more only where their text is too long for one packet."""
        for some in chunks(rows):
            cursor.execute(statement + ", ".join(["%s"] * len(some)), some)

    @staticmethod
    def delete(cursor: Any, table: str, runs: Sequence[str]) -> None:
        """Delete rows by key: with ``IN`` a small table is walked, and what others have locked is waited for."""
        cursor.execute(statement("mysql", "delete").replace("TABLE_NAME", table), [json.dumps(runs)])


def chunks(rows: Sequence[tuple[Any, ...]], *, most: int = 1_000) -> Iterator[list[tuple[Any, ...]]]:
    """Split rows so that no statement becomes longer than a packet."""
    some: list[tuple[Any, ...]] = []
    length = 0
    for row in rows:
        size = sum([len(value) for value in row if isinstance(value, str)])
        if some and (length + size > LONGEST or len(some) == most):
            yield some
            some, length = [], 0
        some.append(row)
        length += size
    if some:
        yield some


def moment_sql(now: datetime | None) -> str:
    """Return the SQL of the moment to use: the database's clock, or a test's."""
    return "UTC_TIMESTAMP(6)" if now is None else f"TIMESTAMP'{text(now)}'"


def instant(value: datetime) -> datetime:
    """Read an instant as a column holds it."""
    return value.replace(tzinfo=UTC)


def microseconds(seconds: float) -> int:
    return round(seconds * 1_000_000)


def later(moment: datetime, seconds: float) -> str:
    return text(moment + timedelta(seconds=seconds))
