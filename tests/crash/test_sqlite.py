"""SQLite's own bad days: one writer at a time, and somebody who does not stop writing."""

from __future__ import annotations

import sqlite3
from collections import Counter

import pytest
from django.db import connection

from openqueue.models import Run
from tests.app.crash_tasks import gated, quick
from tests.crash.invariants import check
from tests.crash.stage import Gates, Stage, kinds, settled
from tests.eventually import eventually

pytestmark = [pytest.mark.crash, pytest.mark.sqlite, pytest.mark.sqlite_too]


def test_locked_for_longer_than_the_lease_nothing_is_lost_and_nobody_charged(stage: Stage, gates: Gates):
    """A backup, a report, a shell that forgot to commit. The workers' own patience is a second."""
    runs = [gated.trigger(), gated.trigger()]
    impatient = {"OPTIONS": {"timeout": 1}}
    workers = [stage.worker("--concurrency", "1", database=impatient) for _ in runs]
    for run in runs:
        gates.wait_inside(run)
    stage.have_watched()
    writer = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")
    gates.open()
    for run in runs:
        gates.wait_ended(run)
    stage.leases_end()
    assert all(worker.process.poll() is None for worker in workers)
    writer.rollback()
    writer.close()
    for run in runs:
        row = settled(run)
        assert (row.attempt, row.crash_count) == (1, 0)
        assert kinds(run) == ["triggered", "started", "completed"]


def test_two_workers_on_one_file_begin_every_body_once(stage: Stage, gates: Gates):
    workers = [stage.worker() for _ in range(2)]
    runs = [run for _ in range(20) for run in quick.trigger_many([{"longest": 0.02}] * 15)]
    eventually(lambda: not Run.objects.filter(outcome__isnull=True).exists(), within=60)
    check(gates, expected=[run.id for run in runs], quiet=True)
    begun = Counter((effect.run, effect.attempt) for effect in gates.effects())
    assert begun == Counter((str(run.id), 1) for run in runs)
    assert {effect.pid for effect in gates.effects()} == {worker.pid for worker in workers}
