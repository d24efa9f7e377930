"""Claims on SQLite: take outbox rows, label their runs, insert claims and events."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from openqueue.states import Kind
from openqueue.store.ending import text
from openqueue.store.messages import Found, judge
from openqueue.store.sqlite.rows import IN_JSON, NOT_PAUSED, OPEN, Writing, ids, stamp
from openqueue.types import Answer, Claimed, ClaimRequest, ClaimResult, Deferred

START_VIEW: Final = """
    CREATE TEMP VIEW IF NOT EXISTS openqueue_start AS
    SELECT c.run_id, c.seq, c.attempt, c.task_id, c.queue, c.concurrency_key, c.worker_id, c.token, c.claimed_at,
        e.version, e.data
    FROM openqueue_claim c JOIN openqueue_runevent e ON e.run_id = c.run_id
"""
START_TRIGGER: Final = f"""
    CREATE TEMP TRIGGER IF NOT EXISTS openqueue_start_insert INSTEAD OF INSERT ON openqueue_start BEGIN
        INSERT INTO openqueue_claim (run_id, seq, attempt, task_id, queue, concurrency_key, worker_id, token,
            claimed_at)
        VALUES (NEW.run_id, NEW.seq, NEW.attempt, NEW.task_id, NEW.queue, NEW.concurrency_key, NEW.worker_id,
            NEW.token, NEW.claimed_at);
        INSERT INTO openqueue_runevent (run_id, version, attempt, kind, token, actor, data, at)
        VALUES (NEW.run_id, NEW.version, NEW.attempt, '{Kind.STARTED.value}', NULL, '', NEW.data, NEW.claimed_at);
    END
