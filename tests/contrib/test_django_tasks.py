"""Django's own Tasks framework on OpenQueue: what its documentation promises, and the engine's promises with it."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.utils import timezone

from openqueue import registry
from openqueue.contrib.django_tasks import bodies
from openqueue.contrib.django_tasks.framework import (
    InvalidTask,
    TaskResultDoesNotExist,
    TaskResultStatus,
    task_enqueued,
    task_finished,
    task_started,
)
from openqueue.control import runs
from openqueue.control.actor import Actor
from openqueue.core import cancellation
from openqueue.errors import OpenQueueError, PayloadInvalid, UnknownTask
from openqueue.models import Run
from openqueue.testing import QueuedRuns
from tests.contrib import declared
from tests.contrib.declared import CALLS, add, fail, later, look, look_later

if declared.django.VERSION >= (6, 0):
    from django.tasks import default_task_backend, task_backends
else:
    from django_tasks import default_task_backend, task_backends

pytestmark = pytest.mark.django_db

BACKEND = "openqueue.contrib.django_tasks.OpenQueueBackend"


@pytest.fixture(autouse=True)
def no_calls() -> None:
    CALLS.clear()


def test_a_task_runs_on_a_worker_and_its_result_comes_back(queued_runs: QueuedRuns):
    result = add.enqueue(2, b=3)
    assert (result.status, result.args, result.kwargs) == (TaskResultStatus.READY, [2], {"b": 3})
    assert not CALLS
    queued_runs.run_all()
    result.refresh()
    assert (result.status, result.return_value, result.errors) == (TaskResultStatus.SUCCESSFUL, 5, [])
    assert result.enqueued_at <= result.started_at <= result.finished_at
    assert result.last_attempted_at == result.started_at
    assert result.attempts == 1
    assert result.is_finished
    assert CALLS == [(2, 3)]


def test_a_run_is_found_again_by_its_id(queued_runs: QueuedRuns):
    first = add.enqueue(1)
    for found in (add.get_result(first.id), default_task_backend.get_result(first.id)):
        assert (found.id, found.args, found.kwargs, found.task) == (first.id, [1], {}, add)
        assert (found.started_at, found.finished_at, found.worker_ids) == (None, None, [])


def test_a_result_of_another_task_is_not_mistaken_for_its_own():
    other = fail.enqueue("no")
    with pytest.raises(Exception, match="does not match"):
        add.get_result(other.id)


@pytest.mark.parametrize("result_id", ["", "no", "01a21a16-f4c2-77c0-9f2f-a4085cefad4a"])
def test_what_is_not_there_does_not_exist(result_id: str):
    with pytest.raises(TaskResultDoesNotExist):
        add.get_result(result_id)


def test_a_run_of_openqueues_own_is_no_result(shop_run: Any):
    with pytest.raises(TaskResultDoesNotExist, match="no task of the framework"):
        default_task_backend.get_result(str(shop_run.id))


@pytest.fixture
def shop_run() -> Any:
    return registry.get("app.add").trigger(a=1, b=2)


def test_a_body_that_raises_has_failed_at_once(queued_runs: QueuedRuns):
    result = fail.enqueue("gone")
    queued_runs.run_all(raises=False)
    result.refresh()
    assert result.status == TaskResultStatus.FAILED
    (error,) = result.errors
    assert error.exception_class is LookupError
    assert "raise LookupError(text)" in error.traceback
    with pytest.raises(ValueError, match="failed"):
        _ = result.return_value
    assert result.attempts == 1


def test_with_attempts_in_its_options_it_is_tried_again(queued_runs: QueuedRuns, backend: Callable[..., Any]):
    with backend(OPTIONS={"max_attempts": 3, "backoff": 0}):
        result = fail.enqueue("again")
        queued_runs.run_all(raises=False)
        result.refresh()
    assert result.attempts == 3
    assert [error.exception_class for error in result.errors] == [LookupError] * 3


def test_an_end_that_no_body_made_has_an_error_that_can_be_imported(queued_runs: QueuedRuns):
    result = add.enqueue(1)
    queued_runs.lose(registry.get(add.module_path), attempt=None)
    queued_runs.run_all(raises=False)
    result.refresh()
    assert result.status == TaskResultStatus.FAILED
    assert [error.exception_class for error in result.errors] == [OpenQueueError]
    assert "workers were lost" in result.errors[0].traceback
    assert result.attempts == 3


def test_a_cancelled_run_has_failed_without_an_error(queued_runs: QueuedRuns):
    result = add.enqueue(1)
    cancellation.cancel([UUID(result.id)], actor="ada")
    result.refresh()
    assert (result.status, result.errors) == (TaskResultStatus.FAILED, [])


def test_it_takes_the_context(queued_runs: QueuedRuns):
    result = look.enqueue("ada")
    queued_runs.run_all()
    result.refresh()
    assert result.return_value == ["ada", result.id, 1, "RUNNING", ["ada"]]


def test_coroutines_run_with_and_without_the_context(queued_runs: QueuedRuns):
    results = [later.enqueue("x"), look_later.enqueue()]
    queued_runs.run_all()
    for result in results:
        result.refresh()
    assert [result.return_value for result in results] == ["X", 1]


def test_queue_and_priority_are_the_tasks_or_the_occasions():
    rows = [
        Run.objects.get(pk=one.enqueue("x").id)
        for one in (later, later.using(priority=-5, queue_name="slow"))
    ]
    assert [(row.queue, row.priority) for row in rows] == [("mail", 10), ("slow", -5)]
    found = later.get_result(str(rows[1].pk))
    assert (found.task.priority, found.task.queue_name, found.task.run_after) == (-5, "slow", None)


def test_run_after_is_kept(queued_runs: QueuedRuns):
    moment = timezone.now().replace(microsecond=0) + dt.timedelta(hours=1)
    result = add.using(run_after=moment).enqueue(1)
    queued_runs.run_all()
    assert not CALLS
    assert Run.objects.get(pk=result.id).scheduled_for == moment
    assert add.get_result(result.id).task.run_after == moment


def test_a_moment_is_the_occasions_and_no_other_runs(backend: Callable[..., Any]):
    moment = timezone.now() + dt.timedelta(hours=1)
    with backend():  # a fresh process, which meets the task on this occasion first
        add.using(run_after=moment).enqueue(1)
        assert add.get_result(add.enqueue(1).id).task == add


def test_a_retry_by_hand_is_no_moment_that_was_asked_for(queued_runs: QueuedRuns):
    result = fail.enqueue("gone")
    queued_runs.run_all(raises=False)
    assert runs.retry([UUID(result.id)], actor=Actor(name="ada")) == {UUID(result.id): "requeued"}
    assert fail.get_result(result.id).task.run_after is None


def test_it_vanishes_with_the_callers_transaction():
    with pytest.raises(RuntimeError), transaction.atomic():
        result = add.enqueue(1)
        raise RuntimeError
    assert not Run.objects.filter(pk=result.id).exists()


@pytest.mark.parametrize(("args", "kwargs"), [((), {}), ((1, 2, 3), {}), ((1,), {"c": 1})])
def test_arguments_that_do_not_fit_are_refused_before_anything_is_written(args: Any, kwargs: Any):
    with pytest.raises(TypeError):
        add.enqueue(*args, **kwargs)
    assert not Run.objects.exists()


@pytest.mark.parametrize(
    ("value", "kind"),
    [(object(), TypeError), ({1, 2}, TypeError), (float("nan"), PayloadInvalid), ("\0", PayloadInvalid)],
)
def test_what_is_no_json_is_refused_before_anything_is_written(value: Any, kind: type[Exception]):
    with pytest.raises(kind):
        fail.enqueue(value)
    assert not Run.objects.exists()


def test_arguments_are_as_json_has_them(queued_runs: QueuedRuns):
    result = look.enqueue(name=("a", "b"))
    assert result.kwargs == {"name": ["a", "b"]}


def test_signals_tell_of_its_life(queued_runs: QueuedRuns):
    heard: list[Any] = []

    def hear(signal: Any, task_result: Any, **_: Any) -> None:
        heard.append((task_result.id, str(task_result.status)))

    signals = (task_enqueued, task_started, task_finished)
    for signal in signals:
        signal.connect(hear)
    try:
        good, bad = add.enqueue(1), fail.enqueue("x")
        queued_runs.run_all(raises=False)
    finally:
        for signal in signals:
            signal.disconnect(hear)
    for result, end in ((good, "SUCCESSFUL"), (bad, "FAILED")):
        assert [status for id_, status in heard if id_ == result.id] == ["READY", "RUNNING", end]


def test_a_receiver_that_fails_harms_no_run(queued_runs: QueuedRuns):
    def hear(**_: Any) -> None:
        raise RuntimeError("no")

    task_started.connect(hear)
    try:
        result = add.enqueue(1)
        queued_runs.run_all()
    finally:
        task_started.disconnect(hear)
    result.refresh()
    assert result.status == TaskResultStatus.SUCCESSFUL


def test_where_only_the_framework_listens_nothing_is_read_for_it():
    assert not bodies.heard(task_started)
    assert not bodies.heard(task_finished)


@pytest.mark.parametrize("name", ["Mail", "", "a b", "x" * 64])
def test_a_queue_that_no_broker_could_have_is_refused_when_declared(name: str):
    with pytest.raises(InvalidTask, match="must match"):
        add.using(queue_name=name)


def test_a_queue_that_the_settings_do_not_list_is_refused(backend: Callable[..., Any]):
    with backend(QUEUES=["default"]), pytest.raises(InvalidTask, match="mail"):
        add.using(queue_name="mail")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"queue": "mail"}, "does not know queue"),
        ({"max_attempts": 0}, "max_attempts=0"),
        ({"ttl": -1}, "ttl=-1"),
    ],
)
def test_options_that_are_wrong_are_named(backend: Callable[..., Any], options: dict[str, Any], why: str):
    with pytest.raises(ImproperlyConfigured, match=why), backend(OPTIONS=options):
        add.enqueue(1)


def test_the_checks_name_a_queue_that_cannot_be(backend: Callable[..., Any]):
    with backend(QUEUES=["Mail"]):
        (found,) = task_backends["default"].check()
    assert found.id == "openqueue.E091"


def test_without_the_app_the_checks_say_so(settings: Any):
    settings.INSTALLED_APPS = [
        app for app in settings.INSTALLED_APPS if app not in {"openqueue", "openqueue_workbench"}
    ]
    assert [found.id for found in task_backends["default"].check()] == ["openqueue.E090"]


def test_workers_know_what_was_declared_and_nothing_else():
    assert registry.get(add.module_path).id == "tests.contrib.declared.add"
    with pytest.raises(UnknownTask):
        registry.get("tests.contrib.declared.missing")


def test_a_module_that_is_loaded_again_brings_its_new_function(queued_runs: QueuedRuns):
    first = default_task_backend.adopted.adopt(add, sender=type(default_task_backend), options={})

    def newer(a: int, b: int = 1) -> int:
        return -a

    for name in ("__module__", "__qualname__", "__name__"):
        setattr(newer, name, getattr(add.func, name))
    reloaded = dataclasses.replace(add, func=newer)
    result = reloaded.enqueue(7)
    queued_runs.run_all()
    result.refresh()
    assert result.return_value == -7
    assert add.enqueue(7).status == TaskResultStatus.READY  # and the old one again, for the tests that follow
    assert registry.get(add.module_path) is not first


@pytest.fixture
def backend(settings: Any) -> Callable[..., Any]:
    @contextmanager
    def changed(**facts: Any) -> Iterator[None]:
        before = settings.TASKS
        settings.TASKS = {"default": {"BACKEND": BACKEND, "QUEUES": []} | facts}
        try:
            yield
        finally:
            settings.TASKS = before

    return changed
