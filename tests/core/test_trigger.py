"""Triggering: with the transaction or not at all, and refused before anything is written."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connections, transaction
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path
from django.utils import timezone

import openqueue
from openqueue import (
    PayloadInvalid,
    TaskContext,
    TaskDeclarationError,
    TriggerNotAtomic,
    UnknownTask,
    UnsupportedCapability,
    fixed,
    trigger,
    trigger_many,
)
from openqueue.models import Outbox, Run, RunEvent
from openqueue.runtimes.base import Capabilities
from tests.app.models import Note
from tests.app.tasks import add

pytestmark = pytest.mark.django_db


def written() -> tuple[int, int, int]:
    return Run.objects.count(), RunEvent.objects.count(), Outbox.objects.count()


# --- transactions -------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_run_commits_with_the_block_around_it():
    with transaction.atomic():
        add.trigger(1, 2)
        Note.objects.create(text="with it")
    assert written() == (1, 1, 1)


@pytest.mark.django_db(transaction=True)
def test_a_run_vanishes_with_the_block_around_it():
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        add.trigger(1, 2)
        raise ZeroDivisionError
    assert written() == (0, 0, 0)


def test_a_run_vanishes_with_its_savepoint_alone():
    with transaction.atomic():
        kept = add.trigger(1, 2)
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            add.trigger(3, 4)
            raise ZeroDivisionError
    assert [run.pk for run in Run.objects.all()] == [kept.id]
    assert written() == (1, 1, 1)


@pytest.mark.django_db(transaction=True)
def test_a_run_triggered_outside_of_a_block_stands_at_once():
    run = add.trigger(1, 2)
    assert run.refresh().status == "queued"


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_a_block_of_another_database_is_refused_because_it_could_not_take_the_run_with_it():
    with transaction.atomic(using="other"), pytest.raises(TriggerNotAtomic, match="using='other'"):
        add.trigger(1, 2)
    assert written() == (0, 0, 0)


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_a_block_of_both_databases_is_as_atomic_as_it_gets():
    with transaction.atomic(using="other"), transaction.atomic():
        add.trigger(1, 2)
    assert written() == (1, 1, 1)


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_who_says_so_may_trigger_beside_the_block_of_another_database():
    with pytest.raises(ZeroDivisionError), transaction.atomic(using="other"):
        add.using(atomic=False).trigger(1, 2)
        raise ZeroDivisionError
    assert written() == (1, 1, 1)


def failing(request: HttpRequest) -> HttpResponse:
    add.trigger(1, 2)
    raise ZeroDivisionError


def answering(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(add.trigger(1, 2).id))


urlpatterns = [path("failing/", failing), path("answering/", answering)]


@pytest.mark.django_db(transaction=True)
@pytest.mark.urls(__name__)
def test_a_view_that_raises_under_atomic_requests_triggers_nothing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(connections["default"].settings_dict, "ATOMIC_REQUESTS", True)
    client = Client(raise_request_exception=False)
    assert client.get("/failing/").status_code == 500
    assert written() == (0, 0, 0)
    assert client.get("/answering/").content.decode() == str(Run.objects.get().pk)


@pytest.mark.django_db(transaction=True)
def test_an_async_trigger_commits_by_itself():
    async def both() -> list[Any]:
        try:
            one = await add.atrigger(1, 2)
            return [one, *await add.atrigger_many([{"a": 1, "b": 2}])]
        finally:
            await sync_to_async(connections.close_all)()

    runs = asyncio.run(both())
    assert sorted(run.id for run in runs) == sorted(Run.objects.values_list("pk", flat=True))


def test_instants_are_the_same_without_time_zones(process_environment, tmp_path):
    script = """
