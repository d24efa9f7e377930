"""Ten thousand schedules due at once."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.db.models import F, Max
from django.test.utils import CaptureQueriesContext

from openqueue.models import Run, Schedule, ScheduleTick
from openqueue.processes.sweeps.schedules import BATCH, Schedules
from openqueue.schedules import changes
from openqueue.schedules.rule import Rule
from openqueue.store import store
from tests.app.tasks import add
from tests.bench.measuring import slowness
from tests.eventually import eventually

pytestmark = [pytest.mark.scale, pytest.mark.postgresql]

COUNT = 10_000
LATEST = timedelta(seconds=5)
"""On the machine of reference."""


def fill(count: int, *, due: datetime) -> None:
    """Make schedules of their own texts, due at one moment and daily after it."""
    at = due - timedelta(seconds=30)
    rows = []
    for n in range(count):
        row = Schedule(
            task_id=add.id, key=f"digest:{n}", payload={"a": n, "b": 1}, created_at=at, updated_at=at
        )
        minutes = f"{due.minute},{(due.minute + 1 + n % 59) % 60}"
        rule = {"cron": f"{minutes} {due.hour} * * *", "timezone": "UTC", "overlap": ("allow", "skip")[n % 2]}
        changes.obey(row, Rule.checked(rule))
        changes.set_next(row, at)
        rows.append(row)
    Schedule.objects.bulk_create(rows, batch_size=2_000)


@pytest.mark.usefixtures("fresh")
def test_a_page_takes_the_same_number_of_statements_whatever_its_size():
    sweep = Schedules()
    sweep.is_synchronised = True  # no schedules but the test's
    due = datetime(2027, 3, 1, 9, 0, tzinfo=UTC)
    fill(2 * BATCH + 1, due=due)
    counts = []
    for expected in (BATCH, BATCH, 1):
        with CaptureQueriesContext(connection) as seen:
            assert sweep.step(due) == expected
        counts.append(len([q for q in seen if "SAVEPOINT" not in q["sql"]]))
    assert counts[0] == counts[1] == counts[2] <= 12, counts
    assert Run.objects.filter(schedule_id__isnull=False).count() == 2 * BATCH + 1


def test_ten_thousand_schedules_due_at_once_are_triggered_within_seconds(
    fresh: str, environment: Callable[[str], dict[str, str]], tmp_path: Path
):
    slow = slowness()
    clock = store().clock(None)
    due = clock.replace(second=0, microsecond=0) + timedelta(minutes=1 if clock.second < 40 else 2)
    fill(COUNT, due=due)
    with (tmp_path / "scheduler.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "django", "openqueue_scheduler", "--only", "schedules"],
            env=environment(fresh), stdout=log, stderr=log,
        )  # fmt: skip
    try:
        eventually(lambda: ScheduleTick.objects.filter(tick=due).count() == COUNT, within=150)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
    latest = Run.objects.filter(schedule_id__isnull=False).aggregate(
        latest=Max(F("created_at") - F("scheduled_for"))
    )["latest"]
    print(f"{COUNT} schedules due at once: the last one was triggered after {latest.total_seconds():.1f} s")
    assert Run.objects.filter(schedule_id__isnull=False, scheduled_for=due).count() == COUNT
    assert latest < LATEST * slow
