"""The set-wise verbs on SQLite: a few statements in one BEGIN IMMEDIATE, whatever the size of the batch."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from openqueue.store.ending import text
from openqueue.store.memory import columns
from openqueue.store.sqlite.claims import Claims
from openqueue.store.sqlite.keys import Keys
from openqueue.store.sqlite.places import Places
from openqueue.store.sqlite.settling import Settling
from openqueue.types import Beat, Held, Memory


class SQLiteStore(Claims, Settling, Places, Keys):
    """SQLite 3.37 and later (RETURNING); any number of processes, one writer at a time by design."""

    def beat(
        self, worker_id: UUID, *, lease: float, busy: int, state: str, memory: Memory | None = None,
        now: datetime | None = None,
    ) -> Beat:  # fmt: skip
        resident, history = columns(memory)
        until = text(self.clock(now) + timedelta(seconds=lease))
        with self.writing() as cursor:
            cursor.execute(
                """
                UPDATE openqueue_worker SET lease_until = %s, busy = %s, state = %s,
                    memory = COALESCE(%s, memory), memories = COALESCE(%s, memories)
                WHERE id = %s AND state IN ('running', 'stopping') RETURNING command
                """,
                [until, busy, state, resident, history, worker_id.hex],
            )
            row = cursor.fetchone()
            if row is None:
                return Beat(alive=False)
            cursor.execute(
                "SELECT run_id, token, cancel_requested_at IS NOT NULL FROM openqueue_claim WHERE worker_id = %s",
                [worker_id.hex],
            )
            held = [Held(UUID(run), UUID(token), bool(asked)) for run, token, asked in cursor.fetchall()]
        return Beat(alive=True, command=row[0], held=held)
