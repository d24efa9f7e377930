"""Databases full of runs, made by the server itself, which is a hundred times faster than triggering them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from django.core.management import call_command
from django.db import connections

from tests.servers import databases

QUEUES = ("default", "mail", "reports")
TASK = "test.anything"
RUN_ID = "(lpad(to_hex(1750000000000 + {n}), 12, '0') || '70008' || lpad(to_hex({n}), 15, '0'))::uuid"
"""A UUIDv7 whose time rises with a number."""


def migrate(name: str) -> None:
    """Make a database with OpenQueue's tables."""
    with server("postgres") as connection:
        connection.execute(f"CREATE DATABASE {name}")
    with working_on(name):
        call_command("migrate", verbosity=0)


def copy(name: str, *, origin: str) -> None:
    with server("postgres") as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {origin}")


def drop(name: str) -> None:
    with server("postgres") as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@contextmanager
def server(name: str) -> Iterator[psycopg.Connection]:
    """A connection to one database of the session's server, apart from Django's."""
    with psycopg.connect(databases.address().geturl(), dbname=name, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        yield connection


def between(first: int, last: int) -> str:
    return f"id BETWEEN {RUN_ID.format(n=f'{first}::bigint')} AND {RUN_ID.format(n=f'{last}::bigint')}"


@contextmanager
def working_on(name: str) -> Iterator[str]:
    """Have the default alias mean this database, in every thread."""
    settings = connections.settings["default"]
    before = settings["NAME"]
    connections["default"].close()
    settings["NAME"] = name
    try:
        yield name
    finally:
        connections["default"].close()
        settings["NAME"] = before


def fill_finished(connection: psycopg.Connection, runs: int) -> None:
    """Runs that ended in the last twenty days, with the three events of each; one in twenty failed."""
    connection.execute(
        f"""
        INSERT INTO openqueue_run (
            id, task_id, queue, runtime, status, reason, priority, payload, result, attempt, max_attempts,
            crash_count, cycle, version, worker_id, outcome, created_at, scheduled_for, started_at, finished_at
        )
        SELECT {RUN_ID.format(n="n")}, '{TASK}', 'default', 'default', ended, '', 0, '{{"order": 1234}}', '"done"',
            1, 3, 0, 1, 3, md5((n / 1000)::text)::uuid, ended, at, at, at, at
        FROM generate_series(1::bigint, {runs}) AS g (n),
            LATERAL (SELECT CASE WHEN n % 20 = 0 THEN 'failed' ELSE 'completed' END) AS e (ended),
            LATERAL (SELECT statement_timestamp() - interval '20 days' * ({runs} - n + 1) / {runs}) AS w (at)
        """
    )
    connection.execute(
        f"""
        INSERT INTO openqueue_runevent (run_id, version, attempt, kind, token, actor, at)
        SELECT id, v.version, least(v.version - 1, 1), CASE WHEN v.version = 3 THEN status ELSE v.kind END,
            CASE WHEN v.version = 3 THEN md5(id::text)::uuid END, '', created_at
        FROM openqueue_run, (VALUES (1, 'triggered'), (2, 'started'), (3, '')) AS v (version, kind)
        WHERE {between(1, runs)}
        """
    )


def fill_waiting(
    connection: psycopg.Connection, runs: int, *, delayed: int = 0, first: int = 2_000_000
) -> None:
    """Due rows in three queues with mixed priorities, and delayed ones of higher priority in front of them."""
    mine = between(first + 1, first + runs + delayed)
    connection.execute(
        f"""
        INSERT INTO openqueue_run (
            id, task_id, queue, runtime, status, reason, priority, payload, attempt, max_attempts,
            crash_count, cycle, version, created_at, scheduled_for
        )
        SELECT {RUN_ID.format(n="n")}, '{TASK}', (ARRAY['{"','".join(QUEUES)}'])[1 + n % {len(QUEUES)}], 'default',
            CASE WHEN late THEN 'scheduled' ELSE 'queued' END, '', CASE WHEN late THEN 100 ELSE n % 5 * 10 END,
            '{{"order": 1234}}', 0, 3, 0, 1, 1, at, CASE WHEN late THEN at + interval '1 hour' ELSE at END
        FROM generate_series({first + 1}::bigint, {first + runs + delayed}) AS g (n),
            LATERAL (SELECT n > {first + runs}, statement_timestamp() - interval '1 minute') AS w (late, at)
        """
    )
    connection.execute(
        f"""
        INSERT INTO openqueue_runevent (run_id, version, attempt, kind, actor, at)
        SELECT id, 1, 0, 'triggered', '', created_at FROM openqueue_run WHERE {mine}
        """
    )
    connection.execute(
        f"""
        INSERT INTO openqueue_outbox (
            run_id, seq, attempt, task_id, runtime, queue, priority, due_at, ready, expires_at, announce_at, tries
        )
        SELECT id, 1, 1, task_id, runtime, queue, priority, scheduled_for, status = 'queued',
            CASE WHEN get_byte(uuid_send(id), 15) % 10 = 0 THEN created_at + interval '1 day' END, scheduled_for, 0
        FROM openqueue_run WHERE {mine}
        """
    )
