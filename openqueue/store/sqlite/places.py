"""The outbox on SQLite: create, withdraw, requeue, fall due, announce."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from openqueue import limits
from openqueue.states import Kind, Reason, Status
from openqueue.store import wishes
from openqueue.store.base import Mark
from openqueue.store.ending import text
from openqueue.store.sqlite.rows import (
    ENDED,
    IF_OPEN,
    IN_JSON,
    INSERT_EVENT,
    INSERT_OUTBOX,
    INSERT_RUN,
    NOT_PAUSED,
    OPEN,
    Writing,
    ids,
)
from openqueue.types import Announcement, NewRun


class Places(Writing):
    """The verbs on outbox rows."""

    def create(
        self, runs: Sequence[NewRun], *, forced: bool = False, now: datetime | None = None
    ) -> dict[str, str]:
        moment = self.clock(now)
        at = text(moment)
        rows, events, places = [], [], []
        for r in runs:
            due = max(moment, r.run_at or moment + timedelta(seconds=r.delay))
            if r.schedule_id is not None:  # its tick, which is past
                due = r.run_at or moment
            due_at, ready, key = text(due), due <= moment, r.id.hex
            expires = None if r.ttl is None else text(due + timedelta(seconds=r.ttl))
            status = Status.WAITING if r.waiting else Status.QUEUED if ready else Status.SCHEDULED
            rows.append(
                (key, r.task_id, r.queue, r.runtime, status.value, r.priority, r.payload, r.meta, r.tags, r.options,
                 r.max_attempts, at, due_at, expires, r.traceparent, r.replay_of and r.replay_of.hex,
                 r.flow_id and r.flow_id.hex, r.dedupe_key, r.schedule_id, r.concurrency_key,
                 r.ordering_key)
            )  # fmt: skip
            events.append((key, 1, 0, Kind.TRIGGERED.value, None, "", None, at))
            if r.waiting:
                continue
            announce_at = text(due + timedelta(seconds=r.head_start)) if r.head_start else due_at
            waits_for, turn = limits.first(r.concurrency_key, r.ordering_key, priority=r.priority)
            places.append(
                (key, 1, 1, r.task_id, r.runtime, r.queue, r.priority, due_at, ready and waits_for is None, expires,
                 r.concurrency_key, announce_at, r.ordering_key, waits_for, turn)
            )  # fmt: skip
        doors = {r.queue for r in runs}
        names = json.dumps(sorted(doors))
        with self.writing() as cursor:
            if forced:
                cursor.executemany(INSERT_RUN, rows)
            else:
                cursor.executemany(INSERT_RUN + IF_OPEN, [(*row, names) for row in rows])
                if cursor.rowcount != len(rows):
                    return wishes.closed(self, doors)
            cursor.executemany(INSERT_EVENT, events)
            cursor.executemany(INSERT_OUTBOX, places)
        return {}

    def withdraw(
        self,
        places: Sequence[tuple[UUID, int | None]],
        *,
        status: Status,
        reason: Reason,
        kind: Kind,
        actor: str = "",
        error: str | None = None,
        data: str | None = None,
        now: datetime | None = None,
    ) -> list[UUID]:
        at = text(self.clock(now))
        seqs = json.dumps({run.hex: seq for run, seq in places})
        with self.writing() as cursor:
            cursor.execute(
                """
                DELETE FROM openqueue_outbox WHERE run_id IN (
                    SELECT o.run_id FROM json_each(%s) AS given JOIN openqueue_outbox AS o ON o.run_id = given.key
                    WHERE given.value IS NULL OR given.value = o.seq)
                RETURNING run_id
                """,
                [seqs],
            )
            taken = [row[0] for row in cursor.fetchall()]
            cursor.execute(
                f"""
                UPDATE openqueue_run
                SET status = %s, reason = %s, version = version + 1, outcome = %s, error = COALESCE(%s, error),
                    finished_at = %s
                WHERE id {IN_JSON} AND status IN {OPEN!r} RETURNING id, version, attempt
                """,
                [status.value, reason.value, status.value, error, at, json.dumps(taken)],
            )
            ended = cursor.fetchall()
            cursor.executemany(
                INSERT_EVENT,
                [
                    (run, version, attempt, kind.value, None, actor, data, at)
                    for run, version, attempt in ended
                ],
            )
        return [UUID(run) for run, _, _ in ended]

    def requeue(
        self, runs: Sequence[UUID], *, actor: str, head_start: float, now: datetime | None = None
    ) -> list[tuple[UUID, int, str, str]]:
        moment = self.clock(now)
        at, announce_at = text(moment), text(moment + timedelta(seconds=head_start))
        with self.writing() as cursor:
            cursor.execute(
                f"SELECT id, status, reason, error FROM openqueue_run WHERE id {IN_JSON} AND status IN {ENDED!r}",
                [ids(runs)],
            )
            before = {row[0]: row[1:] for row in cursor.fetchall()}
            cursor.execute(
                f"""
                UPDATE openqueue_run
                SET status = 'queued', reason = '', version = version + 1, cycle = cycle + 1, attempt = 0,
                    crash_count = 0, result = NULL, error = NULL, outcome = NULL, finished_at = NULL,
                    started_at = NULL, expires_at = NULL, scheduled_for = %s
                WHERE id {IN_JSON} RETURNING id, version, cycle, task_id, runtime, queue, priority,
                    concurrency_key, ordering_key
                """,
                [at, json.dumps(list(before))],
            )
            opened = cursor.fetchall()
            events, places = [], []
            for run, version, cycle, task, runtime, queue, priority, key, ordering in opened:
                status, reason, error = before[run]
                facts = {
                    "cycle": cycle,
                    "status": status,
                    "reason": reason,
                    "error": error and json.loads(error),
                }
                events.append((run, version, 0, Kind.REQUEUED.value, None, actor, json.dumps(facts), at))
                waits_for, turn = limits.first(key, ordering, priority=priority)
                places.append(
                    (run, version, 1, task, runtime, queue, priority, at, waits_for is None, None, key, announce_at,
                     ordering, waits_for, turn)
                )  # fmt: skip
            cursor.executemany(INSERT_EVENT, events)
            cursor.executemany(INSERT_OUTBOX, places)
        return [(UUID(row[0]), row[1], row[5], row[4]) for row in opened]

    def flip_ready(self, *, limit: int, now: datetime | None = None) -> list[tuple[str, str]]:
        at = text(self.clock(now))
        with self.connection.cursor() as cursor:  # read first: an idle system takes no write lock
            cursor.execute(
                "SELECT 1 FROM openqueue_outbox WHERE NOT ready AND waits_for IS NULL AND due_at <= %s LIMIT 1",
                [at],
            )
            if cursor.fetchone() is None:
                return []
        with self.writing() as cursor:
            cursor.execute(
                """
                UPDATE openqueue_outbox SET ready = 1 WHERE run_id IN (
                    SELECT run_id FROM openqueue_outbox WHERE NOT ready AND waits_for IS NULL AND due_at <= %s
                    ORDER BY due_at LIMIT %s)
                RETURNING queue, runtime
                """,
                [at, limit],
            )
            return [(queue, runtime) for queue, runtime in cursor.fetchall()]

    def lease_announcements(
        self, *, runtime: str, rooms: dict[str, int], now: datetime | None = None
    ) -> list[tuple[Announcement, bool, str | None]]:
        moment = self.clock(now)
        leased: list[tuple[Announcement, bool, str | None]] = []
        with self.writing() as cursor:
            for queue, room in rooms.items():
                cursor.execute(
                    f"""
                    SELECT run_id, seq, tries + 1, attempt, task_id, runtime, queue, priority, ordering_key,
                        tries + 1 - heard, announced_at IS NOT NULL, broker_ref
                    FROM openqueue_outbox o
                    WHERE ready AND runtime = %s AND queue = %s AND announce_at <= %s
                        AND (expires_at IS NULL OR expires_at > %s) AND {NOT_PAUSED}
                    ORDER BY priority DESC, due_at LIMIT %s
                    """,
                    [runtime, queue, text(moment), text(moment), room],
                )
                leased += [
                    (Announcement(UUID(row[0]), *row[1:10]), bool(row[10]), row[11])
                    for row in cursor.fetchall()
                ]
            cursor.executemany(
                "UPDATE openqueue_outbox SET tries = %s, announce_at = %s WHERE run_id = %s",
                [
                    (
                        a.tries,
                        text(moment + timedelta(seconds=min(900, 2 ** min(a.unheard - 1, 10)))),
                        a.run_id.hex,
                    )
                    for a, _, _ in leased
                ],
            )
        return leased

    def mark_announced(self, marks: Sequence[Mark], *, now: datetime | None = None) -> int:
        moment = self.clock(now)
        at = text(moment)
        with self.writing() as cursor:
            cursor.executemany(
                """
                UPDATE openqueue_outbox
                SET announced_at = CASE WHEN %s IS NULL THEN %s END, broker_ref = %s, last_error = %s,
                    announce_at = COALESCE(%s, announce_at)
                WHERE run_id = %s AND seq = %s AND tries = %s
                """,
                [
                    (error, at, ref, error, None if wait is None else text(moment + timedelta(seconds=wait)),
                     run.hex, seq, tries)
                    for run, seq, tries, ref, error, wait in marks
                ],
            )  # fmt: skip
            return int(cursor.rowcount)
