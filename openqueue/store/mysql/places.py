"""Into the outbox and out of it other than by a claim: create, withdraw, requeue."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from openqueue import limits
from openqueue.states import Kind, Reason, Status
from openqueue.store import wishes
from openqueue.store.ending import text
from openqueue.store.mysql.rows import (
    ENDED,
    INSERT_EVENT,
    INSERT_OUTBOX,
    OPEN,
    Writing,
    chunks,
    instant,
    later,
    microseconds,
    moment_sql,
)
from openqueue.store.statements import statement
from openqueue.types import NewRun

LINKS: Final = ", ".join(["%s"] * 7)
"""traceparent, replay_of, flow_id, dedupe_key, schedule_id, concurrency_key, ordering_key."""


class Places(Writing):
    """The verbs on outbox rows."""

    def create(
        self, runs: Sequence[NewRun], *, forced: bool = False, now: datetime | None = None
    ) -> dict[str, str]:
        # A question of its own: asked within an INSERT it would lock the answer, where the project has REPEATABLE READ.
        if not forced and (closed := wishes.closed(self, {run.queue for run in runs})):
            return closed
        clock = moment_sql(now)
        made = {run.id: new_row(run, clock=clock) for run in runs}
        with self.writing() as cursor:
            for some in chunks(
                [(run.id, *values) for run, (_, values) in zip(runs, made.values(), strict=True)]
            ):
                rows = ", ".join([made[row[0]][0] for row in some])
                cursor.execute(
                    statement("mysql", "create_runs").replace("ROWS", rows),
                    [value for row in some for value in row[1:]],
                )
            # Of what the first statement wrote, so that all three have its moment.
            by_head_start: dict[int, list[str]] = {}
            for run in runs:
                by_head_start.setdefault(microseconds(run.head_start), []).append(run.id.hex)
            for head_start, ids in by_head_start.items():
                cursor.execute(statement("mysql", "create_events"), [ids])
                cursor.execute(statement("mysql", "create_places"), [head_start, ids])
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
        if not places:
            return []
        seqs = {run.hex: seq for run, seq in places}
        with self.writing() as cursor:
            cursor.execute(
                statement("mysql", "withdraw_lock").replace("CLOCK", moment_sql(now)), [sorted(seqs)]
            )
            taken = [row for row in cursor.fetchall() if seqs[UUID(row[0]).hex] in {None, row[1]}]
            if not taken:
                return []
            self.delete(cursor, "openqueue_outbox", [row[0] for row in taken])
            ended = [row for row in taken if row[2] in OPEN]
            if not ended:
                return []
            at = text(instant(ended[0][-1]))
            cursor.execute(
                """
                UPDATE openqueue_run FORCE INDEX (PRIMARY)
                SET status = %s, reason = %s, version = version + 1, outcome = %s, error = COALESCE(%s, error),
                    finished_at = %s
                WHERE id IN %s
                """,
                [status.value, reason.value, status.value, error, at, [row[0] for row in ended]],
            )
            self.insert(
                cursor,
                INSERT_EVENT,
                [
                    (run, version + 1, attempt, kind.value, None, actor, data, at)
                    for run, _, _, version, attempt, _ in ended
                ],
            )
        return [UUID(row[0]) for row in ended]

    def requeue(
        self, runs: Sequence[UUID], *, actor: str, head_start: float, now: datetime | None = None
    ) -> list[tuple[UUID, int, str, str]]:
        if not runs:
            return []
        with self.writing() as cursor:
            cursor.execute(
                statement("mysql", "requeue_lock").replace("CLOCK", moment_sql(now)),
                [sorted(run.hex for run in runs), ENDED],
            )
            found = cursor.fetchall()
            if not found:
                return []
            moment = instant(found[0][-1])
            at, announce_at = text(moment), later(moment, head_start)
            cursor.execute(statement("mysql", "requeue_runs"), [at, [row[0] for row in found]])
            events, places = [], []
            for (
                run, version, cycle, task, runtime, queue, priority, status, reason, error, key, ordering, _
            ) in found:  # fmt: skip
                facts = {
                    "cycle": cycle + 1,
                    "status": status,
                    "reason": reason,
                    "error": error and json.loads(error),
                }
                events.append((run, version + 1, 0, Kind.REQUEUED.value, None, actor, json.dumps(facts), at))
                waits_for, turn = limits.first(key, ordering, priority=priority)
                places.append(
                    (run, version + 1, 1, task, runtime, queue, priority, at, waits_for is None, None, key,
                     announce_at, 0, ordering, waits_for, turn)
                )  # fmt: skip
            self.insert(cursor, INSERT_EVENT, events)
            self.insert(cursor, INSERT_OUTBOX, places)
        return [(UUID(row[0]), row[1] + 1, row[5], row[4]) for row in found]


def new_row(run: NewRun, *, clock: str) -> tuple[str, list[Any]]:
    """Return the SQL of a row of create_runs.sql and its values; the database works out when it is due."""
    moments: list[Any] = []
    status, due = "'queued'", clock
    if run.run_at is not None:
        due = f"GREATEST({clock}, CAST(%s AS DATETIME(6)))"
        status = f"IF({clock} < CAST(%s AS DATETIME(6)), 'scheduled', 'queued')"
        moments = [text(run.run_at)]
    elif (delay := microseconds(run.delay)) > 0:
        status, due, moments = "'scheduled'", f"{clock} + INTERVAL %s MICROSECOND", [delay]
    at_trigger = [] if run.run_at is None else moments
    if run.schedule_id is not None and run.run_at is not None:  # its tick, which is past
        status, due, at_trigger = "'queued'", "CAST(%s AS DATETIME(6))", []
    if run.waiting:
        status, at_trigger = "'waiting'", []
    expires, lives = "NULL", []
    if run.ttl is not None:
        expires, lives = f"{due} + INTERVAL %s MICROSECOND", [*moments, microseconds(run.ttl)]
    sql = f"(%s, %s, %s, %s, {status}, '', %s, %s, %s, %s, %s, 0, %s, 0, 1, 1, {clock}, {due}, {expires}, {LINKS})"
    return sql, [
        run.id.hex, run.task_id, run.queue, run.runtime, *at_trigger, run.priority,
        run.payload, run.meta, run.tags, run.options, run.max_attempts, *moments, *lives, run.traceparent,
        run.replay_of and run.replay_of.hex, run.flow_id and run.flow_id.hex, run.dedupe_key, run.schedule_id,
        run.concurrency_key, run.ordering_key,
    ]  # fmt: skip