import django
from datetime import datetime, timedelta, UTC
django.setup()
from django.test.utils import override_settings
from tests.app.tasks import add
from openqueue.models import Run, Outbox
from tests.store.fleet import FakeWorker, Clock
import zoneinfo
naive = datetime(2031, 7, 1, 12, 0)
with override_settings(USE_TZ=False, TIME_ZONE="Europe/Berlin"):
    run = add.using(run_at=naive).trigger(1, 2)
    row = Run.objects.get(pk=run.id)
    assert row.scheduled_for == datetime(2031, 7, 1, 10, 0, tzinfo=UTC), row.scheduled_for
    assert abs(row.created_at - datetime.now(UTC)) < timedelta(seconds=60), row.created_at
    assert Outbox.objects.filter(due_at=datetime(2031, 7, 1, 10, 0, tzinfo=UTC)).exists()
    assert Outbox.objects.filter(due_at__lt=datetime(2031, 7, 1, 10, 1, tzinfo=UTC)).exists()
    now = add.trigger(3, 4)
    row = Run.objects.get(pk=now.id)
    assert abs(row.created_at - datetime.now(UTC)) < timedelta(seconds=60), row.created_at
    clock = Clock(); clock.now = datetime.now(UTC) + timedelta(seconds=1)
    (attempt,) = FakeWorker(clock, known=[add.id]).claim()
    assert attempt.run_id == now.id
print("the same")
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=process_environment(PYTHONPATH=os.pathsep.join(sys.path)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "the same\n", done.stderr


# --- when ---------------------------------------------------------------------------------------------------------


def test_a_delayed_run_is_scheduled():
    run = add.using(delay=timedelta(minutes=1)).trigger(1, 2)
    row, place = Run.objects.get(), Outbox.objects.get()
    assert (run.status, row.status, place.ready) == ("scheduled", "scheduled", False)
    assert row.scheduled_for - row.created_at == timedelta(minutes=1)
    assert place.due_at == row.scheduled_for


@pytest.mark.parametrize(
    "when",
    [
        {"run_at": datetime(2001, 1, 1, tzinfo=UTC)},
        {"run_at": datetime(2001, 1, 1)},  # noqa: DTZ001  # naive on purpose
        {"delay": -5},
        {"delay": 0},
    ],
)
def test_the_past_means_now(when: dict[str, Any], django_capture_on_commit_callbacks: Any):
    with django_capture_on_commit_callbacks() as announced:
        run = add.using(**when).trigger(1, 2)
    row, place = Run.objects.get(), Outbox.objects.get()
    assert (run.status, row.status, place.ready) == ("queued", "queued", True)
    assert place.due_at == row.created_at
    assert len(announced) == 1, "it is due, so it is announced on commit"


def test_a_delayed_run_is_not_announced_on_commit(django_capture_on_commit_callbacks: Any):
    with django_capture_on_commit_callbacks() as announced:
        add.using(delay=5).trigger(1, 2)
    assert announced == []


def test_a_far_future_is_kept():
    far = datetime(9998, 12, 31, 23, 59, tzinfo=UTC)
    add.using(run_at=far).trigger(1, 2)
    assert Run.objects.get().scheduled_for == far


def test_a_naive_moment_is_read_in_the_project_s_zone(settings):
    settings.TIME_ZONE = "Europe/Berlin"
    timezone.deactivate()
    add.using(run_at=datetime(2031, 7, 1, 12)).trigger(1, 2)  # noqa: DTZ001  # naive on purpose
    assert Run.objects.get().scheduled_for == datetime(2031, 7, 1, 10, tzinfo=UTC)


def test_a_time_to_live_counts_from_the_due_time():
    add.using(delay=10, ttl=5).trigger(1, 2)
    row, place = Run.objects.get(), Outbox.objects.get()
    assert row.expires_at == place.expires_at == row.scheduled_for + timedelta(seconds=5)


def test_of_delay_and_run_at_the_newer_stands():
    order = add.using(delay=10).using(run_at=datetime(2031, 1, 1, tzinfo=UTC))
    assert order.options.delay is None
    assert order.using(delay=3).options.run_at is None


# --- options ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"priority": 101}, "priority"),
        ({"priority": -101}, "priority"),
        ({"priority": 1.5}, "priority"),
        ({"priority": True}, "priority"),
        ({"queue": "Mail"}, "queue"),
        ({"queue": "../x"}, "queue"),
        ({"queue": "x" * 64}, "queue"),
        ({"queue": None}, "queue"),
        ({"max_attempts": 0}, "max_attempts"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": "5"}, "timeout"),
        ({"ttl": -1}, "ttl"),
        ({"ttl": float("nan")}, "ttl"),
        ({"delay": float("inf")}, "delay"),
        ({"run_at": "tomorrow"}, "run_at"),
        ({"delay": 1, "run_at": datetime(2031, 1, 1, tzinfo=UTC)}, "delay"),
        ({"tags": "billing"}, "tags"),
        ({"tags": None}, "tags"),
        ({"tags": [1]}, "tags"),
        ({"meta": ["a"]}, "meta"),
        ({"backoff": None}, "backoff"),
        ({"backoff": -1}, "backoff"),
        ({"prioritty": 1}, "prioritty"),
    ],
)
def test_a_wrong_option_is_named_and_nothing_is_written(options: dict[str, Any], names: str):
    with pytest.raises(TaskDeclarationError, match=names):
        add.using(**options).trigger(1, 2)
    assert written() == (0, 0, 0)


