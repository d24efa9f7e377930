"""Flows over HTTP: a flow exists for who sees the queues of all its nodes."""

from __future__ import annotations

from uuid import uuid4

import pytest

from openqueue import chain, enqueue_flow
from openqueue.models import AuditLog, Run
from tests.app.tasks import add
from tests.control.builders import claim, clock, end

pytestmark = pytest.mark.django_db


def flow(*queues: str):
    return enqueue_flow(chain(*(add.using(queue=queue).bind(1, 2) for queue in queues)))


def test_flows_are_listed_and_looked_at_as_graphs(api):
    program = api("read")
    made = [flow("default", "default") for _ in range(3)]
    first = program.get("flows?limit=2").json()
    second = program.get(f"flows?limit=2&after={first['next']}").json()
    assert [one["id"] for page in (first, second) for one in page["flows"]] == [
        str(one.id) for one in made[::-1]
    ]
    shown = program.get(f"flows/{made[0].id}").json()
    assert [(node["number"], node["status"]) for node in shown["nodes"]] == [(0, "queued"), (1, "waiting")]
    assert shown["nodes"][1]["waits_for"] == [shown["nodes"][0]["name"]]
    assert program.get("flows?status=completed").json()["flows"] == []
    missing = program.get(f"flows/{uuid4()}")
    assert (missing.status_code, missing.json()["code"]) == (404, "flow_not_found")


def test_a_flow_is_cancelled_once(api):
    program, made = api("control"), flow("default", "default")
    answer = program.post(f"flows/{made.id}/cancellation", {"reason": "a mistake"})
    assert (answer.status_code, answer.json()["flow"]["status"]) == (200, "cancelled")
    again = program.post(f"flows/{made.id}/cancellation")
    assert (again.status_code, again.json()["code"]) == (409, "already_finished")
    line = AuditLog.objects.get(act="flow.cancel")
    assert (line.actor, line.reason) == ("token:program-1", "a mistake")


def test_what_failed_of_a_flow_begins_anew(api):
    program, made = api("control"), flow("default")
    too_early = program.post(f"flows/{made.id}/retry")
    assert (too_early.status_code, too_early.json()["code"]) == (409, "not_finished")
    (run,) = Run.objects.values_list("pk", flat=True)
    end(claim(run), status="failed", at=clock())
    answer = program.post(f"flows/{made.id}/retry")
    assert (answer.status_code, answer.json()["outcome"]) == (200, "retried")
    assert Run.objects.get().status == "queued"


def test_a_flow_through_another_queue_does_not_exist_for_a_tenant(api):
    own, mixed, theirs = flow("mine", "mine"), flow("mine", "theirs"), flow("theirs")
    tenant = api("admin", queues=["mine"])
    assert [one["id"] for one in tenant.get("flows").json()["flows"]] == [str(own.id)]
    assert tenant.get(f"flows/{own.id}").status_code == 200
    for other in (mixed, theirs):
        assert tenant.get(f"flows/{other.id}").status_code == 404
        for act in ("cancellation", "retry"):
            assert tenant.post(f"flows/{other.id}/{act}").json()["code"] == "flow_not_found"
    assert api("read", queues=["other"]).get("flows").json()["flows"] == []


def node(name: str, *after: str, **more):
    return {"name": name, "task_id": add.id, "payload": {"a": 1, "b": 2}, "after": list(after), **more}


def test_a_flow_is_triggered_once_by_its_key_all_of_it_or_none(api):
    program = api("trigger", "read")
    body = {
        "name": "import",
        "nodes": [node("fetch"), node("parse", "fetch"), node("store", "fetch", "parse")],
    }
    answers = [program.post("flows", body, headers={"idempotency-key": "import-7"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    assert answers[1].headers["Idempotency-Replayed"] == "true"
    shown = program.get(answers[0].headers["Location"].removeprefix("/openqueue/v1/")).json()
    assert {one["name"]: one["after"] for one in shown["nodes"]} == {
        "fetch": [], "parse": ["fetch"], "store": ["fetch", "parse"],
    }  # fmt: skip
    assert [one["status"] for one in shown["nodes"]] == ["queued", "waiting", "waiting"]
    assert Run.objects.count() == 3
    assert AuditLog.objects.get(act="flow.trigger").actor == "token:program-1"


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        ([node("a", "b"), node("b", "a")], "circle"),
        ([node("a", "nothing")], "no node of it"),
        ([node("a"), node("a")], "two nodes"),
        ([node("a"), node("b", payload={"a": "x", "b": 1})], "nodes[1].payload.a"),
        ([node("a", options={"dedupe_key": "k"})], "dedupe_key"),
        ([node("a", options={"colour": 1})], "nodes[0].options.colour"),
        ([], "nodes"),
    ],
)
def test_what_is_no_flow_is_refused_and_nothing_is_written(api, nodes, said):
    answer = api("trigger").post("flows", {"name": "import", "nodes": nodes})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert said in answer.content.decode()
    assert not Run.objects.exists()


def test_each_node_must_be_one_that_the_caller_may_trigger(api):
    body = {"name": "import", "nodes": [node("a"), node("b", "a", options={"queue": "theirs"})]}
    assert api("trigger", queues=["default"]).post("flows", body).status_code == 403
    assert api("trigger:task:other").post("flows", body).status_code == 403
    assert not Run.objects.exists()
