"""Workers, queues' doors, the outbox, activity and runtimes over HTTP."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from openqueue.control import tokens
from openqueue.models import AuditLog, Outbox, QueueState, Run, Worker
from tests.api.conftest import ADA
from tests.control.builders import clock, make_run, make_worker

pytestmark = pytest.mark.django_db


def test_a_worker_is_told_and_answered_as_it_is_now(api):
    worker = make_worker()
    make_run(status="running", worker=worker)
    program = api("control")
    answer = program.post(f"workers/{worker}/quiet", {"reason": "deploy"}).json()
    assert (answer["outcome"], answer["worker"]["command"], answer["worker"]["state"]) == (
        "asked",
        "quiet",
        "running",
    )
    assert answer["worker"]["bodies"][0]["task_id"] == "app.add"
    assert AuditLog.objects.get(act="worker.quiet").reason == "deploy"
    assert program.post(f"workers/{worker}/quiet").json()["outcome"] == "already asked"
    assert program.post(f"workers/{worker}/resumption").json()["outcome"] == "asked"
    assert program.post(f"workers/{worker}/stop").json()["worker"]["command"] == "stop"


def test_the_record_says_where_a_request_came_from_and_what_was_refused(api):
    asked = {"x-request-id": "req-7\u202e"}
    api("control").post("queues/mail/pause", {"reason": "x"}, headers=asked, REMOTE_ADDR="10.0.0.9")
    reader = api("read")
    reader.get("queues/mail")
    assert reader.post("queues/mail/pause", {}).status_code == 403
    admin = api("admin")
    (paused,) = admin.get("activity?act=queue.pause").json()["entries"]
    (refused,) = admin.get("activity?act=refused").json()["entries"]
    assert paused["origin"] == "10.0.0.9 req-7"
    assert (refused["act"], refused["object"], refused["actor"]) == (
        "refused", "POST /openqueue/v1/queues/mail/pause", "token:program-2",
    )  # fmt: skip
    assert "no right to pause" in refused["reason"]
    assert refused["origin"] == "127.0.0.1"


@pytest.mark.parametrize("act", ["quiet", "resumption", "stop"])
def test_a_worker_that_is_gone_is_a_conflict_with_its_state(api, act):
    worker = make_worker()
    Worker.objects.update(state="lost")
    for gone in (worker, uuid4()):
        answer = api("control").post(f"workers/{gone}/{act}")
        assert (answer.status_code, answer.json()["code"]) == (409, "worker_gone")
    assert not Worker.objects.exclude(command="").exists()


def test_who_sees_some_queues_only_tells_no_worker_and_reads_no_activity(api):
    worker, tenant = make_worker(), api("admin", queues=["mine"])
    for answer in (tenant.post(f"workers/{worker}/stop"), tenant.get("activity"), tenant.get("runtimes")):
        assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed")
    assert Worker.objects.get().command == ""


def test_a_queue_is_disabled_drained_and_enabled(api):
    program = api("control", "read")
    answer = program.post("queues/mail/disabling", {"behaviour": "skip", "reason": "so"}).json()
    assert (answer["outcome"], answer["queues"][0]["behaviour"], answer["queues"][0]["paused"]) == (
        "disabled",
        "skip",
        True,
    )
    assert program.post("queues/mail/resumption").json()["outcome"] == "disabled"
    answer = program.post("queues/mail/draining").json()
    assert (answer["outcome"], answer["queues"][0]["draining"]) == ("draining", True)
    assert program.post("queues/mail/enabling").json()["outcome"] == "enabled"
    wrong = program.post("queues/mail/disabling", {"behaviour": "drop"})
    assert (wrong.status_code, wrong.json()["errors"][0]["path"]) == (400, "behaviour")
    assert api("control", queues=["mine"]).post("queues/mail/disabling").status_code == 404
    assert not QueueState.objects.exclude(behaviour="").exists()


def test_a_trigger_into_a_queue_that_rejects_is_a_conflict(api):
    program = api("admin")
    program.post("queues/default/disabling", {"behaviour": "reject", "reason": "provider is down"})
    answer = program.post("runs", {"task_id": "app.add", "payload": {"a": 1, "b": 2}})
    assert (answer.status_code, answer.json()["code"]) == (409, "queue_closed")
    assert "provider is down" in answer.json()["detail"]
    assert not Run.objects.exists()


def test_the_outbox_is_listed_and_flushed_within_what_is_seen(api):
    mine, theirs = make_run(queue="mine"), make_run(queue="theirs")
    soon = clock() + timedelta(hours=1)
    Outbox.objects.update(announce_at=soon)
    tenant = api("read", "control", queues=["mine"])
    assert [row["run_id"] for row in tenant.get("outbox").json()["page"]["rows"]] == [str(mine)]
    assert tenant.get("outbox?queue=theirs").json()["code"] == "queue_not_found"
    assert tenant.post("outbox/flushing", {"queue": "theirs"}).json()["code"] == "queue_not_found"
    assert tenant.post("outbox/flushing", {"reason": "broker is back"}).json() == {"flushed": 1}
    assert Outbox.objects.get(pk=theirs).announce_at == soon
    page = api("read").get("outbox?limit=1").json()["page"]
    assert [row["run_id"] for row in page["rows"]] == [str(mine)]
    page = api("read").get(f"outbox?limit=1&after={page['next']}").json()["page"]
    assert ([row["run_id"] for row in page["rows"]], page["next"]) == ([str(theirs)], None)
    assert api("read").get("outbox?state=lost").status_code == 400


def test_activity_is_read_page_by_page_by_who_may(api):
    tokens.create("ci", scopes=["read"], queues=None, actor=ADA)
    program = api("admin")
    page = program.get("activity?limit=1").json()
    assert (page["entries"][0]["actor"], len(page["entries"])) == ("ada", 1)
    older = program.get(f"activity?limit=1&older={page['older']}").json()
    assert older["entries"][0]["id"] < page["entries"][0]["id"]
    assert program.get("activity?actor=bob").json()["entries"] == []
    assert program.get("activity?since=yesterday").status_code == 400
    assert api("read").get("activity").status_code == 403


def test_runtimes_tell_how_they_stand(api):
    (one,) = api("read").get("runtimes").json()["runtimes"]
    assert (one["alias"], one["ok"], one["findings"]) == ("default", True, [])
    assert {c["name"] for c in one["capabilities"] if c["value"] == "no"} >= {"replay"}
