"""How statements are sent to PostgreSQL: prepared once a connection, planned as for large tables."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final

import psycopg

from openqueue.store.base import LOCK_TIMEOUT, BaseStore
from openqueue.store.statements import statement

PREPARED: Final = frozenset(
    {"create", "create_one", "take_keys", "claim_due", "claim_named", "settle", "heartbeat", "flip_ready"}
)
"""The statements that run all the time. The others are planned each time, for the tables as they are then."""
BY_INDEX: Final = {"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off", "jit": "off"}
"""A row after the other, as far as is needed: what else the planner knows reads tables from end to end."""
PINS: Final = "; ".join(f"SET {name} = {value}" for name, value in BY_INDEX.items())
"""A plan made while the tables were small would read them from end to end when they are large."""
PATIENCE: Final = f"{LOCK_TIMEOUT.total_seconds():g}s"
LIMITED: Final = """
    SELECT set_config('lock_timeout', %s, true), set_config('idle_in_transaction_session_timeout', %s, true)
"""
thread = threading.local()


class PreparedCursor(psycopg.Cursor[Any]):
    """A server-side binding cursor whose statements are prepared at their first use: half the time of a trigger."""

    def execute(self, query: Any, params: Any = None, **_: Any) -> Any:
        """Send one statement."""
        connection = self.connection
        before, connection.prepare_threshold = connection.prepare_threshold, 0  # Django switches it off
        try:
            return super().execute(query, params, prepare=True)
        finally:
            connection.prepare_threshold = before


class Sending(BaseStore):
    """The one way to send."""

    def pin_plans(self) -> None:
        thread.pins_plans = True

    def run(self, name: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
        """Send one statement through Django's cursor wrapper, so that its instrumentation sees it."""
        with self.cursor() if name in PREPARED else self.connection.cursor() as cursor:
            cursor.execute(statement("postgresql", name), parameters)
            return cursor.fetchall() if cursor.description else []

    def cursor(self) -> Any:
        connection = self.connection
        if connection.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS"):
            return connection.cursor()  # PgBouncer in transaction mode knows no prepared statements
        connection.ensure_connection()
        if (
            getattr(thread, "pins_plans", False)
            and getattr(thread, "pinned", None) is not connection.connection
        ):
            with connection.wrap_database_errors:
                connection.connection.execute(PINS)
            thread.pinned = connection.connection
        raw = PreparedCursor(connection.connection)
        return connection.make_debug_cursor(raw) if connection.queries_logged else connection.make_cursor(raw)

    @contextmanager
    def own(self) -> Iterator[None]:
        thread.is_own = not self.connection.in_atomic_block
        try:
            with super().own():
                yield
        finally:
            thread.is_own = False

    @contextmanager
    def writing(self) -> Iterator[Any]:
        """One transaction of several statements; whoever freezes in the middle of it holds others up for seconds."""
        own = not self.connection.in_atomic_block
        with self.atomic(), self.connection.cursor() as cursor:
            if own:
                cursor.execute(LIMITED, [PATIENCE, PATIENCE])
            yield cursor

    @contextmanager
    def bounded(self, limit: timedelta, *, by_index: bool = False, writes: bool = False) -> Iterator[None]:
        settings = {"statement_timeout": f"{limit.total_seconds():g}s"}
        if by_index:
            settings |= BY_INDEX
        before = ", ".join(f"current_setting('{name}')" for name in settings)
        now = ", ".join(f"set_config('{name}', %s, true)" for name in settings)
        sql = f"SELECT {before}, {now}"
        is_callers = self.connection.in_atomic_block
        with self.atomic(), self.connection.cursor() as cursor:
            cursor.execute(sql, [*settings.values()])
            callers = cursor.fetchone()[: len(settings)]
            yield
            if is_callers:  # else the settings end with the transaction
                cursor.execute(sql, callers)

    def clock(self, now: datetime | None) -> datetime:
        if now is not None:
            return now
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT to_json(statement_timestamp())#>>'{}'")
            return datetime.fromisoformat(cursor.fetchone()[0])

    def patience(self) -> str | None:
        """Return how long a statement waits for a row; inside the caller's transaction that is the caller's matter."""
        return None if self.connection.in_atomic_block and not getattr(thread, "is_own", False) else PATIENCE
