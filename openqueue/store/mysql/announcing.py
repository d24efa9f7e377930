"""The sweeps over the outbox: rows that fall due, announcements and their marks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from openqueue.store.base import Mark
from openqueue.store.mysql.rows import Writing, microseconds, moment_sql
from openqueue.store.statements import statement
from openqueue.types import Announcement


class Announcing(Writing):
    """flip_ready, lease_announcements, mark_announced."""

    def flip_ready(self, *, limit: int, now: datetime | None = None) -> list[tuple[str, str]]:
        due = f"ready = 0 AND waits_for IS NULL AND due_at <= {moment_sql(now)}"
        with self.connection.cursor() as cursor:  # asked all the time: look before a transaction is begun
            cursor.execute(
                f"SELECT 1 FROM openqueue_outbox FORCE INDEX (openqueue_outbox_later) WHERE {due} LIMIT 1"
            )
            if cursor.fetchone() is None:
                return []
        with self.writing() as cursor:
            cursor.execute(
                f"""
                SELECT run_id, queue, runtime FROM openqueue_outbox FORCE INDEX (openqueue_outbox_later)
                WHERE {due} ORDER BY due_at LIMIT %s FOR UPDATE SKIP LOCKED
                """,
                [limit],
            )
            rows = cursor.fetchall()
            if rows:
                cursor.execute(
                    "UPDATE openqueue_outbox FORCE INDEX (PRIMARY) SET ready = 1 WHERE run_id IN %s",
                    [[row[0] for row in rows]],
                )
        return [(queue, runtime) for _, queue, runtime in rows]

    def outbox_queues(self, *, runtime: str) -> list[str]:
        found: list[str] = []
        with self.connection.cursor() as cursor:
            while True:
                cursor.execute(statement("mysql", "next_queue"), [runtime, found[-1] if found else ""])
                row = cursor.fetchone()
                if row is None:
                    return found
                found.append(row[0])

    def lease_announcements(
        self, *, runtime: str, rooms: dict[str, int], now: datetime | None = None
    ) -> list[tuple[Announcement, bool, str | None]]:
        if not rooms:
            return []
        clock = moment_sql(now)
        branch = statement("mysql", "announce_branch").replace("CLOCK", clock)
        parameters: list[Any] = []
        for queue, room in rooms.items():
            parameters += [runtime, queue, queue, room]
        with self.writing() as cursor:
            cursor.execute(
                f"{' UNION ALL '.join([branch] * len(rooms))} ORDER BY priority DESC, due_at", parameters
            )
            rows = cursor.fetchall()
            if rows:
                cursor.execute(
                    f"""
                    UPDATE openqueue_outbox FORCE INDEX (PRIMARY)
                    SET announce_at = {clock} + INTERVAL LEAST(900, POW(2, LEAST(tries - heard, 10))) SECOND,
                        tries = tries + 1
                    WHERE run_id IN %s
                    """,  # assigned from left to right: tries comes last
                    [[row[0] for row in rows]],
                )
        return [(Announcement(UUID(row[0]), *row[1:10]), bool(row[10]), row[11]) for row in rows]

    def mark_announced(self, marks: Sequence[Mark], *, now: datetime | None = None) -> int:
        given = [
            [run.hex, seq, tries, ref, error, None if wait is None else microseconds(wait)]
            for run, seq, tries, ref, error, wait in sorted(marks, key=lambda mark: mark[0].int)
        ]
        with self.writing() as cursor:
            cursor.execute(
                statement("mysql", "mark_announced").replace("CLOCK", moment_sql(now)),
                [json.dumps(given, ensure_ascii=False)],
            )
            return int(cursor.rowcount)
