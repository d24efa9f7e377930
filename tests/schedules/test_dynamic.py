"""``task.schedules``: created, found, changed and deleted by code, one for each customer or thousands."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import transaction

from openqueue import runtimes
from openqueue.checks import tasks_are_valid
from openqueue.errors import (
    PayloadInvalid,
    ScheduleInvalid,
    TaskDeclarationError,
    TriggerNotAtomic,
    UnsupportedCapability,
)
from openqueue.models import Run, RunEvent, Schedule
from openqueue.processes.sweeps.schedules import Schedules
from openqueue.runtimes.base import Capabilities
from openqueue.store import store
from tests.schedules.builders import HOUR, told

pytestmark = pytest.mark.django_db


def test_a_schedule_is_created_found_and_listed(report: Any):
    made = report.schedules.create(
        cron="0 8 * * *", payload={"customer": 7}, key="digest:7", timezone="Europe/Berlin"
    )
    assert made.created
    assert (made.task_id, made.key, made.payload, made.status) == (
        report.id,
        "digest:7",
        {"customer": 7},
        "active",
    )
    assert made.next_at > store().clock(None)
    assert (made.cron, made.timezone, made.misfire, made.overlap) == (
        "0 8 * * *",
        "Europe/Berlin",
        "run_once",
        "allow",
    )
    nameless = report.schedules.create(every=timedelta(minutes=5))
    assert len(nameless.key) == 32
    assert report.schedules.get("digest:7").row == made.row
    assert [schedule.key for schedule in report.schedules.list()] == ["digest:7", nameless.key]
    with pytest.raises(Schedule.DoesNotExist):
        report.schedules.get("digest:8")


def test_the_same_call_again_changes_nothing_and_another_one_updates(report: Any):
    facts = {"cron": "0 8 * * *", "payload": {"customer": 7}, "key": "digest:7", "tags": ["digest"]}
    made = report.schedules.create(**facts).pause()
    again = report.schedules.create(**facts)
    assert (again.created, again.row.pk, again.updated_at, again.status) == (
        False,
        made.row.pk,
        made.updated_at,
        "paused",
    )
    other = report.schedules.create(**facts | {"cron": "0 9 * * *"}).resume()
    assert (other.row.pk, other.cron, other.next_tick.hour) == (made.row.pk, "0 9 * * *", 9)
    assert Schedule.objects.count() == 1


def test_an_update_changes_what_it_names(report: Any):
    made = report.schedules.create(cron="0 8 * * *", payload={"customer": 7}, key="a", queue="mail")
    made.update(priority=3)
    assert made.refresh().options == {"queue": "mail", "priority": 3}
    before = made.next_tick
    made.update(payload={"customer": 8}, overlap="skip")
    assert (made.payload, made.overlap, made.next_tick, made.cron) == (
        {"customer": 8},
        "skip",
        before,
        "0 8 * * *",
    )
    made.update(every=3600)
    assert (made.cron, made.every) == ("", HOUR)
    assert made.next_tick <= store().clock(None) + HOUR


def test_what_is_wrong_is_named_and_nothing_is_written(report: Any):
    create = report.schedules.create
    wrong = {
        "cron": "0 25 * * *", "timezone": "Mars/Olympus", "misfire": "never", "overlap": 3, "jitter": -1,
        "catchup_window": "long", "starts_at": "soon",
    }  # fmt: skip
    with pytest.raises(ScheduleInvalid) as refused:
        create(**wrong)
    assert {error.path for error in refused.value.errors} == set(wrong)
    for given, path in (
        ({}, "cron"),
        ({"cron": "* * * * *", "every": 5}, "cron"),
        ({"every": 0.5}, "every"),
        ({"every": True}, "every"),
        ({"every": float("nan")}, "every"),
        ({"cron": "0 0 30 2 *"}, "cron"),
        ({"cron": "*/5 * * * *", "jitter": 600}, "jitter"),
        ({"every": 60, "jitter": 61}, "jitter"),
        ({"every": 60, "key": ""}, "key"),
        ({"every": 60, "key": "a\x00b"}, "key"),
        ({"every": 60, "key": "x" * 201}, "key"),
        ({"every": 60, "delay": 3}, "delay"),
        ({"every": 60, "colour": "red"}, "colour"),
        ({"every": 60, "timezone": "../etc/passwd"}, "timezone"),
        ({"every": 60, "timezone": 7}, "timezone"),
    ):
        with pytest.raises(ScheduleInvalid) as refused:
            create(**given)
        assert [error.path for error in refused.value.errors] == [path]
    with pytest.raises(PayloadInvalid, match="customer"):
        create(every=60, payload={"customer": object()})
    with pytest.raises(PayloadInvalid, match="colour"):
        create(every=60, payload={"colour": 1})
    with pytest.raises(TaskDeclarationError, match="priority"):
        create(every=60, priority=1_000)
    assert not Schedule.objects.exists()
    made = create(every=60, key="a")
    with pytest.raises(ScheduleInvalid, match="cron"):
        made.update(cron="never")
    with pytest.raises(PayloadInvalid):
        made.update(payload={"colour": 1})
    assert made.refresh().every == timedelta(seconds=60)


def test_an_option_that_the_queues_runtime_cannot_keep_is_refused(
    report: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(runtimes.get("default"), "capabilities", Capabilities())
    with pytest.raises(UnsupportedCapability, match="priorities"):
        report.schedules.create(every=60, priority=3)


def test_a_runtime_without_schedules_refuses_them(
    report: Any, declare: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
):
    declare(every=60)(report.function)
    monkeypatch.setattr(runtimes.get("default"), "capabilities", Capabilities(schedules=False))
    with pytest.raises(UnsupportedCapability, match="schedules"):
        report.schedules.create(every=60)
    assert "openqueue.E072" in {message.id for message in tasks_are_valid()}


@pytest.mark.django_db(transaction=True)
def test_a_schedule_commits_with_the_callers_data_or_vanishes(report: Any):
    with transaction.atomic():
        report.schedules.create(every=60, key="a")
        transaction.set_rollback(True)
    assert report.schedules.list() == []


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_another_databases_transaction_is_refused(report: Any):
    with transaction.atomic(using="other"), pytest.raises(TriggerNotAtomic):
        report.schedules.create(every=60, key="a")


def test_a_paused_schedule_makes_no_runs_and_goes_on_from_now(report: Any, sweep: Schedules):
    made = report.schedules.create(cron="*/10 * * * *", key="a").pause()
    assert (made.status, made.next_at) == ("paused", None)
    later = store().clock(None) + HOUR
    assert sweep.step(later) == 0
    made.resume()
    assert made.status == "active"
    assert store().clock(None) < made.next_tick <= store().clock(None) + timedelta(minutes=10)
    assert told(made.row) == []


def test_a_run_by_hand_leaves_the_next_tick_alone(report: Any):
    made = report.schedules.create(cron="0 8 * * *", key="a", payload={"customer": 7}, queue="mail").pause()
    before = made.refresh().next_tick
    run = made.trigger_now()
    row = Run.objects.get(pk=run.id)
    assert (row.schedule_id, row.payload, row.queue, row.meta) == (
        made.row.pk,
        {"customer": 7},
        "mail",
        {"schedule": "a"},
    )
    assert RunEvent.objects.get(run=row, kind="tick").data == {
        "schedule": made.row.pk,
        "key": "a",
        "tick": None,
    }
    assert (made.refresh().next_tick, made.status) == (before, "paused")


def test_runs_get_the_options_of_their_schedule(report: Any, sweep: Schedules):
    made = report.schedules.create(
        every=60,
        key="a",
        queue="mail",
        priority=5,
        tags=["x"],
        meta={"who": "me"},
        max_attempts=7,
        backoff=3,
        timeout=9,
    )
    sweep.step(made.next_at)
    run = Run.objects.get()
    assert (run.queue, run.priority, run.tags, run.max_attempts) == ("mail", 5, ["x"], 7)
    assert run.meta["who"] == "me"
    assert run.options["timeout"] == 9
    assert run.options["backoff"]["kind"] == "listed"


def test_secret_arguments_are_sealed_at_rest_and_masked_when_looked_at(
    declare: Callable[..., Any], sweep: Schedules
):
    @declare(secret=["password"])
    def log_in(user: str, password: str) -> None: ...

    made = log_in.schedules.create(every=60, key="a", payload={"user": "ada", "password": "hunter22"})
    assert made.payload == {"user": "ada", "password": "[secret]"}
    assert "hunter22" not in str(Schedule.objects.get().payload)
    sweep.step(made.next_at)
    run = Run.objects.get()
    assert (run.payload["user"], "$secret" in run.payload["password"]) == ("ada", True)


def test_a_deleted_schedule_makes_no_runs_and_its_key_is_free(report: Any, sweep: Schedules):
    made = report.schedules.create(every=60, key="a")
    sweep.step(made.next_at)
    made.delete()
    assert sweep.step(made.next_at + HOUR) == 0
    assert Run.objects.count() == 1
    with pytest.raises(Schedule.DoesNotExist):
        made.pause()
    assert report.schedules.create(every=60, key="a").created


@pytest.mark.django_db(transaction=True)
def test_every_verb_has_its_async_twin(report: Any):
    async def all_of_them() -> None:
        made = await report.schedules.acreate(every=60, key="a")
        assert (await report.schedules.aget("a")).row == made.row
        assert len(await report.schedules.alist()) == 1
        assert (await made.apause()).status == "paused"
        assert (await made.aresume()).status == "active"
        assert (await made.aupdate(every=90)).every == timedelta(seconds=90)
        assert (await made.atrigger_now()).task_id == report.id
        await (await made.arefresh()).adelete()

    async_to_sync(all_of_them)()
    assert not Schedule.objects.exists()
