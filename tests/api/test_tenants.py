"""A token of some queues: nothing else exists for it, in no list, detail, count or nested address."""

from __future__ import annotations

import pytest

from openqueue.models import QueueState, Run
from tests.app.tasks import add
from tests.control.builders import make_run, pause

pytestmark = pytest.mark.django_db


@pytest.fixture
def tenant(api):
    return api("admin", queues=["mine"])


def test_a_run_of_another_queue_is_nowhere(tenant):
    theirs = make_run(status="failed", queue="theirs", tags=["x"])
    mine = make_run(status="failed", queue="mine", tags=["x"])
    for part in ("", "/events", "/logs", "/attempts"):
        assert tenant.get(f"runs/{theirs}{part}").json()["code"] == "run_not_found"
        assert tenant.get(f"runs/{mine}{part}").status_code == 200
    for act in ("cancellation", "retry"):
        answer = tenant.post(f"runs/{theirs}/{act}", {})
        assert (answer.status_code, answer.json()["code"]) == (404, "run_not_found")
    for query in ("", "?queue=theirs", "?status=failed", "?tag=x", "?task_id=app.add"):
        assert str(theirs) not in tenant.get(f"runs{query}").content.decode()
    assert [run["id"] for run in tenant.get("runs?status=failed").json()["runs"]] == [str(mine)]
    assert Run.objects.get(pk=theirs).status == "failed"


def test_cursors_lead_to_no_run_of_another_queue(tenant):
    mine = [make_run(queue=name) for name in ("mine", "theirs") * 3][::2]
    seen, cursor = [], ""
    while cursor is not None:
        page = tenant.get(f"runs?limit=1&cursor={cursor}").json()
        seen += [run["id"] for run in page["runs"]]
        cursor = page["older"]
    assert seen == [str(run) for run in mine[::-1]]


def test_a_queue_of_others_is_nowhere(tenant):
    pause("theirs")
    pause("mine")
    make_run(queue="theirs")
    assert {queue["name"] for queue in tenant.get("queues").json()["queues"]} == {"mine"}
    assert tenant.get("queues/theirs").status_code == 404
    for act, body in (("pause", {}), ("resumption", {}), ("clearing", {"confirm": "theirs"})):
        assert tenant.post(f"queues/theirs/{act}", body).status_code == 404
    assert QueueState.objects.get(name="theirs").paused
    assert Run.objects.get().status == "queued"
    assert tenant.post("queues/mine/resumption", {}).json()["outcome"] == "resumed"


def test_tasks_and_counts_are_those_of_its_queues(tenant, declare):
    @declare(queue="mine")
    def work(order: int) -> None: ...

    assert [task["id"] for task in tenant.get("tasks").json()["tasks"]] == ["test.work"]
    assert tenant.get("tasks/app.add").status_code == 404
    info = tenant.get("info").json()
    assert (info["tasks"], info["queues"]) == (1, ["mine"])


def test_it_triggers_into_its_queues_only(tenant, declare):
    @declare(queue="mine")
    def work(order: int) -> None: ...

    assert tenant.post("runs", {"task_id": "test.work", "payload": {"order": 1}}).status_code == 201
    away = {"task_id": "test.work", "payload": {"order": 1}, "options": {"queue": "theirs"}}
    assert tenant.post("runs", away).status_code == 403
    other = {"task_id": add.id, "payload": {"a": 1, "b": 2}, "options": {"queue": "mine"}}
    assert tenant.post("runs", other).json()["code"] == "task_not_found"
    assert Run.objects.count() == 1


def test_what_all_tenants_share_is_not_shown(tenant):
    for path in ("workers", "overview"):
        assert tenant.get(path).status_code == 403
