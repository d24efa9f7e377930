"""A month in the life of a large deployment: a million runs, their roll-ups, and the groups of their errors.

300 tasks in 200 queues, 10,000 tags, 3,000 kinds of errors. The server makes it itself, set by set; what stands beside
the runs is in `beside`.
"""

from __future__ import annotations

from typing import Final

import psycopg

from openqueue import codec
from openqueue.core.fingerprint import failure
from openqueue.models import ErrorGroup
from openqueue.store.endings import OF_A_BODY, SHORTEST, STEPS

RUNS, DAYS = 1_000_000, 30
TASKS, QUEUES, TAGS, ERRORS, WORKERS = 300, 200, 10_000, 3_000, 300
UNFINISHED = {"queued": 100_000, "scheduled": 100_000, "retrying": 500, "running": 3_000, "waiting": 4_000}
PLACES = "('retrying', 'scheduled', 'queued')"
TRACE: Final = "".join(
    f'  File "/srv/shop/venv/lib/python3.13/site-packages/lib/part_{n}.py", line {n}, in call\n    call()\n'
    for n in range(15)
)


def uuid(kind: int, at: str, n: str) -> str:
    """Return SQL for a UUIDv7 of its time, one of its kind: 1 of runs, 2 of flows and so on."""
    head = f"lpad(to_hex((extract(epoch FROM {at}) * 1000)::bigint), 12, '0')"
    return f"({head} || '7{kind:03x}8' || lpad(to_hex(({n})::bigint), 15, '0'))::uuid"


def task(n: str) -> str:
    return f"'shop.tasks.task_' || {n} % {TASKS}"


def queue(n: str) -> str:
    return f"'queue-' || {n} % {TASKS} % {QUEUES}"


def worker(n: str) -> str:
    return f"md5(({n} % {WORKERS})::text)::uuid"


def fill(connection: psycopg.Connection) -> None:
    """Fill tables with a month that ends now; Django's own connection must be to the same database."""
    connection.execute("CREATE TABLE month AS SELECT statement_timestamp() AS now")
    _errors(connection)
    for statement in (ENDED, _unfinished(), OUTBOX, CLAIMS, EVENTS):
        connection.execute(statement)
    connection.execute("VACUUM ANALYZE openqueue_run")
    for seconds, days in ((60, 3), (3_600, DAYS), (86_400, DAYS)):
        connection.execute(_rolled(seconds, days))
        connection.execute(_failed(seconds, days))
    for statement in (MONTHS_BEFORE, MARKS, GROUPS):
        connection.execute(statement)


def _errors(connection: psycopg.Connection) -> None:
    """Kinds of errors, each of one task, and the groups that the engine would make of them."""
    connection.execute("CREATE TABLE month_error (number bigint PRIMARY KEY, error text)")
    groups = []
    with connection.cursor() as cursor, cursor.copy("COPY month_error FROM STDIN") as copy:
        for number in range(ERRORS):
            own = f'  File "/srv/shop/tasks/part_{number // TASKS}.py", line 7, in run\n'
            error = {
                "type": f"shop.errors.Error{number % 40}",
                "message": f"No such order {number}",
                "traceback": f"Traceback (most recent call last):\n{TRACE}{own}",
            }
            copy.write_row((number, codec.encode(error, what="error", limit=2**20)))
            groups.append(failure(f"shop.tasks.task_{number % TASKS}", error))
    (now,) = connection.execute("SELECT now FROM month").fetchone() or ()
    nobody = "00000000-0000-0000-0000-000000000000"
    ErrorGroup.objects.bulk_create(
        ErrorGroup(id=number + 1, first_seen=now, last_seen=now, last_run=nobody, **group._asdict())
        for number, group in enumerate(groups)
    )


