"""The set-wise verbs on MariaDB and MySQL: a few statements in one transaction, whatever the size of the batch."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from openqueue.store.memory import columns
from openqueue.store.mysql.announcing import Announcing
from openqueue.store.mysql.claims import Claims
from openqueue.store.mysql.keys import Keys
from openqueue.store.mysql.places import Places
from openqueue.store.mysql.rows import moment_sql
from openqueue.store.mysql.settling import Settling
from openqueue.types import Beat, Held, Memory


class MySQLStore(Claims, Settling, Places, Announcing, Keys):
    """MariaDB 10.11 and later, and MySQL 8.0.19 and later, with InnoDB."""

    def beat(
        self, worker_id: UUID, *, lease: float, busy: int, state: str, memory: Memory | None = None,
        now: datetime | None = None,
    ) -> Beat:  # fmt: skip
        resident, history = columns(memory)
        with self.connection.cursor() as cursor:
            cursor.execute(
                f"""
                UPDATE openqueue_worker
                SET lease_until = {moment_sql(now)} + INTERVAL %s MICROSECOND, busy = %s, state = %s,
                    memory = COALESCE(%s, memory), memories = COALESCE(%s, memories)
                WHERE id = %s AND state IN ('running', 'stopping')
                """,
                [
                    timedelta(seconds=lease) // timedelta(microseconds=1),
                    busy,
                    state,
                    resident,
                    history,
                    worker_id.hex,
                ],
            )
            if not cursor.rowcount:
                return Beat(alive=False)
            cursor.execute(
                """
                SELECT w.command, c.run_id, c.token, c.cancel_requested_at IS NOT NULL
                FROM openqueue_worker AS w
                LEFT JOIN openqueue_claim AS c ON c.worker_id = w.id
                WHERE w.id = %s
                """,
                [worker_id.hex],
            )
            rows = cursor.fetchall()
        held = [Held(UUID(run), UUID(token), bool(asked)) for _, run, token, asked in rows if run is not None]
        return Beat(alive=True, command=rows[0][0], held=held)
