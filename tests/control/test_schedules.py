"""What operators see of schedules, and what they do to them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from openqueue.control import schedules
from openqueue.control.actor import Actor
from openqueue.control.schedules import Wanted
from openqueue.errors import ScheduleInvalid
from openqueue.models import AuditLog, Run, RunEvent, Schedule
from openqueue.processes.sweeps.schedules import Schedules
from tests.app.tasks import add
from tests.control.builders import log_in
from tests.schedules.builders import MINUTE, NINE, make

pytestmark = pytest.mark.django_db
ADA = Actor(name="ada")
PAYLOAD = {"a": 1, "b": 2}


def a_schedule(key: str = "one", **rule: Any) -> Schedule:
    return make(add, key=key, payload=PAYLOAD, **rule)


def record() -> list[tuple[str, str, str]]:
    return list(AuditLog.objects.order_by("id").values_list("actor", "act", "reason"))


def test_schedules_are_listed_by_pages_and_by_what_is_wanted(django_assert_num_queries: Any):
    rows = [a_schedule(f"digest:{n}") for n in range(5)]
    with django_assert_num_queries(1):
        first = schedules.find(Wanted(limit=3))
    rest = schedules.find(Wanted(limit=3, after=first[-1].id))
    assert [found.id for found in [*first, *rest]] == [row.pk for row in rows]
    assert schedules.find(Wanted(task_id="other.task")) == []
    assert [found.key for found in schedules.find(Wanted(key="digest:3"))] == ["digest:3"]
    found = first[0]
    assert (found.task_id, found.kind, found.status, found.payload) == (add.id, "dynamic", "active", PAYLOAD)
    assert (found.cron, found.timezone, found.next_at) == ("*/10 * * * *", "UTC", NINE + 10 * MINUTE)


def test_each_status_finds_its_own():
    active, paused, failing, retired, ended = (a_schedule(f"{n}") for n in range(5))
    schedules.pause([paused.pk], actor=ADA)
    Schedule.objects.filter(pk=failing.pk).update(error="no")
    Schedule.objects.filter(pk=retired.pk).update(retired_at=NINE, next_at=None)
    Schedule.objects.filter(pk=ended.pk).update(next_at=None)
    by_status = {s: [found.id for found in schedules.find(Wanted(status=s))] for s in schedules.STATUSES}
    assert by_status == {
        "active": [active.pk], "paused": [paused.pk], "failing": [failing.pk], "retired": [retired.pk],
        "ended": [ended.pk],
    }  # fmt: skip
    for status, ids in by_status.items():
        assert [schedules.read(pk).status for pk in ids] == [status]


def test_pause_and_resume_are_on_record_once():
    row = a_schedule()
    assert schedules.pause([row.pk], actor=ADA, reason="holidays") == {row.pk: "paused"}
    assert schedules.pause([row.pk], actor=ADA) == {row.pk: "already paused"}
    facts = schedules.read(row.pk)
    assert (facts.status, facts.paused_by, facts.next_at) == ("paused", "ada", None)
    assert schedules.resume([row.pk], actor=ADA) == {row.pk: "resumed"}
    assert schedules.resume([row.pk], actor=ADA) == {row.pk: "not paused"}
    assert record() == [("ada", "schedule.pause", "holidays"), ("ada", "schedule.resume", "")]


def test_a_run_by_hand_names_who_asked():
    row = a_schedule()
    run = schedules.trigger_now(row.pk, actor=ADA)
    assert Run.objects.get(pk=run.id).schedule_id == row.pk
    assert RunEvent.objects.get(run_id=run.id, kind="tick").actor == "ada"
    assert record() == [("ada", "schedule.trigger", "")]


def test_an_edit_keeps_what_was():
    row = a_schedule()
    facts = schedules.edit(row.pk, {"cron": "0 * * * *", "priority": 5}, actor=ADA)
    assert (facts.cron, facts.options) == ("0 * * * *", {"priority": 5})
    (act,) = AuditLog.objects.all()
    assert act.before == {"cron": "*/10 * * * *", "options": None}
    assert act.after == {"cron": "0 * * * *", "options": {"priority": 5}}
    schedules.edit(row.pk, {"cron": "0 * * * *"}, actor=ADA)
    with pytest.raises(ScheduleInvalid):
        schedules.edit(row.pk, {"cron": "never"}, actor=ADA)
    assert AuditLog.objects.count() == 1


def test_deleting_keeps_the_runs_and_the_record():
    row = a_schedule()
    schedules.trigger_now(row.pk, actor=ADA)
    schedules.delete(row.pk, actor=ADA, reason="left")
    assert Run.objects.count() == 1
    assert AuditLog.objects.get(act="schedule.delete").before["cron"] == "*/10 * * * *"
    with pytest.raises(Schedule.DoesNotExist):
        schedules.read(row.pk)


def test_secrets_are_shown_to_nobody():
    made = log_in.schedules.create(every=60, key="a", payload={"user": "ada", "password": "hunter22"})
    facts = schedules.read(made.row.pk)
    assert facts.payload == {"user": "ada", "password": "[secret]"}
    schedules.edit(made.row.pk, {"payload": {"user": "bob", "password": "hunter23"}}, actor=ADA)
    assert "hunter" not in str(list(AuditLog.objects.values()))
    Schedule.objects.update(task_id="gone.task")
    assert schedules.read(made.row.pk).payload == {"user": "[unknown task]", "password": "[unknown task]"}


def test_what_comes_and_what_was():
    row = a_schedule()
    assert schedules.upcoming(row.pk, count=2) == [NINE + 10 * MINUTE, NINE + 20 * MINUTE]
    sweep = Schedules()
    sweep.is_synchronised = True
    for minutes in (10, 20, 30):
        sweep.step(NINE + minutes * MINUTE)
    ticks = schedules.history(row.pk, limit=2)
    assert [tick.tick - NINE for tick in ticks] == [timedelta(minutes=30), timedelta(minutes=20)]
    assert {tick.outcome for tick in ticks} == {"run"}
    (oldest,) = schedules.history(row.pk, before=ticks[-1].tick)
    assert oldest.run_id == Run.objects.order_by("scheduled_for")[0].pk