ENDED: Final = f"""
    INSERT INTO openqueue_run (
        id, task_id, queue, runtime, status, reason, priority, payload, result, error, tags, attempt, max_attempts,
        crash_count, cycle, version, worker_id, outcome, created_at, scheduled_for, started_at, finished_at
    )
    SELECT {uuid(1, "created", "n")}, {task("t")}, {queue("t")}, 'default', ended,
        CASE ended WHEN 'failed' THEN 'error' WHEN 'cancelled' THEN 'by_user' ELSE '' END, 0,
        '{{"order": ' || n || ', "note": "' || repeat('x', 120) || '"}}',
        CASE WHEN ended = 'completed' THEN '"done"' END, error,
        CASE WHEN n % 2 = 0 THEN '["customer:' || n * 31 % {TAGS} || '"]' END,
        CASE WHEN ended = 'failed' THEN 3 WHEN ended = 'expired' THEN 0 ELSE 1 END, 3, 0, 1, 3,
        CASE WHEN ended <> 'expired' THEN {worker("n")} END, ended, created, created,
        CASE WHEN ended <> 'expired' THEN created + waited END, created + waited + took
    FROM month, generate_series(1::bigint, {RUNS}) AS g (n)
        CROSS JOIN LATERAL (SELECT CASE WHEN n % 100 < 92 THEN 'completed' WHEN n % 100 < 97 THEN 'failed'
            WHEN n % 100 < 99 THEN 'cancelled' ELSE 'expired' END) AS e (ended)
        CROSS JOIN LATERAL (SELECT (n / 100 * 5 + n % 100 - 92) % {ERRORS}) AS f (kind)
        CROSS JOIN LATERAL (SELECT CASE WHEN ended = 'failed' THEN kind ELSE n END) AS h (t)
        CROSS JOIN LATERAL (SELECT now - interval '60 s' - interval '{DAYS} days' * ({RUNS} - n) / {RUNS},
            interval '1 ms' * (n * 7919 % 4000), interval '10 ms' * power(2, n % 12)) AS w (created, waited, took)
        LEFT JOIN month_error ON ended = 'failed' AND number = kind
    ORDER BY n
"""


def _unfinished() -> str:
    """Runs that are queued, delayed, running or waiting in flows, in a mixed order and in all queues."""
    whens, edge = "", 0
    for status, number in UNFINISHED.items():
        edge += number
        whens += f" WHEN n <= {edge} THEN '{status}'"
    return f"""
        INSERT INTO openqueue_run (
            id, task_id, queue, runtime, status, reason, priority, payload, error, tags, attempt, max_attempts,
            crash_count, cycle, version, worker_id, created_at, scheduled_for, started_at
        )
        SELECT {uuid(1, "created", f"{RUNS} + n")}, {task("n")}, {queue("n")}, 'default', standing,
            CASE WHEN standing = 'retrying' THEN 'error' ELSE '' END, n % 5 * 10,
            '{{"order": ' || n || ', "note": "' || repeat('x', 120) || '"}}', error,
            CASE WHEN n % 2 = 0 THEN '["customer:' || n * 31 % {TAGS} || '"]' END,
            CASE WHEN standing IN ('running', 'retrying') THEN 1 ELSE 0 END, 3, 0, 1,
            CASE WHEN standing IN ('running', 'retrying') THEN 2 ELSE 1 END,
            CASE WHEN standing IN ('running', 'retrying') THEN {worker("n")} END, created,
            CASE WHEN standing = 'scheduled' THEN now + interval '10 s' * (n * 7919 % 100000) + interval '6 hours'
                ELSE created END,
            CASE WHEN standing IN ('running', 'retrying') THEN created + interval '1 s' END
        FROM month, generate_series(1::bigint, {edge}) AS g (n)
            CROSS JOIN LATERAL (SELECT CASE {whens} END) AS s (standing)
            CROSS JOIN LATERAL (SELECT now - interval '30 ms' * (n * 7919 % {edge})) AS c (created)
            LEFT JOIN month_error ON standing = 'retrying' AND number = n % {ERRORS}
    """


OUTBOX: Final = f"""
    INSERT INTO openqueue_outbox (
        run_id, seq, attempt, task_id, runtime, queue, priority, due_at, ready, expires_at, announce_at, tries
    )
    SELECT id, version, attempt + 1, task_id, runtime, queue, priority, due, status = 'queued',
        CASE WHEN get_byte(uuid_send(id), 15) % 10 = 0 THEN due + interval '1 day' END, due, 0
    FROM month, openqueue_run,
        LATERAL (SELECT CASE WHEN status = 'retrying' THEN now + interval '6 hours' ELSE scheduled_for END) AS d (due)
    WHERE status IN {PLACES}
"""
CLAIMS: Final = """
    INSERT INTO openqueue_claim (run_id, seq, attempt, task_id, worker_id, token, queue, claimed_at)
    SELECT id, version, attempt, task_id, worker_id, md5(id::text)::uuid, queue, started_at
    FROM openqueue_run WHERE status = 'running'
"""
EVENTS: Final = """
    INSERT INTO openqueue_runevent (run_id, version, attempt, kind, token, actor, at)
    SELECT id, v.version, least(v.version - 1, 1), CASE WHEN v.version = 3 THEN status ELSE v.kind END,
        CASE WHEN v.version = 3 THEN md5(id::text)::uuid END, '',
        CASE v.version WHEN 1 THEN created_at WHEN 2 THEN coalesce(started_at, created_at) ELSE finished_at END
    FROM openqueue_run, (VALUES (1, 'triggered'), (2, 'started'), (3, '')) AS v (version, kind)
    WHERE v.version <= openqueue_run.version
"""


