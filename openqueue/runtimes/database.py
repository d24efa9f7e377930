"""The database runtime: the outbox is the queue, so this only waits and wakes."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from select import POLLIN, poll
from socket import MSG_DONTWAIT, socketpair
from typing import Any, Final

from django.db import connections

from openqueue.conf import config
from openqueue.runtimes.base import Capabilities, Message, Published, QueueStats, Receipt, RuntimeHealth
from openqueue.types import Due

COALESCE: Final = 0.02
"""Seconds between notifications: NOTIFY takes a database-wide lock at commit."""
SHORTEST_POLL: Final = 0.02
LONGEST_POLL: Final = 0.2
READY: Final = "ready AND ready = true"
"""The first is what SQLite's partial index knows, the second what an index of MySQL does."""
LISTENING_POLL: Final = 1.0
"""Seconds between polls while notifications work; they may be lost, rows are not."""


class DatabaseRuntime:
    """Workers take due rows straight from the outbox. PostgreSQL wakes them by NOTIFY, others poll with back-off."""

    capabilities = Capabilities(priorities="native", queue_order=True, depth=True)
    carries_messages = False

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self.channel = f"openqueue_{alias}"
        self.last_woken = 0.0

    def declare(self, queues: Sequence[str]) -> None:
        """Do nothing: a queue is a word in a row."""

    def publish(self, messages: Sequence[Message]) -> Sequence[Published]:
        """Wake whoever waits for the queues of these runs. Called after commit, from the publisher's thread."""
        connection = connections[config.database]
        if connection.vendor == "postgresql" and messages:
            time.sleep(max(0.0, min(COALESCE, self.last_woken + COALESCE - time.monotonic())))
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_notify(%s, '')", [self.channel])
            self.last_woken = time.monotonic()
        return [Published()] * len(messages)

    def missing(self, messages: Sequence[Message], refs: Sequence[str | None]) -> Sequence[bool]:
        return [False] * len(messages)

    def consumer(self, queues: Sequence[str], *, prefetch: int) -> DatabaseConsumer:
        return DatabaseConsumer(self, queues)

    def inspect(self, queue: str) -> QueueStats:
        with connections[config.database].cursor() as cursor:
            cursor.execute(
                f"SELECT count(*) FROM openqueue_outbox WHERE {READY} AND runtime = %s AND queue = %s",  # noqa: S608
                [self.alias, queue],
            )
            return QueueStats(depth=cursor.fetchone()[0])

    def health(self) -> RuntimeHealth:
        return RuntimeHealth(ok=True, detail="carried by the project's database")

    def close(self) -> None:
        """Nothing is open."""


class DatabaseConsumer:
    """Waits until rows may be due: by LISTEN on PostgreSQL, else by polling that backs off when idle."""

    def __init__(self, runtime: DatabaseRuntime, queues: Sequence[str]) -> None:
        self.runtime = runtime
        self.queues = list(queues)
        self.closed_queues: set[str] = set()
        self.woken = threading.Event()
        self.bell, self.rope = socketpair()
        self.listening_on: Any = None
        self.idle_polls = 0

    def receive(self, *, limit: int, timeout: float, order: Sequence[str] | None = None) -> Due:
        """Wait ``timeout`` seconds at most (0: not at all), then name the queues to claim from."""
        if timeout > 0:
            if not self.wait(timeout):
                return Due(queues=[], limit=limit)
        else:
            self.idle_polls = 0
        return Due(queues=[q for q in order or self.queues if q not in self.closed_queues], limit=limit)

    def wait(self, timeout: float) -> bool:
        """Tell whether something may be due after it."""
        if self.woken.is_set():
            self.woken.clear()
            return True
        connection = connections[config.database]
        told = False
        if self.can_listen(connection):
            told = self.listen(connection, min(timeout, LISTENING_POLL))
        else:
            pause = min(LONGEST_POLL, SHORTEST_POLL * 2 ** min(self.idle_polls, 10))
            self.idle_polls += 1
            self.woken.wait(min(timeout, pause))
        self.woken.clear()
        with suppress(BlockingIOError):
            self.bell.recv(4096, MSG_DONTWAIT)
        return told or self.sees_a_row(connection)

    def sees_a_row(self, connection: Any) -> bool:
        """Look before a claim in vain: it costs three times this, SQLite's write lock, or a transaction of MariaDB."""
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT 1 FROM openqueue_outbox WHERE {READY} AND runtime = %s LIMIT 1",  # noqa: S608
                [self.runtime.alias],
            )
            return cursor.fetchone() is not None

    @staticmethod
    def can_listen(connection: Any) -> bool:
        if connection.vendor != "postgresql" or connection.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS"):
            return False  # behind PgBouncer in transaction mode, LISTEN hears nothing
        return hasattr(connection.Database, "Cursor")  # psycopg 3

    def listen(self, connection: Any, timeout: float) -> bool:
        """Tell whether it was notified, or called by `wake`, within these seconds."""
        connection.ensure_connection()
        raw = connection.connection
        if self.listening_on is not raw:
            raw.execute(f'LISTEN "{self.runtime.channel}"')
            self.listening_on = raw
            return True  # look once: what was notified before this LISTEN was not heard
        for _ in raw.notifies(timeout=0):  # heard during the last claim
            return True
        ready = poll()
        for end in (raw.fileno(), self.bell.fileno()):  # `wake` rings the bell
            ready.register(end, POLLIN)
        told = bool(ready.poll(timeout * 1000))
        for _ in raw.notifies(timeout=0):
            pass
        return told

    def ack(self, receipts: Sequence[Receipt]) -> None:
        """Do nothing: the claim was the acknowledgement."""

    def release(self, receipts: Sequence[Receipt]) -> None:
        """Do nothing: an unclaimed row is still there."""

    def reject(self, receipts: Sequence[Receipt], *, reason: str) -> None:
        """Do nothing: a row cannot be poison."""

    def pause(self, queues: Sequence[str]) -> None:
        self.closed_queues.update(queues)

    def resume(self, queues: Sequence[str]) -> None:
        self.closed_queues.difference_update(queues)

    def wake(self) -> None:
        self.woken.set()
        with suppress(OSError):  # closed, or rung so often that it cannot be missed
            self.rope.send(b"!", MSG_DONTWAIT)

    def close(self) -> None:
        self.bell.close()
        self.rope.close()
