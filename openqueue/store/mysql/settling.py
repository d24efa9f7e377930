"""Settle: lock the claims with their runs, delete the claims (the fence), write runs, events and outbox rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from openqueue import limits
from openqueue.states import Status
from openqueue.store.ending import Ending, text
from openqueue.store.mysql.rows import INSERT_EVENT, INSERT_OUTBOX, Writing, chunks, instant, moment_sql
from openqueue.store.statements import statement
from openqueue.types import Outcome, Settled

COLUMNS: Final = (
    "status", "reason", "result", "error", "attempt", "crash_count", "started_at", "expires_at", "outcome",
    "finished_at",
)  # fmt: skip
Fragment = tuple[str, Any]
"""A piece of SQL, and its parameter when it is one."""


class Settling(Writing):
    """settle."""

    def settle(self, outcomes: Sequence[Outcome], *, now: datetime | None = None) -> list[Settled]:
        given = {(o.run_id, o.token): o for o in outcomes}
        settled, changes, events, places = [], [], [], []
        with self.writing() as cursor:
            cursor.execute(
                statement("mysql", "settle_lock").replace("CLOCK", moment_sql(now)),
                [sorted({run.hex for run, _ in given})],
            )
            held = [
                (outcome, *row)
                for row in cursor.fetchall()
                # In pairs: a batch of claims shares its token.
                if (outcome := given.get((UUID(row[0]), UUID(row[1])))) is not None
            ]
            if not held:
                return []
            self.delete(cursor, "openqueue_claim", [row[1] for row in held])
            moment = instant(held[0][-1])
            at = text(moment)
            for (
                outcome, run, token, attempt, task, key, asked, by, version, queue, runtime, priority, expires,
                ordering, _
            ) in held:  # fmt: skip
                if version is None:
                    continue  # there is no such run
                end = Ending(outcome, cancelled=asked is not None, actor=by or "", moment=moment)
                version += 1
                changes.append(end.change(attempt=attempt, version=version, run=run))
                events.append(
                    (run, version, attempt, end.kind.value, token if end.outcome.own else None, end.actor, end.data,
                     at)
                )  # fmt: skip
                if end.again:
                    due, following = text(end.due), attempt if end.released else attempt + 1
                    places.append(
                        (run, version, following, task, runtime, queue, priority, due,
                         end.due <= moment and key is None, expires if end.expires else None, key, due, 0, ordering,
                         key, -priority)
                    )  # fmt: skip
                settled.append(
                    Settled(outcome.run_id, outcome.token, end.status, limits.freed(key, ordering))
                )
            self.change(cursor, changes)
            self.insert(cursor, INSERT_EVENT, events)
            self.insert(cursor, INSERT_OUTBOX, places)
        return settled

    def locked_runs(self, runs: Iterable[UUID]) -> set[UUID]:
        asked = {run.hex for run in runs}
        if not asked:
            return set()
        with self.writing() as cursor:
            cursor.execute(statement("mysql", "free_runs"), [sorted(asked)])
            return {UUID(run) for run in asked} - {UUID(row[0]) for row in cursor.fetchall()}

    @staticmethod
    def change(cursor: Any, changes: Sequence[tuple[Any, ...]]) -> None:
        """Write what each attempt made of its run, in one statement. They come in the database's order of runs."""
        for some in chunks(changes):
            ids = [change[-1] for change in some]
            assignments, parameters = [], []
            for column, values in zip(COLUMNS, zip(*map(fragments, some), strict=True), strict=True):
                sql, given = choose(ids, values)
                assignments.append(f"{column} = {sql}")
                parameters += given
            cursor.execute(
                f"""
                UPDATE openqueue_run FORCE INDEX (PRIMARY)
                SET version = version + 1, {", ".join(assignments)}
                WHERE id IN %s
                """,
                [*parameters, ids],
            )


def fragments(change: tuple[Any, ...]) -> tuple[Fragment, ...]:
    """Return the SQL of each of COLUMNS for one run: see Ending.change."""
    status, reason, _, result, error, _, attempt, crashes, begun, keeps_expiry, outcome, finished, _ = change
    return (
        ("%s", status),
        ("%s", reason),
        ("%s", result),
        ("error", None) if error is None and status != Status.COMPLETED else ("%s", error),
        ("%s", attempt),
        ("crash_count + 1" if crashes else "crash_count", None),
        ("started_at", None) if begun is None else ("%s", begun),
        ("expires_at" if keeps_expiry else "NULL", None),
        ("%s", outcome),
        ("%s", finished),
    )


def choose(ids: Sequence[str], values: Sequence[Fragment]) -> tuple[str, list[Any]]:
    """Return SQL that chooses each run's value by its id, in a few comparisons: a row costs no walk of the others.

    What the server offers to join a list to a table, JSON_TABLE, costs five times as much in an UPDATE.
    """
    first = values[0]
    if all(value == first for value in values):
        return first[0], [first[1]] if first[0] == "%s" else []
    middle = len(ids) // 2
    below, parameters = choose(ids[:middle], values[:middle])
    above, more = choose(ids[middle:], values[middle:])
    return f"IF(id < %s, {below}, {above})", [ids[middle], *parameters, *more]