def test_every_wrong_option_is_named():
    with pytest.raises(TaskDeclarationError, match=r"queue=.*priority=.*ttl="):
        add.using(queue="?", priority=1000, ttl=0)


@pytest.mark.parametrize("priority", [-100, 0, 100])
def test_priorities_within_their_bounds_are_kept(priority: int):
    add.using(priority=priority).trigger(1, 2)
    assert (Run.objects.get().priority, Outbox.objects.get().priority) == (priority, priority)


def test_what_using_changes_travels_with_the_run():
    add.using(
        queue="mail", tags=["a", "ü"], meta={"tenant": 7}, timeout=timedelta(seconds=3), max_attempts=9,
        backoff=fixed(4),
    ).trigger(1, 2)  # fmt: skip
    row = Run.objects.get()
    assert (row.queue, row.tags, row.meta, row.max_attempts) == ("mail", ["a", "ü"], {"tenant": 7}, 9)
    assert row.options == {"timeout": 3.0, "backoff": {"kind": "listed", "delays": [4.0]}}
    assert Outbox.objects.get().queue == "mail"


def test_using_leaves_the_task_as_it_is():
    add.using(queue="mail", priority=9)
    add.trigger(1, 2)
    row = Run.objects.get()
    assert (row.queue, row.priority, row.options) == ("default", 0, None)


def test_meta_that_is_no_json_is_refused():
    with pytest.raises(PayloadInvalid, match=r"meta\.x"):
        add.using(meta={"x": object()}).trigger(1, 2)
    assert written() == (0, 0, 0)


def test_a_priority_that_the_runtime_cannot_keep_is_refused(monkeypatch: pytest.MonkeyPatch):
    from openqueue import runtimes

    monkeypatch.setattr(runtimes.get("default"), "capabilities", Capabilities(priorities=False))
    with pytest.raises(UnsupportedCapability, match="priorit"):
        add.using(priority=1).trigger(1, 2)
    assert written() == (0, 0, 0)
    add.trigger(1, 2)


