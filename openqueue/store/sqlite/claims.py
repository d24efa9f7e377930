"""Claims on SQLite: take outbox rows, label their runs, insert claims and events."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from openqueue.states import Kind, Reason
from openqueue.store.sqlite.rows import IN_JSON, INSERT_EVENT, NOT_PAUSED, OPEN, Writing, ids, stamp, text
from openqueue.types import Answer, Claimed, ClaimRequest, ClaimResult, Deferred


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
        for queue, room in rooms.items():
            branches.append(
                f"""
                SELECT * FROM (
                    SELECT run_id, priority, due_at FROM openqueue_outbox o
                    WHERE ready AND runtime = %s AND queue = %s AND announce_at <= %s
                        AND (expires_at IS NULL OR expires_at > %s) AND task_id {IN_JSON} AND {NOT_PAUSED}
                    ORDER BY priority DESC, due_at LIMIT %s)
                """
            )
            parameters += [runtime, queue, at, at, tasks, room]
        with self.writing() as cursor:
            cursor.execute(
                f"""
                DELETE FROM openqueue_outbox WHERE run_id IN (
                    SELECT run_id FROM ({" UNION ALL ".join(branches)}) ORDER BY priority DESC, due_at LIMIT %s)
                RETURNING run_id, seq, attempt, task_id, queue, concurrency_key, announced_at, broker_ref,
                    priority, due_at
                """,
                [*parameters, limit],
            )
            taken = sorted(cursor.fetchall(), key=lambda row: (-row[8], row[9]))
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
        known, rooms = set(request.known), dict(request.task_rooms)
        queue_rooms = dict(request.queue_rooms)
        with self.writing() as cursor:
            cursor.execute(
                f"""
                SELECT run_id, seq, attempt, task_id, queue, concurrency_key, announced_at, broker_ref, ready, tries,
                    NOT {NOT_PAUSED}
                FROM openqueue_outbox o
                WHERE run_id {IN_JSON} AND (expires_at IS NULL OR expires_at > %s)
                """,
                [ids(run for run, _ in asked), at],
            )
            mine, deferred = [], []
            for row in cursor.fetchall():
                run, seq, task, queue = UUID(row[0]), row[1], row[3], row[4]
                ready, tries, paused = row[8], row[9], row[10]
                if (run, seq) not in answers:
                    continue
                if not ready:
                    answers[run, seq] = "later"
                elif paused or task not in known or min(rooms.get(task, 1), queue_rooms.get(queue, 1)) <= 0:
                    why = "paused" if paused else "no_slot" if task in known else Reason.UNKNOWN_TASK.value
                    deferred.append(Deferred(run, seq, task, tries + 1, why))
                    answers[run, seq] = "deferred"
                else:
                    mine.append(row[:8])
                    for left, name in ((rooms, task), (queue_rooms, queue)):
                        if name in left:
                            left[name] -= 1
                    answers[run, seq] = "claimed"
            if deferred:
                self.defer(cursor, deferred, moment=moment)
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
        waits = [min(900, 2 ** min(d.tries - 1, 10)) if d.why == Reason.UNKNOWN_TASK else 1 for d in rows]
        cursor.executemany(
            """
            UPDATE openqueue_outbox SET announce_at = %s, announced_at = NULL, tries = %s, last_error = %s
            WHERE run_id = %s
            """,
            [
                (text(moment + timedelta(seconds=wait)), d.tries, d.why, d.run_id.hex)
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
            RETURNING openqueue_run.id, version, payload, max_attempts, crash_count, meta, options, traceparent
            """,
            [worker, at, attempts],
        )
        labelled = {row[0]: row[1:] for row in cursor.fetchall()}
        mine = [row for row in taken if row[0] in labelled]
        cursor.executemany(
            """
            INSERT INTO openqueue_claim (run_id, seq, attempt, task_id, queue, concurrency_key, worker_id, token,
                claimed_at)
            VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
            """,
            [(*row[:6], worker, token, at) for row in mine],
        )
        who = str(request.worker_id)
        cursor.executemany(
            INSERT_EVENT,
            [
                (row[0], labelled[row[0]][0], row[2], Kind.STARTED.value, None, "",
                 json.dumps({"worker": who, "announced_at": stamp(row[6]), "broker_ref": row[7]}), at)
                for row in mine
            ],
        )  # fmt: skip
        return ClaimResult(
            claimed=[
                Claimed(UUID(row[0]), request.token, request.worker_id, *row[1:5], *labelled[row[0]][1:])
                for row in mine
            ],
            inconsistent=[UUID(row[0]) for row in taken if row[0] not in labelled],
        )
