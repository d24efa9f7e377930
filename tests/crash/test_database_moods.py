"""A database that is there and does not do what it is asked: conflicts, limits, no room, no writing, foreign locks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest
from django.db import DatabaseError, connections
from django.utils import timezone
from psycopg import IsolationLevel

from openqueue.models import Run, RunEvent, Worker
from tests.app.crash_tasks import gated, quick
from tests.crash.invariants import check
from tests.crash.stage import LEASE, Gates, Stage, kinds, settled
from tests.eventually import eventually
from tests.servers import databases
from tests.servers.pgbouncer import PgBouncer
from tests.servers.postgresql import PostgreSQL

pytestmark = [pytest.mark.crash, pytest.mark.postgresql]


def all_end(gates: Gates, *, within: float = 40) -> None:
    eventually(lambda: not Run.objects.filter(outcome__isnull=True).exists(), within=within)
    check(gates, quiet=True)
    assert set(Run.objects.values_list("status", "crash_count")) == {("completed", 0)}


@pytest.mark.parametrize("level", [IsolationLevel.REPEATABLE_READ, IsolationLevel.SERIALIZABLE])
def test_serialisation_failures_are_nobody_s_failed_attempt(
    stage: Stage, gates: Gates, level: IsolationLevel
):
    """The project asks for an isolation in which PostgreSQL ends one of two transactions that meet."""
    runs = quick.trigger_many([{"failures": n % 2} for n in range(60)])
    for _ in range(3):
        stage.worker(database={"OPTIONS": {"isolation_level": int(level)}})
    all_end(gates)
    attempts = dict(Run.objects.values_list("pk", "attempt"))
    assert [attempts[run.id] for run in runs] == [1 + n % 2 for n in range(60)]
    assert not RunEvent.objects.filter(kind="late_result_discarded").exists()


@pytest.fixture
def pgbouncer() -> Iterator[PgBouncer]:
    with PgBouncer(databases.address(), pool=4) as pgbouncer:
        yield pgbouncer


def test_behind_pgbouncer_in_transaction_mode_nothing_needs_a_session(
    stage: Stage, gates: Gates, pgbouncer: PgBouncer
):
    """Two workers share four connections: no LISTEN, no prepared statement, no lock that a session holds."""
    for _ in range(2):
        stage.worker(port=pgbouncer.port, database={"DISABLE_SERVER_SIDE_CURSORS": True})
    quick.trigger_many([{"failures": n % 2} for n in range(60)])
    quick.using(delay=1).trigger()
    all_end(gates)


def test_while_no_connection_is_left_leases_are_kept_and_what_runs_is_recorded(stage: Stage, gates: Gates):
    run = gated.trigger()
    worker = stage.worker("--concurrency", "1")
    gates.wait_inside(run)
    stage.have_watched()
    with contextlib.ExitStack() as hog:
        with contextlib.suppress(psycopg.OperationalError):
            while True:
                hog.enter_context(psycopg.connect(databases.address().geturl(), dbname="postgres"))
        late = stage.worker("--concurrency", "1", wait=False)
        until = timezone.now() + timedelta(seconds=2 * LEASE)
        eventually(lambda: Worker.objects.filter(lease_until__gt=until).exists())
        gates.open(run)
        row = settled(run)
        assert (row.attempt, row.crash_count) == (1, 0)
        assert not late.incarnations
    assert settled(quick.trigger()).attempt == 1
    assert len(worker.incarnations) == 1
    late.ready()


def test_while_the_database_only_reads_triggers_raise_workers_wait_and_all_goes_on_by_itself(
    stage: Stage, gates: Gates, postgresql: PostgreSQL
):
    """A replica after a failover, a volume that was made read-only."""
    runs = [gated.trigger(), gated.trigger()]
    workers = [stage.worker("--concurrency", "1") for _ in runs]
    for run in runs:
        gates.wait_inside(run)
    stage.have_watched()
    waiting = quick.trigger()
    with postgresql.configured(default_transaction_read_only="on"):
        stage.leases_end()
        with pytest.raises(DatabaseError):
            quick.trigger()
        gates.open()
        for run in runs:
            gates.wait_ended(run)
        assert all(worker.process.poll() is None for worker in workers)
        assert all(worker.said().count("\n") < 1_000 for worker in workers), "a busy loop"
    connections.close_all()
    for run in [*runs, waiting]:
        row = settled(run)
        assert (row.attempt, row.crash_count) == (1, 0)
    assert kinds(runs[0]) == ["triggered", "started", "completed"]


def test_without_room_on_the_disk_triggers_raise_and_all_goes_on_when_there_is_some(
    stage: Stage, gates: Gates, postgresql: PostgreSQL
):
    run = gated.trigger()
    worker = stage.worker("--concurrency", "2")
    gates.wait_inside(run)
    ballast = quick.using(queue="ballast", delay=3_600, meta={"ballast": "x" * 1_500})
    with postgresql.full_disk():
        with pytest.raises(DatabaseError):
            while True:
                ballast.trigger_many([{}] * 500)
        gates.open()
        gates.wait_ended(run)
        assert worker.process.poll() is None
    connections.close_all()
    assert settled(run).crash_count == 0
    assert settled(quick.trigger()).attempt == 1
