"""A database that ends statements after a tenth of a second: what is too much at once is done in smaller batches."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection

from openqueue.models import Outbox, Run
from openqueue.processes.sweeps.due import Due
from openqueue.processes.sweeps.expiry import Expiry
from openqueue.processes.sweeps.reaper import Reaper
from openqueue.processes.sweeps.retention import Retention
from tests.store import fleet
from tests.store.fleet import Clock, FakeWorker

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]

SLOW = """
    CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS
        $$BEGIN PERFORM pg_sleep(0.003); RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END; END$$;
    CREATE TRIGGER dawdle BEFORE UPDATE OR DELETE ON openqueue_run FOR EACH ROW EXECUTE FUNCTION dawdle();
    CREATE TRIGGER dawdle BEFORE UPDATE ON openqueue_outbox FOR EACH ROW EXECUTE FUNCTION dawdle();
"""
RUNS = 100
"""Three milliseconds each: three times what is allowed."""


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def impatient() -> Iterator[None]:
    """From here on every row takes its time, and no statement may."""
    with connection.cursor() as cursor:
        cursor.execute(SLOW)
        cursor.execute("SET statement_timeout = '100ms'")
    yield
    with connection.cursor() as cursor:
        cursor.execute("RESET statement_timeout")
        cursor.execute("DROP FUNCTION dawdle CASCADE")


def test_what_lost_workers_held_comes_back(clock: Clock, request: pytest.FixtureRequest):
    fleet.make_run(clock, runs=RUNS)
    assert len(FakeWorker(clock).claim()) == RUNS
    clock.pass_(31)
    request.getfixturevalue("impatient")
    assert Reaper(trusting=True).step(clock.now) == RUNS


def test_history_is_deleted(clock: Clock, request: pytest.FixtureRequest):
    fleet.make_run(clock, runs=RUNS)
    worker = FakeWorker(clock)
    worker.settle(*map(fleet.completes, worker.claim()))
    clock.pass_(31 * 86_400)
    request.getfixturevalue("impatient")
    assert Retention().step(clock.now) >= RUNS
    assert not Run.objects.exists()


def test_delayed_runs_fall_due_and_expire(clock: Clock, request: pytest.FixtureRequest):
    fleet.make_run(clock, runs=RUNS, delay=1, ttl=5)
    clock.pass_(2)
    request.getfixturevalue("impatient")
    due = Due()
    while due.step(clock.now):
        pass
    assert Outbox.objects.filter(ready=True).count() == RUNS
    clock.pass_(5)
    expiry = Expiry()
    while expiry.step(clock.now):
        pass
    assert set(Run.objects.values_list("status", flat=True)) == {"expired"}
