"""The measurements: trigger, bulk trigger, drain, latency, idle, memory."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from django.db import connections, transaction

from openqueue.conf import config
from openqueue.core import post_commit
from openqueue.management.bench import accounting
from openqueue.management.bench.tasks import QUEUE, noop
from openqueue.models import Outbox, Run, RunEvent, RunLog

Tell = Callable[[str, float], None]
"""Told what is measured, and how far it is, 0 to 1."""
Figures = dict[str, Any]
REST: Final = 2.0
"""Seconds after which a worker without work looks as seldom as it ever does: it is idle only then."""
SCRATCH: Final = "openqueue_bench_row"
SMALL: Final = "openqueue_bench_small"
BULK: Final = 1_000


def trigger(*, size: int, tell: Tell) -> Figures:
    """One `trigger()` with its COMMIT against a bare INSERT of a run's row with its COMMIT, in interleaved pairs.

    The bare row has a run's columns and indexes, and goes into a table of its own: no event, no outbox, no checks.
    To compare, the same with the smallest row there is: a key and a text.
    """
    small, bare, ours = [], [], []
    with scratch_table(SMALL) as insert_small, scratch_table(SCRATCH) as insert:
        for number in range(size):
            small.append(seconds_of(partial(insert_small, [f"row {number}", "x" * 40])))
            bare.append(seconds_of(partial(insert, bare_row())))
            ours.append(seconds_of(noop.trigger))
            tell("trigger", (number + 1) / size)
    small_ms, bare_ms, ours_ms = (statistics.median(some) * 1000 for some in (small, bare, ours))
    return {
        "pairs": size,
        "bare_insert_ms": bare_ms,
        "trigger_ms": ours_ms,
        "ratio": ours_ms / bare_ms,
        "smallest_insert_ms": small_ms,
        "ratio_to_smallest": ours_ms / small_ms,
    }


def seconds_of(act: Callable[[], Any]) -> float:
    """Return what an act takes with its COMMIT."""
    begun = time.perf_counter()
    with transaction.atomic(using=config.database):
        act()
    return time.perf_counter() - begun


@contextmanager
def scratch_table(name: str) -> Iterator[Callable[[Sequence[Any]], None]]:
    """Make a table, like that of runs or the smallest there is; give the way to insert one row."""
    connection = connections[config.database]
    columns = (
        [str(field.column) for field in Run._meta.concrete_fields] if name == SCRATCH else ["id", "payload"]
    )
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS {name}")
        if name == SMALL:
            cursor.execute(f"CREATE TABLE {name} (id varchar(36) PRIMARY KEY, payload text)")
        elif connection.vendor == "postgresql":
            cursor.execute(f"CREATE TABLE {name} (LIKE openqueue_run INCLUDING ALL)")
        else:
            cursor.execute(f"CREATE TABLE {name} AS SELECT * FROM openqueue_run WHERE 0 = 1")  # noqa: S608  # ours
            cursor.execute(f"CREATE UNIQUE INDEX {name}_id ON {name} (id)")
            cursor.execute(f"CREATE INDEX {name}_finished ON {name} (outcome, finished_at)")
    marks = ", ".join(["%s"] * len(columns))
    statement = f"INSERT INTO {name} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608  # our own names

    def insert(row: Sequence[Any]) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement, row)

    try:
        yield insert
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP TABLE {name}")


def bare_row() -> list[Any]:
    """Return the values of a run as the database driver takes them."""
    now = datetime.now(UTC)
    run = Run(task_id=noop.id, queue=QUEUE, runtime="default", payload={}, max_attempts=1)
    run.created_at = run.scheduled_for = now
    connection = connections[config.database]
    return [
        field.get_db_prep_save(getattr(run, field.attname), connection) for field in Run._meta.concrete_fields
    ]


def bulk(*, size: int, tell: Tell) -> Figures:
    """`trigger_many` of 1,000 at a time."""
    begun, done = time.perf_counter(), 0
    while done < size:
        noop.trigger_many([{}] * min(BULK, size - done))
        done += min(BULK, size - done)
        tell("bulk trigger", done / size)
    took = time.perf_counter() - begun
    return {"runs": done, "seconds": took, "runs_per_second": done / took}


def drain(*, size: int, slots: int, tell: Tell) -> Figures:
    """Drain no-op runs with one worker process; its CPU from ready to done, the server's over the same time."""
    have = Outbox.objects.using(config.database).filter(queue=QUEUE).count()
    if have < size:
        bulk(size=size - have, tell=lambda _, share: tell("fill", share))
    post_commit.publisher.idle.wait(10)
    analyze()
    server_before, broker_before = accounting.server_cpu(), accounting.broker_cpu()
    with worker("--drain", slots=slots) as process:
        while process.poll() is None:
            left = Outbox.objects.using(config.database).filter(queue=QUEUE).count()
            tell("drain", 1 - left / max(size, have))
            time.sleep(0.25)
        told = report(process)
    server_after, broker_after = accounting.server_cpu(), accounting.broker_cpu()
    runs = told["runs"]
    figures = {
        "runs": runs,
        "seconds": told["seconds"],
        "runs_per_second": runs / told["seconds"],
        "worker_cpu_ms_per_run": told["cpu"] / runs * 1000,
        "rss_start_mb": told["rss_start"] / 2**20,
        "rss_end_mb": told["rss_end"] / 2**20,
    }
    if broker_before is not None and broker_after is not None:
        figures["broker_cpu_ms_per_run"] = (broker_after - broker_before) / runs * 1000
    if server_before is not None and server_after is not None:
        figures["server_cpu_ms_per_run"] = (server_after - server_before) / runs * 1000
        parts = ("worker", "server", "broker")
        figures["cpu_ms_per_run"] = sum(figures.get(f"{part}_cpu_ms_per_run", 0.0) for part in parts)
    return figures


