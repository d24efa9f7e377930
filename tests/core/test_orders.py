"""Options, payloads and declarations: what is wrong is named, and nothing is written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction

import openqueue
from openqueue import (
    PayloadInvalid,
    TaskContext,
    TaskDeclarationError,
    UnknownTask,
    UnsupportedCapability,
    fixed,
    trigger,
    trigger_many,
)
from openqueue.models import Outbox, Run, RunEvent
from openqueue.runtimes.base import Capabilities
from tests.app.tasks import add

pytestmark = pytest.mark.django_db


def written() -> tuple[int, int, int]:
    return Run.objects.count(), RunEvent.objects.count(), Outbox.objects.count()


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
