"""The same databases full of runs as in history.py, on MariaDB, and what a statement looked at there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management import call_command
from django.db import connection

from tests.scale.history import QUEUES, TASK, working_on
from tests.servers import databases

RUN_ID = "CONCAT(LPAD(HEX(1750000000000 + {n}), 12, '0'), '70008', LPAD(HEX({n}), 15, '0'))"
BIG = frozenset({f"openqueue_{name}" for name in ("run", "runevent", "runlog", "outbox", "claim")})


def make(name: str, *, finished: int, due: int, delayed: int) -> None:
    """Make a database: runs that ended, due rows in three queues, and delayed rows of higher priority."""
    databases.server().ask(f"CREATE DATABASE {name} CHARACTER SET latin1")
    with working_on(name):
        call_command("migrate", verbosity=0)
        with connection.cursor() as cursor:
            cursor.execute(
                f"""
                INSERT INTO openqueue_run (id, task_id, queue, runtime, status, reason, priority, payload, result,
                    attempt, max_attempts, crash_count, cycle, version, worker_id, outcome, created_at, scheduled_for,
                    started_at, finished_at)
                SELECT {RUN_ID.format(n="seq")}, '{TASK}', 'default', 'default', ended, '', 0, '{{"order": 1234}}',
                    '"done"', 1, 3, 0, 1, 3, NULL, ended, at, at, at, at
                FROM (
                    SELECT seq, IF(seq %% 20 = 0, 'failed', 'completed') AS ended,
                        UTC_TIMESTAMP(6) - INTERVAL (%s - seq + 1) * 20 * 86400 / %s SECOND AS at
                    FROM seq_1_to_{finished}
                ) AS s
                """,
                [finished, finished],
            )
            cursor.execute(
                "INSERT INTO openqueue_runevent (run_id, version, attempt, kind, actor, at)"
                " SELECT id, v.seq, 1, 'started', '', created_at FROM openqueue_run, seq_1_to_3 AS v"
            )
            first = 2_000_000
            cursor.execute(
                f"""
                INSERT INTO openqueue_run (id, task_id, queue, runtime, status, reason, priority, payload, attempt,
                    max_attempts, crash_count, cycle, version, created_at, scheduled_for)
                SELECT {RUN_ID.format(n="seq")}, '{TASK}', ELT(1 + seq %% {len(QUEUES)}, '{"','".join(QUEUES)}'),
                    'default', IF(late, 'scheduled', 'queued'), '', IF(late, 100, seq %% 5 * 10),
                    '{{"order": 1234}}', 0, 3, 0, 1, 1, at, IF(late, at + INTERVAL 1 HOUR, at)
                FROM (
                    SELECT seq, seq > %s AS late, UTC_TIMESTAMP(6) - INTERVAL 1 MINUTE AS at
                    FROM seq_{first + 1}_to_{first + due + delayed}
                ) AS s
                """,
                [first + due],
            )
            cursor.execute(
                """
                INSERT INTO openqueue_outbox (run_id, seq, attempt, task_id, runtime, queue, priority, due_at, ready,
                    expires_at, announce_at, tries)
                SELECT id, 1, 1, task_id, runtime, queue, priority, scheduled_for, status = 'queued',
                    IF(RIGHT(id, 1) = '7', created_at + INTERVAL 1 DAY, NULL), scheduled_for, 0
                FROM openqueue_run WHERE status IN ('queued', 'scheduled')
                """
            )
            for table in BIG:
                cursor.execute(f"ANALYZE TABLE {table}")


class Look:
    """What a verb's statements looked at: rows by the server's own count, and how, by EXPLAIN."""

    def __init__(self) -> None:
        self.rows = 0
        self.plans: list[tuple[str, dict[str, Any]]] = []

    @property
    def walked(self) -> list[str]:
        """The big tables, or whole indexes of theirs, that were read from end to end."""
        return [
            step["table"]
            for _, step in self.plans
            if step["table"] in BIG and step["type"] in {"ALL", "index"}
        ]

    @property
    def sorted_big(self) -> list[str]:
        """The big tables that were sorted."""
        extra = [(step["table"], step["Extra"] or "") for _, step in self.plans]
        return [table for table, said in extra if table in BIG and "filesort" in said]

    def __repr__(self) -> str:
        return "\n".join(f"{sql}\n    {step}" for sql, step in self.plans) + f"\nrows: {self.rows}"


@contextmanager
def looking() -> Iterator[Look]:
    """Watch what this thread's connection does inside the block; each statement is explained before it is executed."""
    look = Look()

    def explain(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.lstrip(" (\n").startswith(("SELECT", "UPDATE", "DELETE", "WITH")):
            with connection.connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN {sql}", params)
                names = [column[0] for column in cursor.description]
                aliases = {
                    "o": "openqueue_outbox",
                    "r": "openqueue_run",
                    "c": "openqueue_claim",
                    "t": "deleted",
                }
                for row in cursor.fetchall():
                    step = dict(zip(names, row, strict=True))
                    step["table"] = aliases.get(step["table"], step["table"])
                    look.plans.append((" ".join(sql.split())[:100], step))
        before = read_so_far()
        try:
            return execute(sql, params, many, context)
        finally:
            look.rows += sum((read_so_far() - before).values())

    with connection.execute_wrapper(explain):
        yield look


def read_so_far() -> Counter[str]:
    with connection.connection.cursor() as cursor:
        cursor.execute(
            "SELECT variable_name, variable_value FROM information_schema.session_status"
            " WHERE variable_name RLIKE 'HANDLER_READ_(KEY|NEXT|PREV|FIRST)'"
        )
        return Counter({name: int(value) for name, value in cursor.fetchall()})