def latency(*, size: int, slots: int, tell: Tell) -> Figures:
    """From `trigger()` to the start of the body on an idle worker, by the database's clock; then its idle cost."""
    with worker(slots=slots) as process:
        noop.trigger().wait(30)
        ids = []
        for number in range(size):
            run = noop.trigger()
            ids.append(run.id)
            run.wait(30)
            time.sleep(0.02)
            tell("latency", (number + 1) / size)
        rows = Run.objects.using(config.database).filter(pk__in=ids).values_list("created_at", "started_at")
        waits = sorted((started - created).total_seconds() * 1000 for created, started in rows if started)
        idle = idle_cost(process, tell=tell)
        process.terminate()
        process.wait(30)
    return {
        "runs": size,
        "p50_ms": statistics.median(waits),
        "p99_ms": waits[min(len(waits) - 1, int(len(waits) * 0.99))],
        "max_ms": waits[-1],
        **idle,
    }


def idle_cost(process: subprocess.Popen[str], *, tell: Tell, seconds: int = 5) -> Figures:
    time.sleep(REST)
    before = accounting.process_cpu(process.pid)
    for second in range(seconds):
        time.sleep(1)
        tell("idle", (second + 1) / seconds)
    used = accounting.process_cpu(process.pid) - before
    rss = accounting.resident(process.pid) or 0
    return {"idle_cpu_percent": used / seconds * 100, "idle_rss_mb": rss / 2**20}


@contextmanager
def worker(*options: str, slots: int) -> Iterator[subprocess.Popen[str]]:
    """Start a worker process that serves the benchmark's queue and nothing else."""
    command = [
        sys.executable,
        *main_program(),
        "openqueue_bench",
        "--as-worker",
        "--concurrency",
        str(slots),
        "--runtime",
        config.runtime_of(QUEUE).alias,
        *options,
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603  # our own command line
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


def main_program() -> list[str]:
    """Return how this command was started: manage.py, or python -m django."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return ["-m", spec.parent] if spec is not None and spec.parent else [sys.argv[0]]


def report(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Return what the worker process told at its end."""
    output = process.stdout.read() if process.stdout else ""
    if process.returncode or not output.strip():
        raise RuntimeError(f"the benchmark's worker ended with {process.returncode}. See its output above.")
    return json.loads(output.strip().splitlines()[-1])  # type: ignore[no-any-return]  # our own JSON


def analyze() -> None:
    connection = connections[config.database]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE openqueue_run, openqueue_outbox, openqueue_claim")


def clean() -> int:
    """Delete the benchmark's own runs; return how many."""
    runs = Run.objects.using(config.database).filter(queue=QUEUE)
    ids = runs.values("pk")
    Outbox.objects.using(config.database).filter(queue=QUEUE).delete()
    for model in (RunEvent, RunLog):
        model.objects.using(config.database).filter(run_id__in=ids)._raw_delete(config.database)
    return runs._raw_delete(config.database)
