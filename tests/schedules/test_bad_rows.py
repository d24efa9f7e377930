"""What cannot become a run says so on its own row, and holds up nobody else."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import DataError

from openqueue.core import trigger
from openqueue.models import Run, Schedule, ScheduleTick
from openqueue.processes.sweeps.schedules import Schedules
from tests.schedules.builders import HOUR, MINUTE, NINE, make, told

pytestmark = pytest.mark.django_db


@pytest.fixture
def others(report: Any) -> list[Schedule]:
    return [make(report, key=f"good {n}") for n in range(5)]


def assert_others_ran(others: list[Schedule]) -> None:
    ran = Run.objects.filter(schedule_id__in=[row.pk for row in others])
    assert ran.count() == len(others)
    assert not Schedule.objects.filter(pk__in=[row.pk for row in others]).exclude(error="").exists()


def test_a_payload_that_does_not_fit_any_more(report: Any, sweep: Schedules, others: list[Schedule]):
    row = make(report, payload={"customer": "who"}, key="bad")
    sweep.step(NINE + 10 * MINUTE)
    assert_others_ran(others)
    row.refresh_from_db()
    assert row.error.startswith("PayloadInvalid: customer")
    assert (row.status, row.failures, row.next_tick) == ("failing", 1, NINE + 20 * MINUTE)
    assert told(row) == [("09:10", "failed")]
    assert ScheduleTick.objects.get(schedule=row).reason == row.error
    Schedule.objects.filter(pk=row.pk).update(payload={"customer": 3})
    sweep.step(NINE + 20 * MINUTE)
    row.refresh_from_db()
    assert (row.error, row.failures, row.status) == ("", 0, "active")


def test_a_zone_that_is_gone(report: Any, sweep: Schedules, others: list[Schedule]):
    row = make(report, key="bad")
    Schedule.objects.filter(pk=row.pk).update(timezone="Mars/Olympus")
    sweep.step(NINE + 10 * MINUTE)
    assert_others_ran(others)
    row.refresh_from_db()
    assert "Mars/Olympus" in row.error
    assert row.next_tick == NINE + 10 * MINUTE, "its tick is not lost"
    assert row.next_at == NINE + 11 * MINUTE
    Schedule.objects.filter(pk=row.pk).update(timezone="UTC")
    sweep.step(NINE + 11 * MINUTE)
    assert told(row) == [("09:10", "run")]


def test_a_schedule_of_a_task_unknown_here_is_left_to_those_who_know_it_and_says_so_after_a_minute(
    sweep: Schedules, others: list[Schedule]
):
    row = make("gone.task", key="bad")
    sweep.step(NINE + 10 * MINUTE)
    assert_others_ran(others)
    row.refresh_from_db()
    assert (row.error, row.next_at) == ("", NINE + 10 * MINUTE)
    sweep.step(NINE + 11 * MINUTE)
    row.refresh_from_db()
    assert row.error.startswith("UnknownTask: gone.task")
    assert row.next_at == NINE + 12 * MINUTE
    assert told(row) == [], "whoever knows the task will run it"


def test_a_queue_whose_runtime_cannot_keep_an_option(sweep: Schedules, others: list[Schedule], report: Any):
    row = make(report, key="bad")
    Schedule.objects.filter(pk=row.pk).update(options={"priority": 1_000})
    sweep.step(NINE + 10 * MINUTE)
    assert_others_ran(others)
    row.refresh_from_db()
    assert "priority" in row.error


def test_a_row_that_the_database_refuses_sinks_no_page(
    report: Any, sweep: Schedules, others: list[Schedule], monkeypatch: pytest.MonkeyPatch
):
    row = make(report, payload={"customer": 666}, key="bad")

    def create(runs: Any, **facts: Any) -> Any:
        if any("666" in run.payload for run in runs):
            raise DataError("no such number")
        return genuine(runs, **facts)

    genuine = trigger.transitions.create
    monkeypatch.setattr("openqueue.core.transitions.create", create)
    sweep.step(NINE + 10 * MINUTE)
    assert_others_ran(others)
    row.refresh_from_db()
    assert row.error == "DataError: no such number"
    assert told(row) == [("09:10", "failed")]


def test_a_tick_that_was_told_of_is_never_run_again(report: Any, sweep: Schedules, others: list[Schedule]):
    row = make(report, key="bad")
    ScheduleTick.objects.create(schedule=row, tick=NINE + 10 * MINUTE, outcome="run", at=NINE)
    sweep.step(NINE + 10 * MINUTE)
    assert_others_ran(others)
    assert not Run.objects.filter(schedule_id=row.pk).exists()
    sweep.step(NINE + 20 * MINUTE)
    assert Run.objects.filter(schedule_id=row.pk).count() == 1


def test_a_clock_that_is_put_back_repeats_nothing(report: Any, sweep: Schedules):
    row = make(report)
    sweep.step(NINE + HOUR)
    ran = Run.objects.count()
    sweep.step(NINE)
    sweep.step(NINE + HOUR)
    assert Run.objects.count() == ran
    row.refresh_from_db()
    assert row.next_tick == NINE + HOUR + 10 * MINUTE
