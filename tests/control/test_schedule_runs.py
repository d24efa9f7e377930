"""The last runs of many schedules, and what the clocks do to the next ones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from openqueue.control import schedule_runs, schedule_times, schedules
from openqueue.control.actor import Actor
from openqueue.models import Run, ScheduleTick
from openqueue.processes.sweeps.schedules import Schedules
from tests.app.tasks import add
from tests.schedules.builders import MINUTE, NINE, make

PAYLOAD = {"a": 1, "b": 2}


def ticked(*keys: str, times: int) -> list[int]:
    rows = [make(add, key=key, payload=PAYLOAD) for key in keys]
    sweep = Schedules()
    sweep.is_synchronised = True
    for number in range(1, times + 1):
        sweep.step(NINE + 10 * number * MINUTE)
    return [row.pk for row in rows]


@pytest.mark.django_db
def test_the_last_runs_of_each_schedule_are_read_in_three_statements(django_assert_num_queries: Any):
    one, two, three = ticked("one", "two", "three", times=4)
    unborn = make(add, key="unborn", payload=PAYLOAD).pk
    with django_assert_num_queries(3):
        found = schedule_runs.latest([one, two, unborn], most=3)
    assert set(found) == {one, two, unborn}
    assert [past.at for past in found[one]] == [NINE + 10 * n * MINUTE for n in (2, 3, 4)]
    assert {past.run.status for past in found[two]} == {"queued"}
    assert not {past.run.id for past in found[one]} & {past.run.id for past in found[two]}
    assert found[unborn] == []
    with django_assert_num_queries(3):
        assert len(schedule_runs.latest([one, two, three])[three]) == 4


@pytest.mark.django_db
def test_a_run_by_hand_is_among_them_and_ticks_without_a_run_are_not():
    (one,) = ticked("one", times=2)
    ScheduleTick.objects.create(schedule_id=one, tick=NINE + 25 * MINUTE, outcome="missed", at=NINE)
    by_hand = schedules.trigger_now(one, actor=Actor(name="ada"))
    gone = ScheduleTick.objects.filter(schedule_id=one, run_id__isnull=False).earliest("tick").run_id
    Run.objects.filter(pk=gone).delete()
    past = schedule_runs.latest([one])[one]
    assert [
        (one.is_by_hand, one.run.id == by_hand.id) for one in sorted(past, key=lambda one: one.is_by_hand)
    ] == [
        (False, False),
        (True, True),
    ]


def due(
    *moments: datetime, cron: str, zone: str = "Europe/Berlin", before: datetime
) -> list[schedule_times.Due]:
    facts: Any = type("Facts", (), {"cron": cron, "timezone": zone})
    return schedule_times.due(facts, moments, now=before)


def test_a_time_that_the_clocks_leave_out_is_named():
    """On 28 March 2027 Berlin's clocks go from 02:00 to 03:00; 02:30 is due at 01:30 UTC."""
    night = datetime(2027, 3, 28, 1, 30, tzinfo=UTC)
    day = timedelta(days=1)
    eve, lost, after = due(
        night - day,
        night,
        datetime(2027, 3, 29, 0, 30, tzinfo=UTC),
        cron="30 2 * * *",
        before=night - 2 * day,
    )
    assert (eve.clocks_moved, eve.is_left_out, eve.wall.hour) == (0, False, 2)
    assert (lost.clocks_moved, lost.is_left_out, lost.wall.hour) == (3_600, True, 3)
    assert (after.clocks_moved, after.is_left_out, after.wall.hour) == (0, False, 2)


def test_a_time_that_the_clocks_show_twice_is_named():
    """On 31 October 2027 Berlin's clocks go back from 03:00 to 02:00."""
    first = datetime(2027, 10, 31, 0, 30, tzinfo=UTC)
    twice, after = due(
        first, datetime(2027, 11, 1, 1, 30, tzinfo=UTC), cron="30 2 * * *", before=first - timedelta(hours=2)
    )
    assert (twice.is_shown_twice, twice.clocks_moved) == (True, 0)
    assert (after.is_shown_twice, after.clocks_moved) == (False, -3_600)