# --- payloads -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "kwargs", "path"),
    [
        ((), {}, "a"),
        ((1,), {}, "b"),
        ((1, 2, 3), {}, "by place"),
        ((1, "two"), {}, "b"),
        ((1, 2), {"c": 3}, "c"),
        ((1, float("nan")), {}, "b"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_before_anything_is_written(args, kwargs, path):
    with pytest.raises(PayloadInvalid) as refused:
        add.trigger(*args, **kwargs)
    assert path in str(refused.value)
    assert written() == (0, 0, 0)


def test_a_payload_above_the_limit_is_refused(declare, settings):
    settings.OPENQUEUE = {"PAYLOAD_LIMIT": 100}

    @declare
    def say(text: str) -> None: ...

    say.trigger(text="x" * 80)
    with pytest.raises(PayloadInvalid):
        say.trigger(text="x" * 101)
    assert Run.objects.count() == 1


def test_many_runs_are_all_or_none_and_the_error_names_index_and_field():
    payloads = [{"a": 1, "b": 1}, {"a": "x", "b": 1}, {"a": 1, "b": 1}, {"a": 1}, "no"]
    with pytest.raises(PayloadInvalid) as refused:
        add.trigger_many(payloads)
    assert [path for path, _ in refused.value.errors] == ["[1].a", "[3].b", "[4].payload"]
    assert written() == (0, 0, 0)


def test_many_runs_are_created_in_their_order():
    runs = add.trigger_many({"a": n, "b": 0} for n in range(20))
    assert [run.id for run in runs] == sorted(run.id for run in runs)
    payloads = dict(Run.objects.values_list("pk", "payload"))
    assert [payloads[run.id]["a"] for run in runs] == list(range(20))
    assert written() == (20, 20, 20)
    assert add.trigger_many([]) == []


def test_different_tasks_are_triggered_together(declare):
    @declare(queue="mail", priority=3)
    def write(to: str) -> None: ...

    runs = trigger_many([add.bind(1, b=2), write.using(delay=5).bind("anna"), write.bind(to="otto")])
    rows = [Run.objects.get(pk=run.id) for run in runs]
    assert [(r.task_id, r.queue, r.status) for r in rows] == [
        (add.id, "default", "queued"), (write.id, "mail", "scheduled"), (write.id, "mail", "queued"),
    ]  # fmt: skip
    assert [run.status for run in runs] == ["queued", "scheduled", "queued"]
    assert trigger_many([]) == []


def test_a_bound_call_is_checked_when_it_is_bound():
    with pytest.raises(PayloadInvalid):
        add.bind("x", 2)


def test_a_task_is_triggered_by_its_id():
    run = trigger(add.id, {"a": 1, "b": 2}, queue="mail")
    assert (run.task_id, Run.objects.get().queue, Run.objects.get().payload) == (
        add.id,
        "mail",
        {"a": 1, "b": 2},
    )


def test_an_unknown_id_is_refused_whatever_it_names():
    for task_id in ("nobody.knows", "os.system", "builtins.eval", ""):
        with pytest.raises(UnknownTask, match=r"INSTALLED_APPS"):
            trigger(task_id, {})
    with pytest.raises(PayloadInvalid):
        trigger(add.id)
    assert written() == (0, 0, 0)


def test_a_secret_is_sealed_in_the_row(declare):
    @declare(secret=["password"])
    def sign_in(name: str, password: str) -> None: ...

    sign_in.trigger("anna", password="correct horse")
    row = Run.objects.values().get()
    assert "correct horse" not in repr(row)
    assert row["payload"]["name"] == "anna"
    assert list(row["payload"]["password"]) == ["$secret"]


def test_a_task_is_still_a_plain_function(declare):
    @declare
    def told(ctx: TaskContext, n: int) -> str:
        return f"{ctx.task_id} {ctx.attempt} {n}"

    assert add(1, b=2) == add.call(1, b=2) == 3
    assert told.call(7) == "test.told 1 7"
    assert told(TaskContext(run_id=openqueue.ids.uuid7(), task_id="me", queue="q"), 1) == "me 1 1"
    assert written() == (0, 0, 0)


def test_waiting_for_a_run_that_nobody_can_see_yet_is_refused():
    run = add.trigger(1, 2)
    with pytest.raises(transaction.TransactionManagementError, match="Leave the block"):
        run.wait(timeout=1)


# --- declarations -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"concurrency": 0}, "concurrency"),
        ({"on_worker_lost": "ignore"}, "on_worker_lost"),
        ({"secret": "password"}, "secret"),
        ({"secret": ["passwrod"]}, "passwrod"),
        ({"max_attempts": -1}, "max_attempts"),
        ({"delay": 5}, "delay"),
        ({"colour": "red"}, "colour"),
        ({"retry_on": ValueError}, "retry_on"),
        ({"no_retry_on": ["ValueError"]}, "no_retry_on"),
        ({"on_success": "mail"}, "on_success"),
    ],
)
def test_a_declaration_that_cannot_work_is_refused(declare, options: dict[str, Any], names: str):
    with pytest.raises(TaskDeclarationError, match=names):

        @declare(**options)
        def sign_in(password: str) -> None: ...


def test_a_task_outside_of_every_app_needs_an_id(declare):
    def lost() -> None: ...

    lost.__module__ = "somewhere.else"
    with pytest.raises(TaskDeclarationError, match=r"@task\(id="):
        _ = declare(lost, id=None).id


def test_two_functions_cannot_share_an_id(declare):
    @declare(id="test.same")
    def one() -> None: ...

    @declare(id="test.same")
    def two() -> None: ...

    with pytest.raises(openqueue.DuplicateTask, match=r"test\.same"):
        trigger("test.same")


def test_the_same_function_loaded_twice_is_one_task(declare):
    def once() -> None: ...

    declare(once)
    second = declare(once)
    assert trigger(second.id).task_id == second.id
