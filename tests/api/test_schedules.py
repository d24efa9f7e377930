"""Schedules over HTTP: created, changed and controlled within the queues of the caller, each act on record."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from openqueue.models import AuditLog, Run, Schedule
from tests.app.tasks import add
from tests.control.builders import clock, log_in

pytestmark = pytest.mark.django_db
NEW = {"task_id": add.id, "key": "a", "every": 60, "payload": {"a": 1, "b": 2}}


def test_a_schedule_is_created_once_however_often_it_is_asked_for(api):
    program = api("control", "trigger", "read")
    first = program.post("schedules", NEW | {"options": {"tags": ["x"]}, "reason": "a customer came"})
    again = program.post("schedules", NEW | {"options": {"tags": ["x"]}})
    assert [(one.status_code, one.json()["outcome"]) for one in (first, again)] == [
        (201, "created"), (200, "changed"),
    ]  # fmt: skip
    row = Schedule.objects.get()
    assert (row.task_id, row.key, row.every, row.options) == (
        add.id,
        "a",
        timedelta(minutes=1),
        {"tags": ["x"]},
    )
    shown = first.json()["schedule"]
    assert (shown["status"], shown["kind"], shown["every"]) == ("active", "dynamic", 60)
    (line,) = AuditLog.objects.filter(act__startswith="schedule.")
    assert (line.act, line.actor, line.reason) == ("schedule.create", "token:program-1", "a customer came")


def test_what_is_wrong_with_it_is_named_and_nothing_is_written(api):
    program = api("control", "trigger")
    for wrong, path in (
        ({"cron": "61 * * * *"}, "cron"),
        ({"every": None}, "cron"),
        ({"overlap": "perhaps"}, "overlap"),
        ({"payload": {"a": "x", "b": 1}}, "payload.a"),
        ({"payload": {"a": 1, "b": 1, "c": 1}}, "payload.c"),
        ({"options": {"delay": 5}}, "options.delay"),
        ({"options": {"colour": 5}}, "options.colour"),
        ({"starts_at": "2027-01-01T00:00:00"}, "starts_at"),
        ({"starts_at": "9999-01-01T00:00:00Z"}, "starts_at"),
        ({"key": ""}, "key"),
    ):
        body = {**NEW, **wrong}
        if "cron" in wrong:
            del body["every"]
        answer = program.post("schedules", body)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request"), wrong
        assert path in [fault["path"] for fault in answer.json()["errors"]], (wrong, answer.json())
    assert not Schedule.objects.exists()
    assert not AuditLog.objects.filter(act__startswith="schedule.").exists()


def test_a_schedule_is_a_trigger_for_later_and_needs_that_right_too(api, declare):
    assert api("control").post("schedules", NEW).status_code == 403
    assert api("control", "trigger:task:other").post("schedules", NEW).status_code == 403
    assert (
        api("control", "trigger").post("schedules", NEW | {"task_id": "no.such"}).json()["code"]
        == "task_not_found"
    )

    @declare(api_enqueueable=False)
    def inner() -> None: ...

    answer = api("admin").post("schedules", {"task_id": inner.id, "every": 60})
    assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed")
    assert not Schedule.objects.exists()


def test_it_is_changed_paused_resumed_triggered_and_deleted(api):
    program = api("admin")
    number = program.post("schedules", NEW).json()["schedule"]["id"]
    changed = program.send("PATCH", f"schedules/{number}", {"cron": "0 9 * * *", "payload": {"a": 5, "b": 5}})
    assert (
        changed.json()["schedule"] | {"cron": "0 9 * * *", "every": None, "payload": {"a": 5, "b": 5}}
        == (changed.json()["schedule"])
    )
    for act, outcomes in (("pause", ["paused", "already paused"]), ("resumption", ["resumed", "not paused"])):
        answers = [program.post(f"schedules/{number}/{act}", {"reason": "tests"}).json() for _ in range(2)]
        assert [answer["outcome"] for answer in answers] == outcomes
        assert {answer["schedule"]["status"] for answer in answers} == {
            "paused" if act == "pause" else "active"
        }
    run = program.post(f"schedules/{number}/runs")
    assert (run.status_code, run.json()["run"]["id"]) == (201, str(Run.objects.get().pk))
    assert Run.objects.get().payload == {"a": 5, "b": 5}
    assert (
        program.get(f"schedules/{number}").json()["schedule"]["last_run_id"] is None
    )  # the rule's own runs only
    assert program.send("DELETE", f"schedules/{number}").status_code == 204
    assert program.get(f"schedules/{number}").json()["code"] == "schedule_not_found"
    acts = AuditLog.objects.filter(act__startswith="schedule.").order_by("pk").values_list("act", flat=True)
    assert list(acts) == [
        "schedule.create", "schedule.edit", "schedule.pause", "schedule.resume", "schedule.trigger", "schedule.delete",
    ]  # fmt: skip


def test_one_that_code_declares_is_not_deleted(api):
    row = log_in.schedules.create(every=60, payload={"user": "ada", "password": "x"}).row
    Schedule.objects.filter(pk=row.pk).update(declaration={"every": 60})
    answer = api("admin").send("DELETE", f"schedules/{row.pk}")
    assert (answer.status_code, answer.json()["code"]) == (409, "declared_in_code")
    assert Schedule.objects.exists()


def test_pages_follow_ids_and_filters(api):
    program = api("read")
    made = [add.schedules.create(every=60, key=f"k{n}", payload={"a": 1, "b": 1}).row.pk for n in range(5)]
    add.schedules.get("k1").pause()
    first = program.get("schedules?limit=3").json()
    second = program.get(f"schedules?limit=3&after={first['next']}").json()
    assert [one["id"] for page in (first, second) for one in page["schedules"]] == made
    assert second["next"] is None
    assert [one["key"] for one in program.get("schedules?status=paused").json()["schedules"]] == ["k1"]
    assert program.get("schedules?key=k9").json()["schedules"] == []
    assert len(program.get(f"schedules/{made[0]}").json()["upcoming"]) == 5
    assert program.get(f"schedules/{made[0]}/ticks").json() == {"ticks": [], "before": None}


def test_schedules_of_other_queues_do_not_exist_for_a_tenant(api, declare):
    @declare(queue="mine")
    def here() -> None: ...

    own = [
        here.schedules.create(every=60, key="own").row.pk,
        add.schedules.create(every=60, key="moved", payload={"a": 1, "b": 1}, queue="mine").row.pk,
    ]
    others = [
        add.schedules.create(every=60, key="theirs", payload={"a": 1, "b": 1}).row.pk,
        here.schedules.create(every=60, key="lent", queue="theirs").row.pk,
    ]
    tenant = api("admin", queues=["mine"])
    assert [one["id"] for one in tenant.get("schedules").json()["schedules"]] == own
    for number in own:
        assert tenant.get(f"schedules/{number}").status_code == 200
    for number in others:
        for method, path in (
            ("GET", ""), ("PATCH", ""), ("DELETE", ""), ("GET", "/ticks"), ("POST", "/pause"), ("POST", "/resumption"),
            ("POST", "/runs"),
        ):  # fmt: skip
            answer = tenant.send(
                method, f"schedules/{number}{path}", {} if method in {"PATCH", "POST"} else None
            )
            assert (answer.status_code, answer.json()["code"]) == (404, "schedule_not_found"), (method, path)
    moved = tenant.send("PATCH", f"schedules/{own[0]}", {"options": {"queue": "theirs"}})
    taken = tenant.post("schedules", {"task_id": here.id, "key": "lent", "every": 5})
    assert (moved.status_code, taken.status_code) == (403, 403)
    assert Schedule.objects.get(pk=own[0]).options is None
    assert Schedule.objects.get(key="lent").every == timedelta(minutes=1)


def test_who_may_not_see_payloads_sees_schedules_without(client: Client):
    row = add.schedules.create(every=60, payload={"a": 7_777, "b": 1}, meta={"canary": "canary"}).row
    user = User.objects.create_user("ada", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_schedule"))
    client.force_login(user)
    for path in ("schedules", f"schedules/{row.pk}"):
        said = client.get(f"/openqueue/v1/{path}")
        assert (said.status_code, said.json()["data_hidden"]) == (200, True)
        assert "7777" not in said.content.decode()
        assert "canary" not in said.content.decode()


def test_secret_arguments_are_masked(api):
    row = log_in.schedules.create(every=60, payload={"user": "ada", "password": "hunter22"}).row
    said = api("admin").get(f"schedules/{row.pk}")
    assert said.json()["schedule"]["payload"] == {"user": "ada", "password": "[secret]"}
    assert "hunter22" not in said.content.decode()


def test_a_list_takes_the_same_statements_whatever_its_length(api, django_assert_max_num_queries):
    program = api("read")
    program.get("schedules")  # writes down that the token is in use
    counts = []
    for number in range(2):
        for key in range(5):
            add.schedules.create(every=60, key=f"{number} {key}", payload={"a": 1, "b": 1}, starts_at=clock())
        with django_assert_max_num_queries(3) as sent:
            assert program.get("schedules").status_code == 200
        counts.append(len(sent))
    assert counts[0] == counts[1]
