"""The set-wise verbs on PostgreSQL: one statement each, its plan prepared once a connection."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import psycopg

from openqueue.states import Kind, Reason, Status
from openqueue.store.base import LOCK_TIMEOUT, BaseStore, Mark
from openqueue.store.statements import statement
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

PREPARED: Final = frozenset(
    {"create", "create_one", "claim_due", "claim_named", "settle", "heartbeat", "flip_ready"}
)
"""The statements that run all the time. The others are planned each time, for the tables as they are then."""
PINS: Final = "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off"
"""A plan made while the tables were small would read them from end to end when they are large."""
COLUMNS: Final = Outcome._fields.index("attempt")
"""What settle.sql takes of an outcome."""
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


class PostgreSQLStore(BaseStore):
    """PostgreSQL 15 and later."""

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
            connection.connection.execute(PINS)
            thread.pinned = connection.connection
        raw = PreparedCursor(connection.connection)
        return connection.make_debug_cursor(raw) if connection.queries_logged else connection.make_cursor(raw)

    def clock(self, now: datetime | None) -> datetime:
        if now is not None:
            return now
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT to_json(statement_timestamp())#>>'{}'")
            return datetime.fromisoformat(cursor.fetchone()[0])

    def create(self, runs: Sequence[NewRun], *, now: datetime | None = None) -> None:
        if len(runs) == 1:
            return self.create_one(runs[0], now=now)
        self.run(
            "create",
            {
                "ids": [r.id for r in runs],
                "task_ids": [r.task_id for r in runs],
                "queues": [r.queue for r in runs],
                "runtimes": [r.runtime for r in runs],
                "priorities": [r.priority for r in runs],
                "payloads": [r.payload for r in runs],
                "max_attempts": [r.max_attempts for r in runs],
                "metas": [r.meta for r in runs],
                "tags": [r.tags for r in runs],
                "options": [r.options for r in runs],
                "traceparents": [r.traceparent for r in runs],
                "delays": [r.delay for r in runs],
                "moments": [r.run_at for r in runs],
                "ttls": [r.ttl for r in runs],
                "head_starts": [r.head_start for r in runs],
                "now": now,
            },
        )
        return None

    def create_one(self, run: NewRun, *, now: datetime | None = None) -> None:
        self.run(
            "create_one",
            {
                "id": run.id,
                "task_id": run.task_id,
                "queue": run.queue,
                "runtime": run.runtime,
                "priority": run.priority,
                "payload": run.payload,
                "max_attempts": run.max_attempts,
                "meta": run.meta,
                "tags": run.tags,
                "options": run.options,
                "traceparent": run.traceparent,
                "delay": run.delay,
                "moment": run.run_at,
                "ttl": run.ttl,
                "head_start": run.head_start,
                "now": now,
            },
        )

    def claim_due(
        self,
        request: ClaimRequest,
        *,
        runtime: str,
        rooms: dict[str, int],
        limit: int,
        now: datetime | None = None,
    ) -> ClaimResult:
        rows = self.run(
            "claim_due",
            {
                "runtime": runtime,
                "queues": list(rooms),
                "rooms": list(rooms.values()),
                "room": limit,
                "tasks": request.free,
                "worker": request.worker_id,
                "token": request.token,
                "now": now,
            },
        )
        mine = [claimed(request, row) for row in rows if row[0] is not None]
        taken = [row[5] for row in rows if row[0] is None]
        return ClaimResult(claimed=mine, inconsistent=without_run(taken, mine))

    def claim_named(
        self,
        request: ClaimRequest,
        *,
        announcements: Sequence[tuple[UUID, int]],
        nowait: bool = False,
        now: datetime | None = None,
    ) -> ClaimResult:
        asked = sorted(set(announcements))
        patience = 1 if nowait else int(LOCK_TIMEOUT.total_seconds() * 1000)
        rows = self.run(
            "claim_named",
            {
                "runs": [run for run, _ in asked],
                "seqs": [seq for _, seq in asked],
                "known": list(request.known),
                "limited_tasks": list(request.task_rooms),
                "task_rooms": list(request.task_rooms.values()),
                "limited_queues": list(request.queue_rooms),
                "queue_rooms": list(request.queue_rooms.values()),
                "worker": request.worker_id,
                "token": request.token,
                "lock_timeout": f"{patience}ms",
                "now": now,
            },
        )
        told: dict[tuple[UUID, int], Answer] = {}
        mine, put_back, taken = [], [], []
        for answer, *row in rows:
            if answer == "inconsistent":
                taken.append(row[5])
            elif answer == "claimed":
                mine.append(claimed(request, row))
                told[row[0], row[1]] = "claimed"
            elif answer == "later":
                told[row[0], row[1]] = "later"
            else:
                put_back.append(Deferred(row[0], row[1], row[3], row[2], answer))
                told[row[0], row[1]] = "deferred"
        answers = {key: told.get(key, "gone") for key in asked}
        return ClaimResult(
            claimed=mine, deferred=put_back, inconsistent=without_run(taken, mine), answers=answers
        )

    def settle(self, outcomes: Sequence[Outcome], *, now: datetime | None = None) -> list[Settled]:
        ordered = sorted(outcomes, key=lambda o: o.run_id.int)
        runs, tokens, kinds, statuses, reasons, results, errors, datas, delays, ages, owns = zip(
            *(outcome[:COLUMNS] for outcome in ordered), strict=True
        )
        rows = self.run(
            "settle",
            {
                "runs": list(runs),
                "tokens": list(tokens),
                "kinds": list(kinds),
                "statuses": list(statuses),
                "reasons": list(reasons),
                "results": list(results),
                "errors": list(errors),
                "datas": list(datas),
                "delays": list(delays),
                "ages": list(ages),
                "owns": list(owns),
                "now": now,
            },
        )
        return [Settled(run, token, Status(status)) for run, token, status in rows]

    def beat(
        self, worker_id: UUID, *, lease: float, busy: int, state: str, now: datetime | None = None
    ) -> Beat:
        rows = self.run(
            "heartbeat", {"worker": worker_id, "lease": lease, "busy": busy, "state": state, "now": now}
        )
        if not rows:
            return Beat(alive=False)
        return Beat(
            alive=True, command=rows[0][0], held=[Held(*row[1:]) for row in rows if row[1] is not None]
        )

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
        rows = self.run(
            "withdraw",
            {
                "runs": [run for run, _ in places],
                "seqs": [seq for _, seq in places],
                "status": status,
                "reason": reason,
                "kind": kind,
                "actor": actor,
                "error": error,
                "data": data,
                "now": now,
            },
        )
        return [row[0] for row in rows]

    def requeue(
        self, runs: Sequence[UUID], *, actor: str, head_start: float, now: datetime | None = None
    ) -> list[tuple[UUID, int, str, str]]:
        rows = self.run(
            "requeue", {"runs": sorted(runs), "actor": actor, "head_start": head_start, "now": now}
        )
        return [(run, seq, queue, runtime) for run, seq, queue, runtime in rows]

    def flip_ready(self, *, limit: int, now: datetime | None = None) -> list[tuple[str, str]]:
        return [(queue, runtime) for queue, runtime in self.run("flip_ready", {"room": limit, "now": now})]

    def lease_announcements(
        self, *, runtime: str, rooms: dict[str, int], now: datetime | None = None
    ) -> list[tuple[Announcement, bool, str | None]]:
        rows = self.run(
            "lease_announcements",
            {"runtime": runtime, "queues": list(rooms), "rooms": list(rooms.values()), "now": now},
        )
        return [(Announcement(*row[:8]), row[8], row[9]) for row in rows]

    def mark_announced(self, marks: Sequence[Mark], *, now: datetime | None = None) -> int:
        runs, seqs, tries, refs, errors, waits = zip(
            *sorted(marks, key=lambda mark: mark[0].int), strict=True
        )
        with self.cursor() as cursor:
            cursor.execute(
                statement("postgresql", "mark_announced"),
                {
                    "runs": list(runs),
                    "seqs": list(seqs),
                    "tries": list(tries),
                    "refs": list(refs),
                    "errors": list(errors),
                    "waits": list(waits),
                    "now": now,
                },
            )
            return int(cursor.rowcount)


def claimed(request: ClaimRequest, row: Sequence[Any]) -> Claimed:
    """Read a claimed row: run, seq, attempt, task, queue, payload, max_attempts, crash_count, meta, options, trace."""
    return Claimed(row[0], request.token, request.worker_id, *row[1:])


def without_run(taken: Sequence[str], mine: Sequence[Claimed]) -> list[UUID]:
    """Return what was taken from the outbox and could not be claimed."""
    ids = [UUID(run_id) for text in taken for run_id in json.loads(text)]
    return sorted(set(ids) - {attempt.run_id for attempt in mine})