def _rolled(seconds: int, days: int) -> str:
    """Return what writes the roll-ups of one period, as the engine would."""
    lengths = {
        "wait": "CASE WHEN attempt = 1 THEN extract(epoch FROM started_at - scheduled_for) END",
        "time": f"""CASE WHEN outcome = 'completed' OR outcome = 'failed' AND reason IN {OF_A_BODY}
            THEN extract(epoch FROM finished_at - started_at) END""",
    }
    parts, joins = [], []
    for name, length in lengths.items():
        bucket = f"CASE WHEN {name} <= {SHORTEST} THEN 0 ELSE ceil(ln({name} / {SHORTEST}) / ln(2.0) * {STEPS}) END"
        parts.append(f"{length} AS {name}")
        joins.append(
            f"""{name}s AS (
                SELECT start, task_id, queue, json_object_agg(bucket::int, number) AS shown FROM (
                    SELECT start, task_id, queue, {bucket} AS bucket, count(*) AS number FROM ended
                    WHERE {name} IS NOT NULL GROUP BY 1, 2, 3, 4
                ) AS b GROUP BY 1, 2, 3
            )"""
        )
    return f"""
        WITH ended AS MATERIALIZED (
            SELECT to_timestamp(floor(extract(epoch FROM finished_at) / {seconds}) * {seconds}) AS start, task_id,
                queue, outcome, attempt, {", ".join(parts)}
            FROM month, openqueue_run WHERE outcome IS NOT NULL AND finished_at > now - interval '{days} days'
        ), counts AS (
            SELECT start, task_id, queue, count(*) FILTER (WHERE outcome = 'completed') AS completed,
                count(*) FILTER (WHERE outcome = 'failed') AS failed,
                count(*) FILTER (WHERE outcome = 'cancelled') AS cancelled,
                count(*) FILTER (WHERE outcome = 'expired') AS expired,
                sum(greatest(attempt - 1, 0)) AS retries, coalesce(sum(wait), 0) AS wait,
                coalesce(sum(time), 0) AS time, coalesce(max(time), 0) AS longest
            FROM ended GROUP BY 1, 2, 3
        ), {", ".join(joins)}
        INSERT INTO openqueue_rollup (period, start, task_id, queue, completed, failed, cancelled, expired, retries,
            crashes, waits, times, wait_seconds, run_seconds, longest)
        SELECT {seconds}, start, task_id, queue, completed, failed, cancelled, expired, retries, 0,
            coalesce(waits.shown, '{{}}'), coalesce(times.shown, '{{}}'), wait, time, longest
        FROM counts LEFT JOIN waits USING (start, task_id, queue) LEFT JOIN times USING (start, task_id, queue)
        ORDER BY start
    """


def _failed(seconds: int, days: int) -> str:
    """Return what counts the failures of each group."""
    return f"""
        INSERT INTO openqueue_errorcount (group_id, period, start, count)
        SELECT number + 1, {seconds},
            to_timestamp(floor(extract(epoch FROM finished_at) / {seconds}) * {seconds}) AS start, count(*)
        FROM month, openqueue_run JOIN month_error USING (error)
        WHERE outcome = 'failed' AND finished_at > now - interval '{days} days'
        GROUP BY 1, 3 ORDER BY 3
    """


MONTHS_BEFORE: Final = """
    INSERT INTO openqueue_rollup (period, start, task_id, queue, completed, failed, cancelled, expired, retries,
        crashes, waits, times, wait_seconds, run_seconds, longest)
    SELECT period, start - interval '31 days' * n, task_id, queue, completed, failed, cancelled, expired, retries,
        crashes, waits, times, wait_seconds, run_seconds, longest
    FROM openqueue_rollup, generate_series(1, 12) AS g (n)
    WHERE period = 86400 OR period = 3600 AND n <= 2
"""
"""Their runs are gone; hours are kept for three months, days for two years."""
MARKS: Final = """
    INSERT INTO openqueue_rollupmark (name, until, sure_until)
    SELECT name, date_trunc(unit, now, 'UTC'), date_trunc(unit, now, 'UTC')
    FROM month, (VALUES ('minutes', 'minute'), ('hours', 'hour'), ('days', 'day')) AS p (name, unit)
"""
GROUPS: Final = """
    UPDATE openqueue_errorgroup SET count = found.count, first_seen = found.first, last_seen = found.last,
        last_run = found.run,
        state = CASE WHEN id % 10 = 0 THEN 'resolved' WHEN id % 10 = 1 THEN 'ignored' ELSE 'open' END
    FROM (
        SELECT number + 1 AS number, count(*), min(finished_at) AS first, max(finished_at) AS last,
            (array_agg(openqueue_run.id ORDER BY finished_at DESC))[1] AS run
        FROM openqueue_run JOIN month_error USING (error) WHERE outcome = 'failed' GROUP BY 1
    ) AS found WHERE openqueue_errorgroup.id = found.number
"""
