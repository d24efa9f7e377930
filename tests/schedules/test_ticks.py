"""From due schedules to runs: each moment once, what is not run is told of, one bad row disturbs nobody."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from openqueue.models import Outbox, Run, RunEvent, Schedule, ScheduleTick
from openqueue.processes.sweeps.retention import Retention
from openqueue.processes.sweeps.schedules import Schedules
from openqueue.schedules import changes
from tests.schedules.builders import HOUR, MINUTE, NINE, end_runs, make, told

pytestmark = pytest.mark.django_db


def test_a_due_tick_becomes_one_run(report: Any, sweep: Schedules):
    row = make(report, payload={"customer": 7})
    assert sweep.step(NINE + 9 * MINUTE) == 0
    assert sweep.every == timedelta(seconds=1)
    assert sweep.step(NINE + 10 * MINUTE) == 1
    assert sweep.step(NINE + 10 * MINUTE) == 0
    (run,) = Run.objects.all()
    assert (run.task_id, run.payload, run.status) == (report.id, {"customer": 7}, "queued")
    assert (run.schedule_id, run.scheduled_for) == (row.pk, NINE + 10 * MINUTE)
    assert run.meta == {"schedule": "one", "tick": "2027-03-01T09:10:00+00:00"}
    assert Outbox.objects.filter(run=run, ready=True).exists()
    assert told(row) == [("09:10", "run")]
    kinds = RunEvent.objects.filter(run=run).order_by("id").values_list("kind", "data")
    assert list(kinds) == [
        ("triggered", None),
        ("tick", {"schedule": row.pk, "key": "one", "tick": "2027-03-01T09:10:00+00:00"}),
    ]
    row.refresh_from_db()
    assert (row.last_run_id, row.last_tick, row.last_run_at) == (
        run.id,
        NINE + 10 * MINUTE,
        NINE + 10 * MINUTE,
    )
    assert (row.next_tick, row.next_at, row.status) == (NINE + 20 * MINUTE, NINE + 20 * MINUTE, "active")


def test_a_schedule_whose_ticks_are_over_is_ended(report: Any, sweep: Schedules):
    row = make(report, cron="*/10 * * * *", ends_at=NINE + 10 * MINUTE)
    assert sweep.step(NINE + 10 * MINUTE) == 1
    row.refresh_from_db()
    assert (row.next_tick, row.next_at, row.status) == (None, None, "ended")
    assert sweep.step(NINE + HOUR) == 0


def test_the_sweep_wakes_when_the_next_schedule_is_due_and_each_second_at_least(
    report: Any, sweep: Schedules
):
    make(report, every=0.5 + 3600)
    sweep.step(NINE + HOUR + timedelta(milliseconds=200))
    assert sweep.every == timedelta(milliseconds=300)
    sweep.step(NINE)
    assert sweep.every == timedelta(seconds=1)


@pytest.mark.parametrize(
    ("rule", "ran", "others"),
    [
        ({"misfire": "skip"}, [], "missed"),
        ({"misfire": "run_once"}, ["10:00"], "missed"),
        ({"misfire": "run_once", "catchup_window": 120}, [], "out_of_window"),
        ({"misfire": "run_all", "catchup_window": 1500}, ["09:40", "09:50", "10:00"], "out_of_window"),
        ({"misfire": "run_all"}, ["09:10", "09:20", "09:30", "09:40", "09:50", "10:00"], ""),
    ],
)
def test_ticks_missed_in_an_outage_follow_the_policy_and_each_is_told_of(
    report: Any, sweep: Schedules, rule: dict[str, Any], ran: list[str], others: str
):
    row = make(report, cron="*/10 * * * *", **rule)
    sweep.step(NINE + HOUR + 3 * MINUTE)
    story = dict(told(row))
    assert list(story) == ["09:10", "09:20", "09:30", "09:40", "09:50", "10:00"]
    assert [tick for tick, outcome in story.items() if outcome == "run"] == ran
    assert {outcome for outcome in story.values() if outcome != "run"} == ({others} if others else set())
    runs = Run.objects.order_by("scheduled_for")
    assert [f"{run.scheduled_for:%H:%M}" for run in runs] == ran
    row.refresh_from_db()
    assert row.next_tick == NINE + HOUR + 10 * MINUTE


def test_ticks_a_little_late_are_not_missed_and_none_is_merged(report: Any, sweep: Schedules):
    row = make(report, every=1, misfire="skip")
    sweep.step(NINE + timedelta(seconds=5.4))
    assert [outcome for _, outcome in told(row)] == ["run"] * 5
    assert Run.objects.count() == 5


def test_after_a_long_outage_of_a_frequent_schedule_what_is_old_is_told_of_in_one_row(
    report: Any, sweep: Schedules
):
    row = make(report, every=1, misfire="run_all", catchup_window=30)
    later = NINE + timedelta(days=30)
    sweep.step(later)
    ticks = ScheduleTick.objects.filter(schedule=row).order_by("tick")
    assert ticks.count() == 101
    first = ticks[0]
    assert (first.tick, first.until) == (NINE + timedelta(seconds=1), later - timedelta(seconds=100))
    assert first.outcome == "out_of_window"
    assert ticks.filter(outcome="run").count() == Run.objects.count() == 61, (
        "those not missed, and the window"
    )
    row.refresh_from_db()
    assert row.next_tick == later + timedelta(seconds=1)


def test_overlap_skip_makes_no_run_beside_an_unfinished_one(report: Any, sweep: Schedules):
    row = make(report, overlap="skip")
    sweep.step(NINE + 10 * MINUTE)
    sweep.step(NINE + 20 * MINUTE)
    assert told(row) == [("09:10", "run"), ("09:20", "overlapped")]
    end_runs()
    sweep.step(NINE + 30 * MINUTE)
    assert told(row)[2] == ("09:30", "run")


def test_overlap_allow_asks_nobody(report: Any, sweep: Schedules):
    row = make(report, overlap="allow")
    sweep.step(NINE + 10 * MINUTE)
    sweep.step(NINE + 20 * MINUTE)
    assert told(row) == [("09:10", "run"), ("09:20", "run")]


def test_overlap_queue_holds_one_tick_until_the_run_before_it_has_ended(report: Any, sweep: Schedules):
    row = make(report, overlap="queue")
    for minutes in (10, 20, 30):
        sweep.step(NINE + minutes * MINUTE)
    assert told(row) == [("09:10", "run"), ("09:20", "waiting"), ("09:30", "overlapped")]
    sweep.step(NINE + 31 * MINUTE)
    assert Run.objects.count() == 1
    end_runs()
    assert sweep.step(NINE + 32 * MINUTE) == 1
    assert told(row) == [("09:10", "run"), ("09:20", "run"), ("09:30", "overlapped")]
    (run,) = Run.objects.filter(outcome__isnull=True)
    assert run.meta["tick"] == (NINE + 20 * MINUTE).isoformat()
    assert ScheduleTick.objects.get(tick=NINE + 20 * MINUTE).run_id == run.pk
    sweep.step(NINE + 40 * MINUTE)
    assert told(row)[3] == ("09:40", "waiting")


def test_a_run_asked_for_by_hand_counts_as_a_predecessor(report: Any, sweep: Schedules):
    row = make(report, overlap="skip")
    changes.trigger_now(row)
    sweep.step(NINE + 10 * MINUTE)
    assert told(row) == [("09:10", "overlapped")]


def test_jitter_moves_a_tick_always_by_the_same_and_never_past_the_next(report: Any, sweep: Schedules):
    rows = [make(report, key=f"{n}", cron="0 * * * *", jitter=600) for n in range(50)]
    delays = {row.next_at - row.next_tick for row in rows}
    assert len(delays) > 40
    assert all(timedelta() <= delay < timedelta(seconds=600) for delay in delays)
    again = make(report, key="0 again", cron="0 * * * *", jitter=600)
    changes.set_next(rows[0], NINE)
    assert rows[0].next_at == Schedule.objects.get(pk=rows[0].pk).next_at
    assert again.next_at != rows[0].next_at, "schedules due together are spread"
    first = min(rows, key=lambda row: row.next_at)
    assert sweep.step(first.next_at - timedelta(microseconds=1)) == 0
    assert sweep.step(first.next_at) == 1
    assert Run.objects.get().scheduled_for == NINE + HOUR


def test_old_ticks_are_pruned_but_none_that_may_still_be_caught_up_with(report: Any, settings: Any):
    settings.OPENQUEUE = {"RETENTION": {"ticks": 1}}
    row = make(report)
    for days in range(1, 6):
        at = NINE - timedelta(days=days)
        ScheduleTick.objects.create(schedule=row, tick=at, outcome="run", at=at)
    patient = make(report, key="patient", catchup_window=timedelta(days=3))
    Retention().step(NINE + MINUTE)
    assert ScheduleTick.objects.count() == 2
    patient.delete()
    Retention().step(NINE + MINUTE)
    assert ScheduleTick.objects.count() == 0
