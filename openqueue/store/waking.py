"""Hearing of the end of runs: one question for all that a process waits for, and PostgreSQL's notifications.

NOTIFY takes a lock of the whole server at commit, so it is sent only while somebody listens. That somebody does is told
by an advisory lock: who waits holds it, and whoever has settled runs tries to share it (docs: decisions/0030).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from select import POLLIN, poll
from socket import MSG_DONTWAIT, socketpair
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from openqueue.models import Run

if TYPE_CHECKING:
    from openqueue.store import Store

CHANNEL: Final = "openqueue_ended"
LOCK: Final = 7_815_696_118_377_637_743
"""The number of the advisory lock: a 64-bit constant that nobody else uses by chance."""
TELL: Final = f"""
    SELECT CASE WHEN NOT pg_try_advisory_xact_lock_shared({LOCK}) THEN pg_notify('{CHANNEL}', '') END
"""


def ended(store: Store, runs: Sequence[UUID]) -> set[UUID]:
    """Return those of these runs that have ended, or are not there."""
    live = Run.objects.using(store.alias).filter(pk__in=runs, outcome=None).values_list("pk", flat=True)
    return set(runs) - set(live)


def tell(store: Store) -> None:
    """Wake whoever waits for the end of runs, after some have ended; does nothing where nobody can be told."""
    connection = store.connection
    if connection.vendor == "postgresql" and not connection.in_atomic_block:
        with connection.cursor() as cursor:
            cursor.execute(TELL)


def can_listen(connection: Any) -> bool:
    """Tell whether this connection hears notifications: not behind PgBouncer in transaction mode."""
    if connection.vendor != "postgresql" or connection.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS"):
        return False
    return hasattr(connection.Database, "Cursor")  # psycopg 3


class Bell:
    """Waits until it is rung, from any thread, or until the database notifies."""

    def __init__(self) -> None:
        self.bell, self.rope = socketpair()
        self.listening_on: Any = None
        self.is_told = False
        """Whoever settles knows that this process waits."""

    def listen(self, connection: Any) -> None:
        """Have this thread's connection hear of ends, where it can."""
        if not can_listen(connection):
            return
        connection.ensure_connection()
        raw = connection.connection
        with connection.wrap_database_errors:
            if self.listening_on is not raw:
                raw.execute(f'LISTEN "{CHANNEL}"')
                self.listening_on, self.is_told = raw, False
            if (
                not self.is_told
            ):  # the lock is held by one of all processes that wait; the others hear as well
                self.is_told = bool(raw.execute(f"SELECT pg_try_advisory_lock({LOCK})").fetchone()[0])

    def wait(self, timeout: float) -> None:
        """Wait so many seconds at most."""
        doors = poll()
        doors.register(self.bell.fileno(), POLLIN)
        if self.listening_on is not None:
            doors.register(self.listening_on.fileno(), POLLIN)
        doors.poll(timeout * 1000)
        with suppress(BlockingIOError):
            self.bell.recv(4096, MSG_DONTWAIT)
        if self.listening_on is not None:
            for _ in self.listening_on.notifies(timeout=0):
                pass

    def ring(self) -> None:
        """End the wait."""
        with suppress(OSError):  # closed, or rung so often that it cannot be missed
            self.rope.send(b"!", MSG_DONTWAIT)

    def close(self) -> None:
        """Close it."""
        self.bell.close()
        self.rope.close()
