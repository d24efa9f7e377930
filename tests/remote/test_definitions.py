"""Tasks that are defined over HTTP: checked, triggered by name from everywhere, known to schedules."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from openqueue import registry, trigger
from openqueue.errors import PayloadInvalid, UnknownTask, UnsupportedCapability
from openqueue.models import AuditLog, Run, Schedule, TaskDefinition
from openqueue.schedules import page
from tests.remote.program import DEFINITION, TASK, Remote, answer_of, define, refusal

pytestmark = pytest.mark.django_db


def faults(response: Any) -> dict[str, str]:
    assert response.status_code == 400, response.json()
    return {one["path"]: one["reason"] for one in response.json()["errors"]}


def test_the_same_definition_again_changes_nothing_and_another_changes_it(api: Any):
    program = api("worker")
    outcomes = [define(program).json()["outcome"] for _ in range(2)] + [
        define(program, priority=9).json()["outcome"]
    ]
    assert outcomes == ["created", "unchanged", "changed"]
    acts = AuditLog.objects.filter(act__startswith="task.").order_by("pk")
    assert list(acts.values_list("act", flat=True)) == ["task.define", "task.redefine"]
    assert trigger(TASK, {"path": "a"}).id
    assert (Run.objects.get().priority, Run.objects.get().max_attempts) == (9, 3)


@pytest.mark.parametrize("payload", [{}, {"path": 3}, {"path": "a", "width": 0}, {"path": "a", "more": 1}])
def test_a_payload_that_does_not_fit_is_refused_by_python_and_by_the_api_alike(
    api: Any, payload: dict[str, Any]
):
    define(api("worker"))
    with pytest.raises(PayloadInvalid) as caught:
        trigger(TASK, payload)
    answer = api("trigger").post("runs", {"task_id": TASK, "payload": payload})
    told = [
        (f"payload.{path}" if path != "payload" else path, reason) for path, reason in caught.value.errors
    ]
    assert list(faults(answer).items()) == told
    assert not Run.objects.exists()


def test_the_api_triggers_and_lists_it_beside_the_tasks_of_this_code(api: Any):
    define(api("worker"))
    assert api("trigger").post("runs", {"task_id": TASK, "payload": {"path": "a"}}).status_code == 201
    shown = {task["id"]: task for task in api("read").get("tasks").json()["tasks"]}
    assert shown[TASK]["schema"] == DEFINITION["schema"]
    assert (shown[TASK]["description"], shown[TASK]["queue"]) == ("Make a small picture.", "media")
    assert "app.add" in shown


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"queue": "NOT"}, "queue"),
        ({"max_attempts": 0}, "max_attempts"),
        ({"schema": {"type": "array"}}, "schema.type"),
        (
            {"schema": {"type": "object", "properties": {"a": {"type": "nothing"}}}},
            "schema.properties.a.type",
        ),
        ({"schema": {"type": "object", "$ref": "https://elsewhere.example/schema"}}, "schema['$ref']"),
        ({"schema": {"type": "object", "$id": "https://elsewhere.example/"}}, "schema['$id']"),
        ({"backoff": {"kind": "lunar"}}, "backoff"),
        ({"rate_limit": "often"}, "rate_limit"),
        ({"secret": ["pin"]}, "secret"),
        ({"ordering_key": "{nobody}"}, "ordering_key"),
        ({"schedule": {"cron": "never"}}, "schedule.cron"),
        ({"schedule": {"every": 60}}, "schedule.payload.path"),
        ({"unheard": 1}, "unheard"),
    ],
)
def test_what_is_wrong_with_a_definition_is_named_and_nothing_is_written(
    api: Any, changed: dict[str, Any], path: str
):
    assert path in faults(define(api("worker"), **changed))
    assert not TaskDefinition.objects.exists()
    assert not Schedule.objects.exists()


def test_an_id_of_this_code_cannot_be_defined_and_the_code_wins_where_both_are(api: Any, declare: Any):
    assert refusal(define(api("worker"), "app.add")) == (409, "declared_in_code")
    define(api("worker"), "test.both")

    @declare
    def both() -> None: ...

    assert registry.get("test.both") is both
    assert registry.everywhere()["test.both"] is both


def test_a_definition_brings_its_schedule_whose_ticks_become_runs(api: Any):
    program = api("worker")
    rule = {"every": 60, "payload": {"path": "a"}, "overlap": "skip"}
    assert define(program, schedule=rule).status_code == 201
    schedule = Schedule.objects.get()
    assert (schedule.task_id, schedule.every, schedule.overlap) == (TASK, timedelta(seconds=60), "skip")
    assert define(program, schedule=rule, priority=1).json()["outcome"] == "changed"
    assert Schedule.objects.get().next_tick == schedule.next_tick
    assert page.tick_due(limit=10, now=schedule.next_at + timedelta(seconds=1)) == 1
    run = Run.objects.get()
    assert (run.task_id, run.queue, run.payload) == (TASK, "media", {"path": "a"})
    define(program)
    assert not Schedule.objects.exists()


def test_withdrawn_it_is_unknown_and_its_schedule_is_gone(api: Any):
    program = api("worker")
    define(program, schedule={"cron": "0 9 * * MON", "payload": {"path": "a"}})
    path = f"/openqueue/v1/worker/tasks/{TASK}"
    assert program.client.delete(path, headers=program.headers).json()["id"] == TASK
    assert not Schedule.objects.exists()
    with pytest.raises(UnknownTask):
        trigger(TASK, {"path": "a"})
    assert program.client.delete(path, headers=program.headers).status_code == 404


def test_a_run_that_is_held_while_its_definition_is_withdrawn_keeps_its_result(api: Any):
    program = api("worker")
    define(program, secret=["path"])
    trigger(TASK, {"path": "sesame-street"})
    remote = Remote(program)
    (work,) = remote.claim()
    TaskDefinition.objects.all().delete()
    assert answer_of(remote.complete(work, ["sesame-street", 2])) == (True, "completed", "")
    assert Run.objects.get().result == ["[secret]", 2]


def test_its_body_cannot_be_called_in_python(api: Any):
    define(api("worker"))
    with pytest.raises(UnsupportedCapability, match="defined for workers in other languages"):
        registry.get(TASK)(path="a")


def test_a_definition_that_this_release_cannot_read_hides_no_other(remote: Remote):
    now = timezone.now()
    TaskDefinition.objects.create(
        task_id="broken", queue="media", declaration={"max_attempts": "many"}, created_at=now, updated_at=now
    )
    trigger(TASK, {"path": "a"})
    assert len(remote.claim()) == 1
