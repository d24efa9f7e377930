"""Numbers and groups of errors over HTTP."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from openqueue.core import depths
from openqueue.core.rollups import advance
from openqueue.models import AuditLog, ErrorGroup, Run
from tests.control.builders import clock, make_run

pytestmark = pytest.mark.django_db


@pytest.fixture
def group():
    run = make_run(status="failed", at=clock() - timedelta(minutes=10))
    Run.objects.filter(pk=run).update(error={"type": "E", "message": "no such order 4711", "traceback": ""})
    while advance(minutes=60):
        pass
    return ErrorGroup.objects.get()


def test_numbers_are_right_to_the_row_the_running_minute_included(api):
    program = api("read")
    for status in ("completed", "completed", "failed"):
        make_run(status=status, at=clock() - timedelta(seconds=10))
    make_run(status="completed", queue="mail", at=clock() - timedelta(minutes=20))
    make_run()
    answer = program.get("numbers?period=3600&step=600").json()
    assert answer["whole"]["counts"] | {"completed": 3, "failed": 1} == answer["whole"]["counts"]
    assert sum(point["total"] for point in answer["points"]) == 4
    assert len(answer["points"]) in {6, 7}
    assert {queue: found["total"] for queue, found in program.get("numbers/queues").json()["numbers"].items()} == {
        "default": 3, "mail": 1,
    }  # fmt: skip
    assert program.get("numbers?queue=mail").json()["whole"]["total"] == 1
    (by_task,) = program.get("numbers/tasks?queue=mail").json()["numbers"].values()
    assert by_task["total"] == 1


def test_numbers_of_a_tenant_are_those_of_its_queues(api):
    for queue in ("mine", "theirs", "theirs"):
        make_run(status="completed", queue=queue, at=clock() - timedelta(seconds=10))
        make_run(status="completed", queue=queue, at=clock() - timedelta(minutes=30))
    while advance(minutes=60):
        pass
    tenant = api("read", queues=["mine"])
    assert tenant.get("numbers").json()["whole"]["total"] == 2
    assert list(tenant.get("numbers/queues").json()["numbers"]) == ["mine"]
    assert [found["total"] for found in tenant.get("numbers/tasks").json()["numbers"].values()] == [2]
    for path in ("numbers?queue=theirs", "numbers/tasks?queue=theirs"):
        assert tenant.get(path).json()["code"] == "queue_not_found"


def test_a_queue_over_time_is_told_to_who_sees_it(api):
    make_run(queue="mail", at=clock() - timedelta(seconds=90))
    make_run(queue="mail", status="running")
    make_run(queue="other")
    depths.look()
    told = api("read").get("queues/mail/depth?period=3600&step=600").json()
    assert (told["queue"], told["step"], len(told["points"]) in {6, 7}) == ("mail", "PT600S", True)
    assert told["points"][0] | {"last": None, "most": None} == told["points"][0]  # nobody looked
    last = told["points"][-1]["last"]
    assert {name: last[name] for name in ("ready", "held", "delayed", "running")} == {
        "ready": 1, "held": 0, "delayed": 0, "running": 1,
    }  # fmt: skip
    assert 89 < last["oldest"] < 120
    tenant = api("read", queues=["mail"])
    assert tenant.get("queues/mail/depth").status_code == 200
    assert tenant.get("queues/other/depth").json()["code"] == "queue_not_found"
    for query, path in (("step=90", "step"), ("period=864000&step=60", "period"), ("period=1", "period")):
        answer = tenant.get(f"queues/mail/depth?{query}")
        assert (answer.status_code, answer.json()["errors"][0]["path"]) == (400, path)


@pytest.mark.parametrize(
    ("query", "path"),
    [("period=59", "period"), ("step=90", "step"), ("period=864000&step=60", "period"), ("step=1", "step"),
     ("period=316224000&step=86400", "period")],
)  # fmt: skip
def test_a_window_that_cannot_be_told_is_refused(api, query, path):
    answer = api("read").get(f"numbers?{query}")
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (400, path)


def test_groups_of_errors_are_listed_resolved_ignored_and_opened(api, group):
    program = api("admin")
    (shown,) = program.get("errors?state=open").json()["errors"]
    assert (shown["type"], shown["message"], shown["count"]) == ("E", "no such order 4711", 1)
    detail = program.get(f"errors/{group.pk}").json()
    assert (detail["error"]["message"], [run["id"] for run in detail["runs"]]) == (
        "no such order 4711", [str(group.last_run)],
    )  # fmt: skip
    outcomes = []
    for act, body in (
        ("resolution", {"reason": "mended"}), ("resolution", {}), ("ignoring", {}),
        ("ignoring", {"until": (clock() + timedelta(days=1)).isoformat()}), ("reopening", {}),
    ):  # fmt: skip
        answer = program.post(f"errors/{group.pk}/{act}", body).json()
        outcomes.append((answer["outcome"], answer["error"]["state"]))
    assert outcomes == [
        ("resolved", "resolved"), ("unchanged", "resolved"), ("ignored", "ignored"), ("ignored", "ignored"),
        ("reopened", "open"),
    ]  # fmt: skip
    past = program.post(f"errors/{group.pk}/ignoring", {"until": "2020-01-01T00:00:00Z"})
    assert (past.status_code, past.json()["errors"][0]["path"]) == (400, "until")
    assert AuditLog.objects.filter(act__startswith="error.").count() == 4
    for path in ("errors/0", f"errors/{10**17}"):
        assert program.get(path).json()["code"] == "error_not_found"
        assert program.post(f"{path}/resolution").json()["code"] == "error_not_found"
    assert program.get(f"errors/{10**18}").json()["code"] == "not_found"


def test_a_group_is_resolved_in_a_release_and_ignored_up_to_a_number(api, group):
    program = api("admin")
    answer = program.post(f"errors/{group.pk}/resolution", {"release": "1.2"}).json()
    assert (answer["outcome"], answer["error"]["resolved_in"]) == ("resolved", "1.2")
    answer = program.post(f"errors/{group.pk}/ignoring", {"above": 20}).json()
    assert (answer["error"]["ignored_above"], answer["error"]["resolved_in"]) == (20, "")
    for act, body, path in (
        ("resolution", {"release": "a b"}, "release"), ("resolution", {"release": "x" * 61}, "release"),
        ("ignoring", {"above": -1}, "above"), ("ignoring", {"above": 10**7}, "above"),
    ):  # fmt: skip
        refused = program.post(f"errors/{group.pk}/{act}", body)
        assert (refused.status_code, refused.json()["errors"][0]["path"]) == (400, path)
    assert ErrorGroup.objects.get().ignored_above == 20


def test_what_errors_say_is_hidden_from_who_may_not_see_payloads(group, client: Client):
    user = User.objects.create_user("ada", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_errorgroup"))
    client.force_login(user)
    for path in ("errors", f"errors/{group.pk}"):
        said = client.get(f"/openqueue/v1/{path}")
        assert said.status_code == 200
        assert "4711" not in said.content.decode()


def test_groups_belong_to_all_and_a_tenant_sees_none(api, group):
    tenant = api("admin", queues=["default"])
    assert tenant.get("errors").status_code == 403
    assert tenant.post(f"errors/{group.pk}/resolution").status_code == 403
    assert ErrorGroup.objects.get().state == "open"
