"""The set-wise verbs on SQLite: a few statements in one BEGIN IMMEDIATE, whatever the size of the batch.

Identifiers are hexadecimal text and instants are naive UTC text there, as Django's fields write them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction

from openqueue.states import CLAIMABLE, FINAL, Kind, Reason, Status
from openqueue.store.base import BaseStore, Mark
from openqueue.types import (
    Announcement,
    Answer,
    Beat,
    Claimed,
    ClaimRequest,
    ClaimResult,
    Deferred,
    Held,
    NewRun,
    Outcome,
    Settled,
)

OPEN = tuple(sorted(status.value for status in CLAIMABLE))
ENDED = tuple(sorted(status.value for status in FINAL))
NOT_PAUSED = "NOT EXISTS (SELECT 1 FROM openqueue_queuestate s WHERE s.name = o.queue AND s.paused)"
IN_JSON = "IN (SELECT value FROM json_each(%s))"
INSERT_EVENT = """
    INSERT INTO openqueue_runevent (run_id, version, attempt, kind, token, actor, data, at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
"""
INSERT_OUTBOX = """
    INSERT INTO openqueue_outbox (run_id, seq, attempt, task_id, runtime, queue, priority, due_at, ready, expires_at,
        concurrency_key, announce_at, tries)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 0)
