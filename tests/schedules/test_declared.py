"""``@task(cron=...)``: brought in line at the start of workers and schedulers, without undoing what operators did."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from openqueue import registry
from openqueue.checks import tasks_are_valid
from openqueue.errors import ScheduleInvalid
from openqueue.models import Run, Schedule
from openqueue.processes.sweeps.schedules import Schedules
from openqueue.schedules import declared
from tests.control.builders import make_worker
from tests.schedules.builders import HOUR, MINUTE, NINE

pytestmark = pytest.mark.django_db


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> None:
    """No tasks but the test's."""
    monkeypatch.setattr(registry, "_declared", {})
    monkeypatch.setattr(registry, "_indexed", 0)
    monkeypatch.setattr(registry, "_by_id", {})  # what it holds is restored too


@pytest.fixture
def nightly(only: None, declare: Callable[..., Any]) -> Any:
    @declare(cron="30 2 * * *", timezone="Europe/Berlin")
    def nightly() -> None: ...

    return nightly


def again(task: Any, declare: Callable[..., Any], **rule: Any) -> Any:
    """Deploy the task with another rule."""
    registry.remove(task)
    return declare(**rule)(task.function)


def test_a_declaration_becomes_a_schedule_at_the_first_step(nightly: Any):
    Schedules().step(NINE)
    schedule = nightly.schedules.get("")
    assert (schedule.cron, schedule.timezone, schedule.status) == ("30 2 * * *", "Europe/Berlin", "active")
    assert f"{schedule.next_tick:%Y-%m-%d %H:%M}" == "2027-03-02 01:30"
    sweep = Schedules()
    assert sweep.step(schedule.next_tick) == 1
    assert Run.objects.get().task_id == nightly.id


def test_when_nothing_changed_it_is_one_statement(nightly: Any):
    declared.synchronise(now=NINE)
    before = Schedule.objects.get()
    with CaptureQueriesContext(connection) as seen:
        declared.synchronise(now=NINE + HOUR)
    assert len(seen) == 1
    assert Schedule.objects.get().updated_at == before.updated_at


def test_a_pause_and_an_edit_survive_the_next_deploy(nightly: Any, declare: Callable[..., Any]):
    declared.synchronise(now=NINE)
    nightly.schedules.get("").update(cron="0 4 * * *").pause()
    declared.synchronise(now=NINE + HOUR)
    schedule = nightly.schedules.get("")
    assert (schedule.cron, schedule.status) == ("0 4 * * *", "paused")
    again(nightly, declare, cron="30 2 * * *", timezone="Europe/Berlin", overlap="skip")
    declared.synchronise(now=NINE + HOUR)
    schedule.refresh()
    assert (schedule.cron, schedule.overlap, schedule.status) == ("0 4 * * *", "skip", "paused")


def test_what_the_code_itself_changes_is_changed(nightly: Any, declare: Callable[..., Any]):
    declared.synchronise(now=NINE)
    again(nightly, declare, cron="30 3 * * *", timezone="Europe/Berlin")
    declared.synchronise(now=NINE + HOUR)
    assert f"{Schedule.objects.get().next_tick:%H:%M}" == "02:30"
    again(nightly, declare, every=600)
    declared.synchronise(now=NINE + HOUR)
    row = Schedule.objects.get()
    assert (row.cron, row.timezone, row.next_tick) == ("", "UTC", NINE + HOUR + 10 * MINUTE)


def test_a_declaration_that_is_gone_retires_its_schedule_in_sight(nightly: Any, declare: Callable[..., Any]):
    declared.synchronise(now=NINE)
    plain = again(nightly, declare)
    declared.synchronise(now=NINE + HOUR)
    row = Schedule.objects.get()
    assert (row.status, row.retired_at, row.next_at) == ("retired", NINE + HOUR, None)
    assert Schedules().step(NINE + 40 * HOUR) == 0
    again(plain, declare, cron="30 2 * * *", timezone="Europe/Berlin")
    declared.synchronise(now=NINE + 2 * HOUR)
    row.refresh_from_db()
    assert row.status == "active"


def test_a_task_unknown_here_keeps_its_schedule_while_a_live_worker_knows_it(nightly: Any):
    declared.synchronise(now=NINE)
    registry.remove(nightly)
    make_worker(tasks=[nightly.id])
    declared.synchronise(now=NINE)
    assert Schedule.objects.get().status == "active"


def test_a_task_that_nobody_knows_any_more_has_its_schedule_retired(nightly: Any):
    declared.synchronise(now=NINE)
    registry.remove(nightly)
    declared.synchronise(now=NINE)
    assert Schedule.objects.get().status == "retired"


def test_a_declared_schedule_is_not_deleted_but_a_retired_one_is(nightly: Any, declare: Callable[..., Any]):
    declared.synchronise(now=NINE)
    with pytest.raises(ScheduleInvalid, match="pause"):
        nightly.schedules.get("").delete()
    plain = again(nightly, declare)
    declared.synchronise(now=NINE)
    plain.schedules.get("").delete()
    assert not Schedule.objects.exists()


def test_a_wrong_declaration_is_found_by_a_check_and_left_out(
    nightly: Any, declare: Callable[..., Any], caplog: pytest.LogCaptureFixture
):
    @declare(cron="30 25 * * *", timezone="Mars/Olympus")
    def wrong() -> None: ...

    @declare(every=60)
    def needy(customer: int) -> None: ...

    found = {message.id: message.msg for message in tasks_are_valid()}
    assert set(found) == {"openqueue.E070", "openqueue.E071"}
    assert "cron" in found["openqueue.E070"]
    assert "Mars/Olympus" in found["openqueue.E070"]
    assert "customer" in found["openqueue.E071"]
    declared.synchronise(now=NINE)
    assert [row.task_id for row in Schedule.objects.all()] == [nightly.id]
    assert "a declared schedule is not valid" in caplog.text


def test_a_rule_that_is_switched_off_declares_nothing(only: None, declare: Callable[..., Any]):
    @declare(cron=None, timezone="Europe/Berlin")
    def perhaps(customer: int) -> None: ...

    assert tasks_are_valid() == []
    declared.synchronise(now=NINE)
    assert not Schedule.objects.exists()


def test_options_without_a_rule_are_found_too(only: None, declare: Callable[..., Any]):
    @declare(timezone="Europe/Berlin")
    def forgotten() -> None: ...

    assert [message.id for message in tasks_are_valid()] == ["openqueue.E070"]
