"""Somebody's transaction holds rows of ours and does not end: an open psql, a report, a stuck request."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import psycopg
import pytest
from django.db import connection, connections, transaction

from openqueue.control import bulk, runs
from openqueue.control.actor import Actor
from openqueue.core import cancellation
from openqueue.errors import RunLocked
from openqueue.models import Run
from tests.app.crash_tasks import gated, quick
from tests.crash.stage import Gates, Stage, settled
from tests.eventually import eventually
from tests.servers import databases
from tests.store import fleet
from tests.store.fleet import Clock, FakeWorker

pytestmark = [pytest.mark.crash, pytest.mark.postgresql]
ADA = Actor(name="ada")


def stranger() -> psycopg.Connection:
    return psycopg.connect(databases.address().geturl(), dbname=connection.settings_dict["NAME"])


@contextmanager
def locked(run_id: object) -> Iterator[None]:
    """Somebody looks at a run FOR UPDATE and goes to lunch."""
    with stranger() as other:
        other.execute("SELECT 1 FROM openqueue_run WHERE id = %s FOR UPDATE", [run_id])
        yield
        other.rollback()


def test_a_locked_run_is_passed_over_and_the_others_behind_it_flow(stage: Stage, gates: Gates):
    first = quick.using(priority=9).trigger()
    with locked(first.id):
        stage.worker()
        others = quick.trigger_many([{}] * 20)
        for run in others:
            settled(run, within=10)
        assert gates.starts(first) == []
        began = time.monotonic()
        with pytest.raises(RunLocked, match="Another transaction"):
            first.cancel()
        assert time.monotonic() - began < 4
    assert first.cancel() == "cancelled"


@pytest.mark.django_db(transaction=True)
def test_a_cancel_inside_a_transaction_leaves_its_patience_as_it_was():
    first, second = fleet.make_run(Clock(), runs=2)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '7s'")
        cancellation.cancel([first], actor="me")
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone() == ("7s",)
    cancellation.cancel([second], actor="me")
    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone() == ("0",)


def test_the_record_of_a_locked_run_waits_alone(stage: Stage, gates: Gates):
    run = gated.trigger()
    stage.worker("--concurrency", "2")
    gates.wait_inside(run)
    with locked(run.id):
        gates.open(run)
        gates.wait_ended(run)
        for other in quick.trigger_many([{"failures": 1}] * 5):
            settled(other, within=15)
        assert Run.objects.get(pk=run.id).status == "running"
    row = settled(run, within=5)
    assert (row.attempt, row.crash_count) == (1, 0)


def somebody_waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        return bool(cursor.fetchone()[0])


@pytest.mark.django_db(transaction=True)
def test_a_deadlock_with_somebody_else_s_transaction_is_sent_again():
    clock = Clock()
    first, second = sorted(fleet.make_run(clock, runs=2))
    worker = FakeWorker(clock)
    attempts = worker.claim()
    told: list[list[str]] = []

    def settle() -> None:
        told.append(worker.settle(*map(fleet.completes, attempts)))
        connections.close_all()

    with stranger() as other:
        other.execute("SET deadlock_timeout = '20s'")  # ours is the one that notices, and is ended
        other.execute("UPDATE openqueue_run SET tags = '[]' WHERE id = %s", [second])
        thread = threading.Thread(target=settle)
        thread.start()
        eventually(somebody_waits_for_a_lock)
        other.execute("UPDATE openqueue_run SET tags = '[]' WHERE id = %s", [first])
        other.commit()
        thread.join(20)
    assert told == [["completed", "completed"]]


@pytest.mark.django_db(transaction=True)
def test_an_act_on_many_runs_skips_those_that_somebody_has_locked():
    made = [run.id for run in quick.using(delay=3_600).trigger_many([{}] * 50)]
    asked = bulk.ask("cancel", "status:scheduled", actor=ADA, drives=True)
    with locked(made[7]), locked(made[31]):
        began = time.monotonic()
        done = list(bulk.drive(asked.id))[-1]
        assert time.monotonic() - began < 8
    assert (done.acted, done.skipped) == (48, {"locked": 2})
    assert set(Run.objects.exclude(status="cancelled").values_list("pk", flat=True)) == {made[7], made[31]}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("act", [runs.cancel, runs.promote, partial(runs.prioritise, priority=7)])
def test_an_act_on_a_locked_run_is_refused_within_seconds(act):
    made = fleet.make_run(Clock(), runs=2, delay=10**8)
    with locked(made[0]):
        began = time.monotonic()
        with pytest.raises(RunLocked):
            act(made, actor=ADA)
        assert time.monotonic() - began < 4
    assert set(Run.objects.values_list("status", "priority", "version")) == {("scheduled", 0, 1)}
