"""How runs ended in a period, counted by the database: by minute, task, queue, outcome, and buckets of wait and time.

Read through the index (outcome, finished_at) alone: settling a run costs nothing more for being counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from django.db.models import Min

from openqueue.models import Run
from openqueue.states import FINAL, Reason
from openqueue.store.base import BaseStore
from openqueue.store.ending import text

MINUTE: Final = timedelta(minutes=1)
SHORTEST: Final = 0.001
"""Seconds that the first bucket holds at most."""
STEPS: Final = 4
"""Buckets from one length to twice that length."""
OUTCOMES: Final = tuple(sorted(status.value for status in FINAL))
OF_A_BODY: Final = tuple(
    r.value for r in (Reason.ERROR, Reason.TIMED_OUT, Reason.NON_RETRYABLE, Reason.RESULT_INVALID)
)
"""Failures that a body came to: others have no time of their own."""
LONGEST_WRITE: Final = timedelta(minutes=15)
"""Where a database does not tell which transactions are open: none that ends runs takes longer."""
PATIENCE: Final = timedelta(minutes=2)
"""A statement that waits for a lock has taken its moment before."""
WORDS: Final = {
    "postgresql": {
        "minute": "floor(extract(epoch FROM finished_at) / 60)::bigint",
        "seconds": "extract(epoch FROM ({1} - {0}))::float8",
    },
    "mysql": {
        "minute": "TIMESTAMPDIFF(MINUTE, '1970-01-01', finished_at)",
        "seconds": "(TIMESTAMPDIFF(MICROSECOND, {0}, {1}) / 1000000e0)",
    },
    "sqlite": {
        "minute": "(CAST(strftime('%%s', substr(finished_at, 1, 16)) AS INTEGER) / 60)",
        "seconds": "((julianday({1}) - julianday({0})) * 86400.0)",
    },
}
OPEN_TRANSACTIONS: Final = """
    SELECT extract(epoch FROM least(
        min(xact_start) FILTER (WHERE backend_xid IS NOT NULL OR state = 'active'),
        (SELECT min(prepared) - %(longest)s FROM pg_prepared_xacts WHERE database = current_database())
    ))::float8, count(*) FILTER (WHERE state IS NULL OR state = 'disabled')
    FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""


class Ended(NamedTuple):
    """Runs that ended alike."""

    minute: int
    """Since 1970."""
    task_id: str
    queue: str
    outcome: str
    wait: int | None
    """Bucket; None: no wait of theirs is known."""
    time: int | None
    number: int
    retries: int
    crashes: int
    wait_seconds: float | None
    run_seconds: float | None
    longest: float | None


def counted(
    store: BaseStore,
    since: datetime,
    before: datetime,
    *,
    task_id: str | None = None,
    queue: str | None = None,
) -> Iterator[Ended]:
    """Count what ended in a period, in one statement; as many rows as there are different endings."""
    vendor = store.connection.vendor
    words = WORDS[vendor]
    wait = words["seconds"].format("scheduled_for", "started_at")
    time = words["seconds"].format("started_at", "finished_at")
    more, values = "", []
    for column, value in (("task_id", task_id), ("queue", queue)):
        if value is not None:
            more += f" AND {column} = %s"
            values.append(value)
    moments: list[Any] = [since, before] if vendor == "postgresql" else [text(since), text(before)]
    sql = f"""
        SELECT minute, task_id, queue, outcome, {_bucket("wait")} AS wait_bucket, {_bucket("time")} AS time_bucket,
            count(*), sum(retries), sum(crash_count), sum(wait), sum(time), max(time)
        FROM (
            SELECT {words["minute"]} AS minute, task_id, queue, outcome, crash_count,
                CASE WHEN attempt > crash_count + 1 THEN attempt - crash_count - 1 ELSE 0 END AS retries,
                CASE WHEN attempt = 1 AND crash_count = 0 THEN {wait} END AS wait,
                CASE WHEN outcome = 'completed' OR outcome = 'failed' AND reason IN {OF_A_BODY} THEN {time} END AS time
            FROM openqueue_run
            WHERE outcome IN {OUTCOMES} AND finished_at >= %s AND finished_at < %s{more}
        ) AS ended
        GROUP BY 1, 2, 3, 4, 5, 6
    """
    with store.connection.cursor() as cursor:
        cursor.execute(sql, [*moments, *values])
        for row in cursor.fetchall():
            yield Ended(
                int(row[0]),
                *row[1:4],
                *(None if v is None else int(v) for v in row[4:6]),
                *map(int, row[6:9]),
                *row[9:],
            )


def _bucket(seconds: str) -> str:
    scale = f"CEILING(LN({seconds} / {SHORTEST}) / LN(2.0) * {STEPS})"
    return f"CASE WHEN {seconds} IS NULL THEN NULL WHEN {seconds} <= {SHORTEST} THEN 0 ELSE {scale} END"


def first_ended(store: BaseStore, since: datetime) -> datetime | None:
    """Return when the first run ended since a moment, by a look into the index for each outcome."""
    runs = Run.objects.using(store.alias).filter(finished_at__gte=since)
    found = [runs.filter(outcome=one).aggregate(first=Min("finished_at"))["first"] for one in OUTCOMES]
    return min((moment for moment in found if moment is not None), default=None)


def settled_before(store: BaseStore, moment: datetime, *, is_clock: bool) -> datetime:
    """Return before which moment no run can be said to have ended any more: what could commit that, has.

    is_clock: ``moment`` is the database's clock, so that the starts of its transactions can be compared with it.
    """
    vendor = store.connection.vendor
    if vendor == "mysql":
        return moment - LONGEST_WRITE  # which transactions are open is told to those with PROCESS only
    if vendor != "postgresql" or not is_clock:
        return moment - PATIENCE
    with store.connection.cursor() as cursor:
        cursor.execute(OPEN_TRANSACTIONS, {"longest": LONGEST_WRITE})
        oldest, hidden = cursor.fetchone()
    found = moment - PATIENCE
    if oldest is not None:
        found = min(found, datetime.fromtimestamp(oldest, UTC))
    return min(found, moment - LONGEST_WRITE) if hidden else found


def floor(moment: datetime, period: timedelta = MINUTE) -> datetime:
    """Return the beginning of the minute, hour or UTC day that a moment lies in."""
    whole = moment.timestamp() // period.total_seconds() * period.total_seconds()
    return datetime.fromtimestamp(whole, UTC)
