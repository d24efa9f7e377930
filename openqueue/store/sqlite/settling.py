"""Settle on SQLite: the delete of the claim is the fence, the rest follows what it returned."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from openqueue import limits
from openqueue.store.ending import Ending, text
from openqueue.store.sqlite.rows import IN_JSON, INSERT_EVENT, INSERT_OUTBOX, Writing, stamp
from openqueue.types import Outcome, Settled


class Settling(Writing):
    """settle."""

    def settle(self, outcomes: Sequence[Outcome], *, now: datetime | None = None) -> list[Settled]:
        moment = self.clock(now)
        given = {(o.run_id.hex, o.token.hex): o for o in outcomes}
        settled, changes, events, places = [], [], [], []
        with self.writing() as cursor:
            cursor.execute(
                f"""
                DELETE FROM openqueue_claim
                WHERE run_id {IN_JSON} AND run_id || token {IN_JSON}  -- in pairs: a batch of claims shares its token
                RETURNING run_id, token, attempt, task_id, concurrency_key, cancel_requested_at, cancel_requested_by
                """,
                [json.dumps([run for run, _ in given]), json.dumps([run + token for run, token in given])],
            )
            fenced = cursor.fetchall()
            cursor.execute(
                f"""
                SELECT id, version, queue, runtime, priority, expires_at, ordering_key FROM openqueue_run
                WHERE id {IN_JSON}
                """,
                [json.dumps([row[0] for row in fenced])],
            )
            runs = {row[0]: row[1:] for row in cursor.fetchall()}
            for run, token, attempt, task, key, asked, by in fenced:
                if run not in runs:
                    continue
                version, queue, runtime, priority, expires, ordering = runs[run]
                end = Ending(given[run, token], cancelled=asked is not None, actor=by or "", moment=moment)
                version += 1
                changes.append(end.change(attempt=attempt, version=version, run=run))
                events.append(
                    (run, version, attempt, end.kind.value, token if end.outcome.own else None, end.actor, end.data,
                     text(moment))
                )  # fmt: skip
                if end.again:
                    due, following = text(end.due), attempt if end.released else attempt + 1
                    places.append(
                        (run, version, following, task, runtime, queue, priority, due,
                         end.due <= moment and key is None, stamp(expires) if end.expires else None, key, due,
                         ordering, key, -priority)
                    )  # fmt: skip
                settled.append(Settled(UUID(run), UUID(token), end.status, limits.freed(key, ordering)))
            cursor.executemany(
                """
                UPDATE openqueue_run
                SET status = %s, reason = %s, version = %s, result = %s,
                    error = COALESCE(%s, CASE WHEN %s <> 'completed' THEN error END), attempt = %s,
                    crash_count = crash_count + %s, started_at = COALESCE(%s, started_at),
                    expires_at = CASE WHEN %s THEN expires_at END, outcome = %s, finished_at = %s
                WHERE id = %s
                """,
                changes,
            )
            cursor.executemany(INSERT_EVENT, events)
            if places:
                cursor.executemany(INSERT_OUTBOX, places)
        return settled
