"""Claims: lock outbox rows with their runs, delete them, label the runs, insert claims and events."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from openqueue.states import Kind, Reason
from openqueue.store.base import LOCK_TIMEOUT
from openqueue.store.ending import text
from openqueue.store.messages import Found, judge
from openqueue.store.mysql.rows import INSERT_EVENT, OPEN, Writing, instant, moment_sql
from openqueue.store.statements import statement
from openqueue.types import Answer, Claimed, ClaimRequest, ClaimResult, Deferred

INSERT_CLAIM: Final = """
    INSERT INTO openqueue_claim (run_id, seq, attempt, task_id, queue, concurrency_key, worker_id, token, claimed_at)
    VALUES
"""
PLACE: Final = 8
"""How many columns of a row are of the outbox; those of its run follow: found, status, version, ..., now."""


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
        tasks = request.free
        if not tasks or not rooms:
            return ClaimResult()
        clock = moment_sql(now)
        branch = statement("mysql", "due_branch").replace("CLOCK", clock)
        parameters: list[Any] = []
        for place, (queue, room) in enumerate(rooms.items()):
            parameters += [
                place if request.in_order else 0,
                runtime,
                queue,
                request.announced,
                tasks,
                queue,
                room,
            ]
        branches = " UNION ALL ".join([branch] * len(rooms))
        picked = f"{branches} ORDER BY place, priority DESC, due_at LIMIT %s"
        with self.writing() as cursor:
            cursor.execute(
                statement("mysql", "claim_due").replace("CLOCK", clock).replace("PICKED", picked),
                [*parameters, limit],
            )
            rows = self.unlocked(cursor, cursor.fetchall())
            return self.hold(cursor, request, within(rows, request.task_rooms))

    def claim_named(
        self,
        request: ClaimRequest,
        *,
        announcements: Sequence[tuple[UUID, int]],
        nowait: bool = False,
        now: datetime | None = None,
    ) -> ClaimResult:
        asked = sorted(set(announcements))
        answers: dict[tuple[UUID, int], Answer] = dict.fromkeys(asked, "gone")
        if not asked:
            return ClaimResult(answers=answers)
        patience = "NOWAIT" if nowait else self.patience()
        with self.writing() as cursor:
            cursor.execute(
                statement("mysql", "claim_named")
                .replace("CLOCK", moment_sql(now))
                .replace("PATIENCE", patience),
                [[run.hex for run, _ in asked]],
            )
            found = (
                Found(UUID(row[0]), row[1], row[3], row[4], row[-4], row[-3], row[-2], row[-1], row[:-4])
                for row in cursor.fetchall()
            )
            mine, deferred, early = judge(found, request, answers=answers)
            if deferred:
                self.defer(cursor, deferred, now=now)
            if early:
                cursor.execute(
                    """
                    UPDATE openqueue_outbox FORCE INDEX (PRIMARY)
                    SET announced_at = NULL, broker_ref = NULL, heard = tries + 1, tries = tries + 1
                    WHERE run_id IN %s
                    """,
                    [[run.hex for run in early]],
                )
            result = self.hold(cursor, request, mine)
        for run in result.inconsistent:
            answers.update({key: "gone" for key in asked if key[0] == run})
        return ClaimResult(
            claimed=result.claimed, deferred=deferred, inconsistent=result.inconsistent, answers=answers
        )

    def patience(self) -> str:
        """MySQL cannot say it in the statement: sessions of workers are patient for as long, see `prepare`."""
        return f"WAIT {int(LOCK_TIMEOUT.total_seconds())}" if self.connection.mysql_is_mariadb else ""

    @staticmethod
    def unlocked(cursor: Any, rows: Sequence[Any]) -> Sequence[Any]:
        """Leave out rows whose run somebody else has locked: the join skipped it. A run that is not there stays in."""
        without = [row[0] for row in rows if row[PLACE] is None]
        if not without:
            return rows
        cursor.execute("SELECT id FROM openqueue_run WHERE id IN %s", [without])
        locked = {row[0] for row in cursor.fetchall()}
        return [row for row in rows if row[0] not in locked]

    @staticmethod
    def defer(cursor: Any, rows: Sequence[Deferred], *, now: datetime | None) -> None:
        unknown = Reason.UNKNOWN_TASK.value
        runs: dict[str, list[str]] = {}
        for row in rows:
            runs.setdefault(row.why, []).append(row.run_id.hex)
        wait, heard = "1", "tries + 1"
        parameters: list[Any] = []
        if unknown in runs:
            wait = "IF(run_id IN %s, LEAST(900, POW(2, LEAST(tries - heard, 10))), 1)"
            heard = "IF(run_id IN %s, heard, tries + 1)"
            parameters.append(runs[unknown])
        whys = " ".join(["WHEN run_id IN %s THEN %s"] * len(runs))
        # Assignments are made from left to right: tries comes last.
        cursor.execute(
            f"""
            UPDATE openqueue_outbox FORCE INDEX (PRIMARY)
            SET announce_at = {moment_sql(now)} + INTERVAL {wait} SECOND, announced_at = NULL,
                broker_ref = NULL, last_error = CASE {whys} END, heard = {heard}, tries = tries + 1
            WHERE run_id IN %s
            """,
            [
                *parameters,
                *(part for why, some in runs.items() for part in (some, why)),
                *parameters,
                [row.run_id.hex for row in rows],
            ],
        )

    def hold(self, cursor: Any, request: ClaimRequest, taken: Sequence[Any]) -> ClaimResult:
        """Delete outbox rows that are locked with their runs; label these, insert their claims and events."""
        if not taken:
            return ClaimResult()
        worker, token, who = request.worker_id.hex, request.token.hex, str(request.worker_id)
        mine = [row for row in taken if row[PLACE + 1] in OPEN]
        self.delete(cursor, "openqueue_outbox", [row[0] for row in taken])
        if mine:
            at = text(instant(taken[0][-1]))
            cursor.execute(
                """
                UPDATE openqueue_run FORCE INDEX (PRIMARY)
                SET status = 'running', reason = '', attempt = attempt + 1, version = version + 1, worker_id = %s,
                    started_at = %s
                WHERE id IN %s
                """,
                [worker, at, [row[0] for row in mine]],
            )
            self.insert(cursor, INSERT_CLAIM, [(*row[:6], worker, token, at) for row in mine])
            self.insert(
                cursor,
                INSERT_EVENT,
                [
                    (row[0], row[PLACE + 2] + 1, row[2], Kind.STARTED.value, None, "",
                     json.dumps({"worker": who, "announced_at": stamp(row[6]), "broker_ref": row[7]}), at)
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
                for *facts, flow, key, _ in [row[PLACE + 3 :]]
            ],
            inconsistent=[UUID(row[0]) for row in taken if row[PLACE + 1] not in OPEN],
        )


def within(rows: Sequence[Any], rooms: Mapping[str, int]) -> Sequence[Any]:
    """Return, in their order, the rows that the rooms of limited tasks allow; the others stay where they are."""
    if not rooms:
        return rows
    left, kept = dict(rooms), []
    for row in rows:
        task = row[3]
        if left.get(task, 1) > 0:
            kept.append(row)
            if task in left:
                left[task] -= 1
    return kept


def stamp(value: datetime | None) -> str | None:
    return None if value is None else instant(value).isoformat()