"""


class SQLiteStore(BaseStore):
    """SQLite 3.37 and later (UPDATE ... RETURNING); any number of processes, one writer at a time by design."""

    @contextmanager
    def writing(self) -> Iterator[Any]:
        """One transaction that takes the write lock first, so that it never fails half-way for a newer reader."""
        connection = self.connection
        if connection.in_atomic_block:
            with connection.cursor() as cursor:
                yield cursor
            return
        with transaction.atomic(using=self.alias), connection.cursor() as cursor:
            yield cursor

    def create(self, runs: Sequence[NewRun], *, now: datetime | None = None) -> None:
        moment = self.clock(now)
        at = text(moment)
        rows, events, places = [], [], []
        for r in runs:
            due = max(moment, r.run_at or moment + timedelta(seconds=r.delay))
            due_at, ready, key = text(due), due <= moment, r.id.hex
            expires = None if r.ttl is None else text(due + timedelta(seconds=r.ttl))
            status = Status.QUEUED if ready else Status.SCHEDULED
            rows.append(
                (key, r.task_id, r.queue, r.runtime, status.value, r.priority, r.payload, r.meta, r.tags, r.options,
                 r.max_attempts, at, due_at, expires, r.traceparent)
            )  # fmt: skip
            events.append((key, 1, 0, Kind.TRIGGERED.value, None, "", None, at))
            announce_at = text(due + timedelta(seconds=r.head_start)) if r.head_start else due_at
            places.append(
                (key, 1, 1, r.task_id, r.runtime, r.queue, r.priority, due_at, ready, expires, None, announce_at)
            )
        with self.writing() as cursor:
            cursor.executemany(
                """
                INSERT INTO openqueue_run (id, task_id, queue, runtime, status, reason, priority, payload, meta, tags,
                    options, attempt, max_attempts, crash_count, cycle, version, created_at, scheduled_for,
                    expires_at, traceparent)
                VALUES (%s, %s, %s, %s, %s, '', %s, %s, %s, %s, %s, 0, %s, 0, 1, 1, %s, %s, %s, %s)
                """,
                rows,
            )
            cursor.executemany(INSERT_EVENT, events)
            cursor.executemany(INSERT_OUTBOX, places)

    def claim_due(
        self, request: ClaimRequest, *, runtime: str, rooms: dict[str, int], limit: int, now: datetime | None = None
    ) -> ClaimResult:
        at = text(self.clock(now))
        tasks = json.dumps([task for task in request.known if task not in request.excluded])
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
                RETURNING run_id, seq, attempt, task_id, queue, concurrency_key, announced_at, broker_ref, priority, due_at
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
        known, free = set(request.known), set(request.known) - set(request.excluded)
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
                run, seq, task, ready, tries, paused = UUID(row[0]), row[1], row[3], row[8], row[9], row[10]
                if (run, seq) not in answers:
                    continue
                if not ready:
                    answers[run, seq] = "later"
                elif paused or task not in free:
                    why = "paused" if paused else "no_slot" if task in known else Reason.UNKNOWN_TASK.value
                    deferred.append(Deferred(run, seq, task, tries + 1, why))
                    answers[run, seq] = "deferred"
                else:
                    mine.append(row[:8])
                    answers[run, seq] = "claimed"
            if deferred:
                self.defer(cursor, deferred, moment=moment)
            cursor.execute(f"DELETE FROM openqueue_outbox WHERE run_id {IN_JSON}", [json.dumps([r[0] for r in mine])])
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
            INSERT INTO openqueue_claim (run_id, seq, attempt, task_id, queue, concurrency_key, worker_id, token, claimed_at)
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

    def settle(self, outcomes: Sequence[Outcome], *, now: datetime | None = None) -> list[Settled]:
        moment = self.clock(now)
        given = {(o.run_id.hex, o.token.hex): o for o in outcomes}
        settled, changes, events, places = [], [], [], []
        with self.writing() as cursor:
            cursor.execute(
                f"""
                DELETE FROM openqueue_claim WHERE run_id {IN_JSON} AND token {IN_JSON}
                RETURNING run_id, token, attempt, task_id, concurrency_key, cancel_requested_at, cancel_requested_by
                """,
                [json.dumps([run for run, _ in given]), json.dumps(sorted({token for _, token in given}))],
            )
            fenced = cursor.fetchall()
            cursor.execute(
                f"SELECT id, version, queue, runtime, priority, expires_at FROM openqueue_run WHERE id {IN_JSON}",
                [json.dumps([row[0] for row in fenced])],
            )
            runs = {row[0]: row[1:] for row in cursor.fetchall()}
            for run, token, attempt, task, key, asked, by in fenced:
                if run not in runs:
                    continue
                version, queue, runtime, priority, expires = runs[run]
                end = Ending(given[run, token], cancelled=asked is not None, actor=by or "", moment=moment)
                version += 1
                changes.append(end.change(attempt=attempt, version=version, run=run))
                events.append(
                    (run, version, attempt, end.kind.value, token if end.outcome.own else None, end.actor, end.data,
                     text(moment))
                )  # fmt: skip
                if end.again:
                    due, following = text(end.due), attempt if end.released else attempt + 1
                    keeps = end.released and end.outcome.age is None and attempt == 1
                    places.append(
                        (run, version, following, task, runtime, queue, priority, due, end.due <= moment,
                         stamp(expires) if keeps else None, key, due)
                    )  # fmt: skip
                settled.append(Settled(UUID(run), UUID(token), end.status))
            cursor.executemany(
                """
                UPDATE openqueue_run
                SET status = %s, reason = %s, version = %s, result = %s,
                    error = COALESCE(%s, CASE WHEN %s <> 'completed' THEN error END), attempt = %s,
                    crash_count = crash_count + %s, started_at = COALESCE(%s, started_at), outcome = %s,
                    finished_at = %s
                WHERE id = %s
                """,
                changes,
            )
            cursor.executemany(INSERT_EVENT, events)
            if places:
                cursor.executemany(INSERT_OUTBOX, places)
        return settled

    def beat(self, worker_id: UUID, *, lease: float, busy: int, state: str, now: datetime | None = None) -> Beat:
        until = text(self.clock(now) + timedelta(seconds=lease))
        with self.writing() as cursor:
            cursor.execute(
                """
                UPDATE openqueue_worker SET lease_until = %s, busy = %s, state = %s
                WHERE id = %s AND state IN ('running', 'stopping') RETURNING command
                """,
                [until, busy, state, worker_id.hex],
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
                [(run, version, attempt, kind.value, None, actor, data, at) for run, version, attempt in ended],
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
                WHERE id {IN_JSON} RETURNING id, version, cycle, task_id, runtime, queue, priority
                """,
                [at, json.dumps(list(before))],
            )
            opened = cursor.fetchall()
            events, places = [], []
            for run, version, cycle, task, runtime, queue, priority in opened:
                status, reason, error = before[run]
                facts = {"cycle": cycle, "status": status, "reason": reason, "error": error and json.loads(error)}
                events.append((run, version, 0, Kind.REQUEUED.value, None, actor, json.dumps(facts), at))
                places.append((run, version, 1, task, runtime, queue, priority, at, True, None, None, announce_at))
            cursor.executemany(INSERT_EVENT, events)
            cursor.executemany(INSERT_OUTBOX, places)
        return [(UUID(row[0]), row[1], row[5], row[4]) for row in opened]

    def flip_ready(self, *, limit: int, now: datetime | None = None) -> list[tuple[str, str]]:
        at = text(self.clock(now))
        with self.connection.cursor() as cursor:  # read first: an idle system takes no write lock
            cursor.execute("SELECT 1 FROM openqueue_outbox WHERE NOT ready AND due_at <= %s LIMIT 1", [at])
            if cursor.fetchone() is None:
                return []
        with self.writing() as cursor:
            cursor.execute(
                """
                UPDATE openqueue_outbox SET ready = 1 WHERE run_id IN (
                    SELECT run_id FROM openqueue_outbox WHERE NOT ready AND due_at <= %s ORDER BY due_at LIMIT %s)
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
                    SELECT run_id, seq, tries + 1, attempt, task_id, runtime, queue, priority,
                        announced_at IS NOT NULL, broker_ref
                    FROM openqueue_outbox o
                    WHERE ready AND runtime = %s AND queue = %s AND announce_at <= %s
                        AND (expires_at IS NULL OR expires_at > %s) AND {NOT_PAUSED}
                    ORDER BY priority DESC, due_at LIMIT %s
                    """,
                    [runtime, queue, text(moment), text(moment), room],
                )
                leased += [
                    (Announcement(UUID(row[0]), *row[1:8]), bool(row[8]), row[9]) for row in cursor.fetchall()
                ]
            cursor.executemany(
                "UPDATE openqueue_outbox SET tries = %s, announce_at = %s WHERE run_id = %s",
                [
                    (a.tries, text(moment + timedelta(seconds=min(900, 2 ** min(a.tries - 1, 10)))), a.run_id.hex)
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


class Ending:
    """What one outcome makes of its run: the same rules as settle.sql says them."""

    __slots__ = ("actor", "again", "data", "due", "kind", "moment", "outcome", "reason", "released", "status")

    def __init__(self, outcome: Outcome, *, cancelled: bool, actor: str, moment: datetime) -> None:
        cancelled = cancelled and outcome.status in {Status.RETRYING, Status.QUEUED}
        self.outcome, self.moment = outcome, moment
        self.status = Status.CANCELLED if cancelled else outcome.status
        self.reason = Reason.BY_USER if cancelled else outcome.reason
        self.kind = Kind.CANCELLED if cancelled else outcome.kind
        self.actor = actor if cancelled else ""
        self.due = moment + timedelta(seconds=outcome.delay)
        self.released = outcome.kind == Kind.RELEASED
        self.again = self.status in {Status.RETRYING, Status.QUEUED}
        self.data = outcome.data
        if self.status == Status.RETRYING and outcome.data:
            self.data = f'{outcome.data[:-1]},"next_run_at":"{self.due.isoformat()}"}}'

    def change(self, *, attempt: int, version: int, run: str) -> tuple[Any, ...]:
        age, error, status = self.outcome.age, self.outcome.error, self.status.value
        number = attempt - 1 if self.released and self.again else attempt
        crashes = int(self.outcome.reason == Reason.WORKER_LOST)
        begun = None if age is None else text(self.moment - timedelta(seconds=age))
        outcome, finished = (None, None) if self.again else (status, text(self.moment))
        return (status, self.reason.value, version, self.outcome.result, error, status, number, crashes, begun,
                outcome, finished, run)  # fmt: skip


def text(moment: datetime) -> str:
    """Write an instant as the column holds it."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


def stamp(value: Any) -> Any:
    """Give an instant that came back from a column as that column holds it."""
    return value.isoformat(" ", "microseconds") if isinstance(value, datetime) else value


def ids(runs: Iterable[UUID]) -> str:
    return json.dumps([run.hex for run in runs])
