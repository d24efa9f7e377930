"""What a worker over HTTP is given, and what it is not: as any other worker."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from openqueue import registry, trigger
from openqueue.control import queue_acts, runs, worker_acts, workers
from openqueue.core import permits
from openqueue.models import Claim, Release, Run, TaskDefinition, Worker
from openqueue.store import store
from openqueue.types import ClaimRequest
from tests.api.conftest import ADA
from tests.control.builders import log_in, make_run, make_worker, pause
from tests.remote.program import DEFINITION, TASK, Remote, answer_of, define, refusal
from tests.statements import sent

pytestmark = pytest.mark.django_db


def test_a_hundred_runs_are_one_claim_statement_and_their_ends_are_a_batch(remote: Remote):
    made = trigger_many(100)
    with sent() as statements:
        works = remote.claim(100)
    assert {work["run"] for work in works} == made
    if connection.vendor == "postgresql":
        assert sum("INSERT INTO openqueue_claim" in sql for sql in statements) == 1
        assert len(statements) <= 6  # token, worker, tasks, heartbeat, claim
    counts = {}
    for some in (works[:1], works[1:]):
        with CaptureQueriesContext(connection) as captured:
            remote.say("completions", *({"lease": work["lease"], "result": 1} for work in some))
        counts[len(some)] = len(captured)
    assert counts[99] == counts[1]
    assert not Run.objects.exclude(status="completed").exists()


def test_a_heartbeat_costs_the_same_whatever_it_holds(remote: Remote):
    trigger_many(50)
    counts = []
    for _ in range(2):
        leases = [work["lease"] for work in remote.claim(1 if not counts else 49)]
        with CaptureQueriesContext(connection) as captured:
            remote.beat(leases=leases) if not counts else remote.beat()
        counts.append(len(captured))
    assert counts[0] == counts[1]


def trigger_many(count: int) -> set[str]:
    task = registry.get(TASK)
    return {str(run.id) for run in task.trigger_many([{"path": str(n)} for n in range(count)])}


def test_it_is_given_no_task_that_it_did_not_name_and_a_python_worker_is_not_given_its_own(remote: Remote):
    make_run(queue="media")
    run = trigger(TASK, {"path": "a"})
    python = make_worker(queues=["media"])
    asked = ClaimRequest(worker_id=python, token=python, known=list(registry.index()))
    mine = store().claim_due(asked, runtime="default", rooms={"media": 10}, limit=10).claimed
    assert [one.task_id for one in mine] == ["app.add"]
    assert [work["run"] for work in remote.claim(10)] == [str(run.id)]


def test_a_defined_task_that_nobody_serves_now_waits_and_does_not_fail_as_unknown(remote: Remote):
    run = trigger(TASK, {"path": "a"})
    Worker.objects.all().delete()
    later = timezone.now() + timedelta(minutes=5)
    told = {
        "runtime": "default",
        "queues": ["media"],
        "known": ["app.add"],
        "older_than": timedelta(0),
        "limit": 10,
    }
    assert store().defer_unknown(**told, now=later) == []
    TaskDefinition.objects.all().delete()
    assert [row[0] for row in store().defer_unknown(**told, now=later)] == [run.id]


def test_it_may_serve_a_task_of_this_code_and_is_given_its_secrets_which_are_shown_nowhere(api: Any):
    remote = Remote(api("worker"), queues=["default"], tasks=[log_in.id])
    run = log_in.trigger(user="ada", password="correct horse")
    (work,) = remote.claim()
    assert work["payload"] == {"user": "ada", "password": "correct horse"}
    remote.say("progress", {"lease": work["lease"], "message": "with correct horse"})
    remote.say("logs", {"lease": work["lease"], "lines": [{"text": "it is correct horse"}]})
    remote.complete(work, {"password": "correct horse"})
    reader = api("read")
    shown = [
        reader.get(f"runs/{run.id}{more}").content.decode() for more in ("", "/events", "/logs", "/attempts")
    ]
    assert not any("correct horse" in text for text in shown)
    assert Run.objects.get().result == {"password": "[secret]"}


def test_secret_fields_of_a_definition_are_sealed_and_a_failure_shows_none(api: Any):
    program = api("worker")
    assert define(program, secret=["path"]).status_code == 201
    run = trigger(TASK, {"path": "sesame-street"})
    assert "sesame" not in str(Run.objects.values("payload").get())
    remote = Remote(program)
    (work,) = remote.claim()
    assert work["payload"] == {"path": "sesame-street"}
    remote.fail(work, message="no such file: sesame-street", traceback="at sesame-street", retry=False)
    assert "sesame" not in api("read").get(f"runs/{run.id}").content.decode()
    assert "sesame" not in str(list(Run.objects.values()))


def test_a_paused_queue_gives_nothing(remote: Remote):
    trigger(TASK, {"path": "a"})
    pause("media")
    assert remote.claim() == []
    queue_acts.resume(["media"], actor=ADA)
    assert len(remote.claim()) == 1


def test_higher_priority_comes_first(remote: Remote):
    task = registry.get(TASK)
    for priority in (0, 50, -3):
        task.using(priority=priority).trigger(path=str(priority))
    assert [work["payload"]["path"] for work in remote.claim(3)] == ["50", "0", "-3"]


def test_limits_of_the_fleet_hold(api: Any):
    program = api("worker")
    define(program, max_concurrency=1)
    task = registry.get(TASK)
    task.trigger_many([{"path": "a"}, {"path": "b"}])
    permits.admit({f"task:{TASK}"})
    remote = Remote(program)
    (work,) = remote.claim(5)
    remote.complete(work)
    permits.admit({f"task:{TASK}"})
    assert len(remote.claim(5)) == 1


def test_the_concurrency_of_a_queue_holds_for_each_worker(remote: Remote, settings: Any):
    settings.OPENQUEUE = {"QUEUES": {"media": {"concurrency": 2}}}
    trigger_many(5)
    assert len(remote.claim(5)) == 2
    assert remote.claim(5) == []
    assert len(Remote(remote.api).claim(5)) == 2


def test_a_cancelled_run_is_told_in_the_heartbeat_and_ends_cancelled(remote: Remote):
    run = trigger(TASK, {"path": "a"})
    (work,) = remote.claim()
    runs.cancel([run.id], actor=ADA)
    assert remote.beat().json()["cancel"] == [str(run.id)]
    assert answer_of(remote.fail(work, cancelled=True)) == (True, "cancelled", "")
    assert answer_of(remote.fail(work, cancelled=True)) == (True, "cancelled", "")
    waiting = trigger(TASK, {"path": "b"})
    runs.cancel([waiting.id], actor=ADA)
    assert remote.claim() == []


def test_a_worker_cannot_cancel_what_nobody_asked_to_cancel(remote: Remote):
    trigger(TASK, {"path": "a"})
    (work,) = remote.claim()
    assert answer_of(remote.fail(work, cancelled=True)) == (True, "retrying", "")


def test_a_body_beyond_its_timeout_is_ended_at_a_heartbeat_and_its_result_comes_too_late(api: Any):
    program = api("worker")
    define(program, timeout=5)
    remote = Remote(program)
    trigger(TASK, {"path": "a"})
    (work,) = remote.claim()
    assert work["timeout"] == 5.0
    Claim.objects.update(claimed_at=timezone.now() - timedelta(seconds=6))
    assert remote.beat(leases=[work["lease"]]).json()["lost"] == []  # it has a moment to say so itself
    Claim.objects.update(claimed_at=timezone.now() - timedelta(seconds=8))
    assert remote.beat(leases=[work["lease"]]).json()["lost"] == [work["lease"]]
    row = Run.objects.get()
    assert (row.status, row.reason, row.error["type"]) == ("retrying", "timed_out", "TaskTimeout")
    assert refusal(remote.complete(work)) == (409, "lease_lost")


def test_a_worker_says_itself_that_time_was_over_or_when_to_try_again(remote: Remote):
    trigger(TASK, {"path": "a"})
    (work,) = remote.claim()
    remote.fail(work, timed_out=True, retry_in=90)
    row = Run.objects.select_related("outbox").get()
    assert row.reason == "timed_out"
    assert 88 < (row.outbox.due_at - timezone.now()).total_seconds() < 91


@pytest.mark.parametrize(("command", "state"), [("quiet", "quiet"), ("stop", "stopping")])
def test_a_worker_that_operators_have_stop_is_told_and_given_nothing(
    remote: Remote, command: str, state: str
):
    trigger(TASK, {"path": "a"})
    (worker,) = Worker.objects.values_list("pk", flat=True)
    assert getattr(worker_acts, command)([worker], actor=ADA) == {worker: worker_acts.ASKED}
    assert [one.state for one in workers.listing()] == ["running"]
    assert remote.beat().json()["command"] == command
    assert [one.state for one in workers.listing()] == [state]
    told = remote.claimed()
    assert (told["command"], told["runs"]) == (command, [])


def test_what_a_worker_says_of_its_memory_is_shown_and_stays_until_it_says_more(remote: Remote):
    assert [one.memory for one in workers.listing()] == [None]
    remote.beat(memory=300 * 2**20)
    remote.beat()
    assert [one.memory for one in workers.listing()] == [300 * 2**20]


def test_a_worker_that_says_it_stops_is_given_nothing(remote: Remote):
    trigger(TASK, {"path": "a"})
    remote.beat(stopping=True)
    assert remote.claim() == []
    assert Worker.objects.get().state == "stopping"


def test_a_task_that_needs_a_label_goes_only_to_who_has_it(api: Any):
    program = api("worker")
    define(program, needs=["gpu"])
    trigger(TASK, {"path": "a"})
    assert Remote(program).claim() == []
    assert len(Remote(program, labels=["gpu", "big"]).claim()) == 1


def test_a_token_for_one_queue_registers_defines_and_claims_there_alone(api: Any):
    narrow = api("worker:queue:media")
    assert define(narrow).status_code == 201
    assert refusal(define(narrow, "other.task", queue="other")) == (403, "not_allowed")
    other = {"queues": ["media", "other"], "tasks": [TASK], "language": "x"}
    assert refusal(narrow.post("worker/registrations", other)) == (403, "not_allowed")
    assert Remote(narrow).claim() == []
    tenant = api("worker", queues=["other"])
    assert refusal(define(tenant)) == (403, "not_allowed")
    assert refusal(tenant.get(f"worker/tasks/{TASK}")) == (404, "task_not_found")


def test_a_run_whose_payload_no_longer_fits_its_definition_fails_and_is_not_given(remote: Remote):
    run = trigger(TASK, {"path": "a"})
    schema = {**DEFINITION["schema"], "required": ["path", "width"]}
    assert define(remote.api, schema=schema).json()["outcome"] == "changed"
    assert remote.claim() == []
    row = Run.objects.get(pk=run.id)
    assert (row.status, row.reason) == ("failed", "payload_invalid")


def test_a_registration_names_what_is_wrong_with_it(api: Any):
    bad = {"queues": ["media"], "tasks": ["nobody.knows"], "language": "x"}
    answer = api("worker").post("worker/registrations", bad)
    assert answer.json()["errors"][0]["path"] == "tasks[0]"
    assert not Worker.objects.exists()


def test_a_worker_may_tell_the_release_of_the_project(api: Any):
    program = api("worker")
    define(program)
    remote = Remote(program, release="2026.11.2")
    assert list(Worker.objects.values_list("pk", "release")) == [(UUID(remote.id), "2026.11.2")]
    assert list(Release.objects.values_list("name", flat=True)) == ["2026.11.2"]
    Remote(program)  # it need not
    for wrong in ("a b", "x" * 61):
        new = {"queues": ["media"], "tasks": [TASK], "language": "test", "release": wrong}
        refused = program.post("worker/registrations", new)
        assert (refused.status_code, refused.json()["errors"][0]["path"]) == (400, "release")
    assert Release.objects.count() == 1
