"""Clocks that are wrong, and clocks that are set while everything runs. The database's clock decides."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connections
from django.utils import timezone

from openqueue.models import Worker
from tests.app.crash_tasks import gated, quick
from tests.crash.clock import WallClock
from tests.crash.stage import LEASE, Gates, Stage, kinds, settled
from tests.eventually import eventually
from tests.servers.postgresql import PostgreSQL

pytestmark = [pytest.mark.crash, pytest.mark.postgresql]

MINUTES, HOUR = 600, 3_600


@pytest.fixture
def clock(tmp_path: Path) -> WallClock:
    return WallClock(tmp_path / "clock")


def test_workers_whose_clocks_are_wrong_run_nothing_early_and_take_nobody_for_dead(
    stage: Stage, gates: Gates, tmp_path: Path
):
    ahead, behind = (WallClock(tmp_path / name).set(by) for name, by in (("a", MINUTES), ("b", -MINUTES)))
    for clock in (ahead, behind):
        stage.worker(environment=clock.environment)
    began = timezone.now()
    stage.have_watched()
    runs = [quick.using(delay=1 + n / 10).trigger(failures=n % 2) for n in range(20)]
    for run in runs:
        row = settled(run)
        first = row.events.filter(kind="started").order_by("id").first()
        assert timedelta() <= first.at - row.scheduled_for < timedelta(seconds=5)
        assert timedelta() <= row.finished_at - row.started_at < timedelta(seconds=5)
    until = began + timedelta(seconds=2 * LEASE)
    eventually(lambda: Worker.objects.filter(state="running", lease_until__gt=until).count() == 2)
    assert Worker.objects.count() == 2
    assert {effect.pid for effect in gates.effects()} == {worker.pid for worker in stage.workers}


def test_a_clock_that_is_put_back_an_hour_changes_no_duration_and_stops_no_timeout(
    stage: Stage, gates: Gates, clock: WallClock
):
    worker = stage.worker(environment=clock.environment)
    run, hopeless = gated.trigger(), gated.using(timeout=2, max_attempts=1).trigger()
    for one in (run, hopeless):
        gates.wait_inside(one)
    clock.set(-HOUR)
    row = settled(hopeless, "failed", within=10)
    assert (row.reason, timedelta() < row.finished_at - row.started_at < timedelta(seconds=10)) == (
        "timed_out",
        True,
    )
    gates.open(run)
    row = settled(run)
    assert timedelta() < row.finished_at - row.started_at < timedelta(seconds=30)
    assert kinds(run) == ["triggered", "started", "completed"]
    assert settled(quick.trigger(failures=1)).attempt == 2
    assert worker.incarnations == list(Worker.objects.values_list("pk", flat=True))


@pytest.fixture
def server_clock(postgresql: PostgreSQL) -> Iterator[WallClock]:
    """The clock of PostgreSQL itself."""
    assert postgresql.folder is not None
    clock = WallClock(postgresql.folder / "clock")
    clock.file.chmod(0o644)
    connections.close_all()
    postgresql.stop()
    postgresql.start(**clock.environment)
    yield clock
    connections.close_all()
    postgresql.restart()


def test_the_database_s_clock_is_set_and_nobody_is_taken_for_dead(
    stage: Stage, gates: Gates, server_clock: WallClock
):
    """Histories go by version, leases by the clock that they are all written with."""
    stage.clock_was_set = True
    runs = [gated.trigger(), gated.trigger()]
    workers = [stage.worker("--concurrency", "2") for _ in runs]
    for run in runs:
        gates.wait_inside(run)
    stage.have_watched()
    for seconds in (-10, MINUTES):
        server_clock.set(seconds)
        assert settled(quick.trigger(failures=1)).attempt == 2
    gates.open()
    for run in runs:
        row = settled(run)
        assert (row.attempt, row.crash_count) == (1, 0)
        assert kinds(run) == ["triggered", "started", "completed"]
    assert Worker.objects.filter(state="running").count() == len(workers) == Worker.objects.count()