"""
"""A claim and its event are one row to insert: a view of this connection alone, gone with it (decisions/0005)."""
thread = threading.local()


class Claims(Writing):
    """claim_due and claim_named."""

    def claim_due(
        self,
        request: ClaimRequest,
        *,
        runtime: str,
        rooms: dict[str, int],
        limit: int,
        now: datetime | None = None,
    ) -> ClaimResult:
        at = text(self.clock(now))
        tasks = json.dumps(request.free)
        branches, parameters = [], []
        places = {queue: place if request.in_order else 0 for place, queue in enumerate(rooms)}
        for queue, room in rooms.items():
            branches.append(
                f"""
                SELECT * FROM (
                    SELECT run_id, priority, due_at, task_id, %s AS place FROM openqueue_outbox o
                    WHERE ready AND runtime = %s AND queue = %s AND (announce_at <= %s OR %s)
                        AND (expires_at IS NULL OR expires_at > %s) AND task_id {IN_JSON} AND {NOT_PAUSED}
                    ORDER BY priority DESC, due_at LIMIT %s)
                """
            )
            parameters += [places[queue], runtime, queue, at, request.announced, at, tasks, room]
        self.make_start_view()
        with self.writing() as cursor:
            cursor.execute(
                f"""
                DELETE FROM openqueue_outbox WHERE run_id IN (
                    SELECT run_id FROM (
                        SELECT *, row_number() OVER (PARTITION BY task_id ORDER BY place, priority DESC, due_at) AS nth
                        FROM ({" UNION ALL ".join(branches)}))
                    LEFT JOIN json_each(%s) AS limited ON limited.key = task_id
                    WHERE limited.value IS NULL OR nth <= limited.value
                    ORDER BY place, priority DESC, due_at LIMIT %s)
                RETURNING run_id, seq, attempt, task_id, queue, concurrency_key, announced_at, broker_ref,
                    priority, due_at
                """,
                [*parameters, json.dumps(dict(request.task_rooms)), limit],
            )
            taken = sorted(cursor.fetchall(), key=lambda row: (places[row[4]], -row[8], row[9]))
            return self.hold(cursor, request, [row[:8] for row in taken], at=at)

    def claim_named(
        self,
        request: ClaimRequest,
        *,
        announcements: Sequence[tuple[UUID, int]],
        nowait: bool = False,
        now: datetime | None = None,
    ) -> ClaimResult:
        moment = self.clock(now)
        at = text(moment)
        asked = sorted(set(announcements))
        answers: dict[tuple[UUID, int], Answer] = dict.fromkeys(asked, "gone")
        self.make_start_view()
        with self.writing() as cursor:
            cursor.execute(
                f"""
                SELECT run_id, seq, attempt, task_id, queue, concurrency_key, announced_at, broker_ref,
                    ready OR due_at <= %s, waits_for, tries - heard, NOT {NOT_PAUSED}
                FROM openqueue_outbox o
                WHERE run_id {IN_JSON} AND (expires_at IS NULL OR expires_at > %s)
                """,
                [at, ids(run for run, _ in asked), at],
            )
            found = (
                Found(UUID(row[0]), row[1], row[3], row[4], row[8], row[9], row[10], row[11], row[:8])
                for row in cursor.fetchall()
            )
            mine, deferred, early = judge(found, request, answers=answers)
            if deferred:
                self.defer(cursor, deferred, moment=moment)
            if early:
                cursor.execute(
                    f"""
                    UPDATE openqueue_outbox SET announced_at = NULL, broker_ref = NULL, heard = tries + 1,
                        tries = tries + 1
                    WHERE run_id {IN_JSON}
                    """,
                    [ids(early)],
                )
            cursor.execute(
                f"DELETE FROM openqueue_outbox WHERE run_id {IN_JSON}", [json.dumps([r[0] for r in mine])]
            )
            result = self.hold(cursor, request, mine, at=at)
        for run in result.inconsistent:
            answers.update({key: "gone" for key in asked if key[0] == run})
        return ClaimResult(
            claimed=result.claimed, deferred=deferred, inconsistent=result.inconsistent, answers=answers
        )

    def defer(self, cursor: Any, rows: Sequence[Deferred], *, moment: datetime) -> None:
        waits = [min(900, 2 ** min(d.unheard - 1, 10)) if d.unheard else 1 for d in rows]
        cursor.executemany(
            """
            UPDATE openqueue_outbox
            SET announce_at = %s, announced_at = NULL, broker_ref = NULL, heard = tries + 1 - %s, tries = tries + 1,
                last_error = %s
            WHERE run_id = %s
            """,
            [
                (text(moment + timedelta(seconds=wait)), d.unheard, d.why, d.run_id.hex)
                for d, wait in zip(rows, waits, strict=True)
            ],
        )

    def hold(self, cursor: Any, request: ClaimRequest, taken: Sequence[Any], *, at: str) -> ClaimResult:
        """Label the runs of deleted outbox rows, insert their claims and events."""
        if not taken:
            return ClaimResult()
        worker, token = request.worker_id.hex, request.token.hex
        attempts = json.dumps({row[0]: row[2] for row in taken})
        cursor.execute(
            f"""
            UPDATE openqueue_run
            SET status = 'running', reason = '', attempt = given.value, version = version + 1, worker_id = %s,
                started_at = %s
            FROM json_each(%s) AS given
            WHERE openqueue_run.id = given.key AND status IN {OPEN!r}
            RETURNING openqueue_run.id, version, payload, max_attempts, crash_count, meta, options, traceparent,
                flow_id, dedupe_key
            """,
            [worker, at, attempts],
        )
        labelled = {row[0]: row[1:] for row in cursor.fetchall()}
        mine = [row for row in taken if row[0] in labelled]
        who = str(request.worker_id)
        cursor.executemany(
            """
            INSERT INTO openqueue_start (run_id, seq, attempt, task_id, queue, concurrency_key, worker_id, token,
                claimed_at, version, data)
            VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
            """,
            [
                (*row[:6], worker, token, at, labelled[row[0]][0],
                 json.dumps({"worker": who, "announced_at": stamp(row[6]), "broker_ref": row[7]}))
                for row in mine
            ],
        )  # fmt: skip
        return ClaimResult(
            claimed=[
                Claimed._make(
                    [
                        UUID(row[0]),
                        request.token,
                        request.worker_id,
                        *row[1:5],
                        *facts,
                        flow and UUID(flow),
                        key,
                    ]
                )
                for row in mine
                for _, *facts, flow, key in [labelled[row[0]]]
            ],
            inconsistent=[UUID(row[0]) for row in taken if row[0] not in labelled],
        )

    def make_start_view(self) -> None:
        """Make this connection's view, unless it has it; what is made inside a transaction may be rolled back."""
        connection = self.connection
        connection.ensure_connection()
        raw = connection.connection
        if getattr(thread, "viewed", None) is raw:
            return
        raw.execute(START_VIEW)
        raw.execute(START_TRIGGER)
        if not connection.in_atomic_block:
            thread.viewed = raw
