"""Runs over HTTP: triggered, listed, looked at, cancelled, retried."""

from __future__ import annotations

import logging
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from openqueue.models import AuditLog, Run
from openqueue.store import store
from openqueue.types import LogLine
from tests.control.builders import claim, clock, end, log_in, make_run

pytestmark = pytest.mark.django_db
ADD = {"task_id": "app.add", "payload": {"a": 1, "b": 2}}


def listed(page) -> list[str]:
    return [run["id"] for run in page["runs"]]


def test_options_are_those_of_using(api):
    options = {
        "queue": "mail",
        "priority": 7,
        "delay": 60,
        "tags": ["vip"],
        "meta": {"by": "web"},
        "timeout": 9,
    }
    created = api().post("runs", ADD | {"options": options})
    assert (created.status_code, created.json()["status"]) == (201, "scheduled")
    run = Run.objects.get()
    assert (run.queue, run.priority, run.tags, run.meta) == ("mail", 7, ["vip"], {"by": "web"})
    assert run.scheduled_for - run.created_at == timedelta(seconds=60)


def test_many_runs_are_created_in_one_go_and_are_one_line_of_the_record(api):
    created = api().post("runs/batch", {"runs": [ADD, ADD | {"options": {"queue": "mail"}}]})
    assert created.status_code == 201
    assert [run["queue"] for run in created.json()["runs"]] == ["default", "mail"]
    line = AuditLog.objects.get(act="run.trigger")
    assert line.after == {"runs": [run["id"] for run in created.json()["runs"]]}


def test_every_fault_of_a_batch_is_named_and_nothing_is_written(api):
    wrong = [ADD, {"task_id": "app.add", "payload": {"a": "x"}}, ADD | {"options": {"priority": 999}}]
    answer = api().post("runs/batch", {"runs": wrong})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    paths = [fault["path"] for fault in answer.json()["errors"]]
    assert paths == ["runs[1].payload.a", "runs[1].payload.b", "runs[2].options"]
    assert not Run.objects.exists()


@pytest.mark.parametrize(
    ("body", "status", "path"),
    [
        ({}, 400, "task_id"),
        ({"task_id": 7}, 400, "task_id"),
        (ADD | {"other": 1}, 400, "other"),
        (ADD | {"options": {"atomic": False}}, 400, "options.atomic"),
        (ADD | {"options": {"run_at": "2027-03-01T09:00:00"}}, 400, "options.run_at"),
        (ADD | {"options": {"run_at": "0001-01-01T00:00:00+14:00"}}, 400, "options.run_at"),
        (ADD | {"payload": {"a": 1, "b": {"deep": 1}}}, 400, "payload.b"),
        ([], 400, "body"),
    ],
)
def test_what_is_wrong_is_named(api, body, status: int, path: str):
    answer = api().post("runs", body)
    assert (answer.status_code, [fault["path"] for fault in answer.json()["errors"]]) == (status, [path])


def test_a_task_that_is_not_for_the_outside_is_refused(api, declare):
    @declare(api_enqueueable=False)
    def inside() -> None: ...

    answer = api().post("runs", {"task_id": "test.inside"})
    assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed")
    assert api().post("runs", {"task_id": "no.such"}).json()["code"] == "task_not_found"
    assert not Run.objects.exists()


def test_a_narrow_token_triggers_what_it_names(api):
    by_task, by_queue = api("trigger:task:app.add"), api("trigger:queue:mail")
    other = {"task_id": "tests.log_in", "payload": {"user": "ada", "password": "x"}}
    assert by_task.post("runs", ADD).status_code == 201
    assert by_task.post("runs", other).status_code == 403
    assert by_queue.post("runs", ADD).status_code == 403
    assert by_queue.post("runs", ADD | {"options": {"queue": "mail"}}).status_code == 201


def test_an_option_that_the_runtime_cannot_keep_is_another_refusal(api, settings):
    settings.OPENQUEUE = {"RUNTIMES": {"default": {"BACKEND": "tests.core.test_checks.Plain"}}}
    answer = api().post("runs", ADD | {"options": {"priority": 5}})
    assert (answer.status_code, answer.json()["code"]) == (501, "unsupported_capability")


def test_secrets_are_masked_everywhere(api):
    program = api()
    created = program.post("runs", {"task_id": log_in.id, "payload": {"user": "ada", "password": "canary"}})
    run = created.json()["id"]
    said = b"".join(
        program.get(f"runs/{run}{part}").content for part in ("", "/events", "/logs", "/attempts")
    )
    assert b"[secret]" in said
    assert b"canary" not in said + created.content
    assert "canary" not in str(list(AuditLog.objects.values()))


@pytest.mark.parametrize("status", [None, "queued", "failed"])
def test_pages_are_read_in_both_directions_whatever_comes_meanwhile(api, status):
    program = api()
    query = f"&status={status}" if status else ""
    at = clock() - timedelta(hours=1)
    made = [str(make_run(status=status or "queued", at=at)) for _ in range(5)]  # all of one moment
    made = made if status == "queued" else made[::-1]
    first = program.get(f"runs?limit=2{query}").json()
    make_run(status=status or "queued")
    second = program.get(f"runs?limit=2{query}&cursor={first['older']}").json()
    third = program.get(f"runs?limit=2{query}&cursor={second['older']}").json()
    assert (listed(first) + listed(second) + listed(third))[:5] == made
    # What came meanwhile comes last where the earliest due time comes first.
    assert (len(listed(third)), first["newer"], third["older"]) == (1 + (status == "queued"), None, None)
    back = program.get(f"runs?limit=2{query}&cursor={third['newer']}").json()
    assert listed(back) == listed(second)
    back = program.get(f"runs?limit=2{query}&cursor={back['newer']}").json()
    assert listed(back) == listed(first)
    assert (back["newer"] is None) == (status == "queued")  # what came meanwhile


@pytest.mark.parametrize("cursor", ["x", "!!", "bnVsbA", "W10", "WzAsMSwyXQ", "\u00e9", "é" * 40])
def test_a_cursor_that_is_none_is_refused(api, cursor: str):
    answer = api().get("runs", data={"cursor": cursor})
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (400, "cursor")


def test_a_cursor_of_a_list_in_another_order_is_refused(api):
    for _ in range(2):
        make_run(status="failed")
    cursor = api().get("runs?limit=1&status=failed").json()["older"]
    assert api().get(f"runs?cursor={cursor}").status_code == 400


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=201", "limit=x", "ordering=id", "status=gone", "since=yesterday", "since=0001-01-01T00:00:00Z",
     "limit=1&limit=2", "queue=A%20b", "task_id=a%00b", "payload__x=1", "_connector=OR%201=1"],
)  # fmt: skip
def test_a_parameter_that_is_wrong_or_unknown_is_refused(api, query: str):
    assert api().get(f"runs?{query}").json()["code"] == "invalid_request"


def test_a_page_takes_the_same_statements_whatever_its_length(api):
    program = api("read")
    counts = []
    for _ in range(2):
        for _ in range(5):
            make_run(status="failed", tags=["x"])
        program.get("runs")  # writes down that the token is in use
        with CaptureQueriesContext(
            connection,
        ) as sent:
            assert program.get("runs?status=failed&tag=x&limit=10").status_code == 200
        counts.append(len(sent))
    assert counts[0] == counts[1] <= 8  # two of them set and take back the time limit, on PostgreSQL


def test_a_run_is_cancelled_and_the_answer_shows_it_as_it_is_now(api):
    waiting, running, over = (make_run(status=status) for status in ("queued", "running", "completed"))
    program = api("control")
    answer = program.post(f"runs/{waiting}/cancellation", {"reason": "a mistake"})
    assert (answer.status_code, answer.json()["outcome"]) == (200, "cancelled")
    assert answer.json()["run"]["status"] == "cancelled"
    answer = program.post(f"runs/{running}/cancellation")
    assert (answer.json()["outcome"], answer.json()["run"]["cancel_requested"]) == ("requested", True)
    answer = program.post(f"runs/{over}/cancellation", {})
    assert (answer.status_code, answer.json()["code"]) == (409, "already_finished")
    assert answer.json()["run"]["status"] == "completed"
    line = AuditLog.objects.filter(act="run.cancel").last()
    assert (line.actor, line.reason) == ("token:program-1", "a mistake")


def test_three_refusals_of_a_retry_are_told_apart(api):
    failed, waiting = make_run(status="failed"), make_run()
    assert api("read").post(f"runs/{failed}/retry").status_code == 403
    program = api("control")
    answer = program.post(f"runs/{waiting}/retry", {})
    assert (answer.status_code, answer.json()["code"], answer.json()["run"]["status"]) == (
        409,
        "not_finished",
        "queued",
    )
    Run.objects.filter(pk=failed).update(runtime="gone")
    answer = program.post(f"runs/{failed}/retry", {})
    assert (answer.status_code, answer.json()["code"]) == (501, "unsupported_capability")
    Run.objects.filter(pk=failed).update(runtime="default")
    answer = program.post(f"runs/{failed}/retry", {})
    assert (answer.status_code, answer.json()["outcome"]) == (200, "requeued")
    assert (answer.json()["run"]["status"], answer.json()["run"]["cycle"]) == ("queued", 2)
    assert program.post(f"runs/{uuid4()}/retry", {}).json()["code"] == "run_not_found"


def test_attempts_are_folded_from_events(api):
    run = make_run(status="retrying", seconds=1.5)
    store().flip_ready(limit=10, now=clock() + timedelta(hours=2))
    later = clock() + timedelta(hours=2)
    end(claim(run, seq=3, at=later), status="completed", at=later, result=3)
    attempts = api("read").get(f"runs/{run}/attempts").json()["attempts"]
    assert [(a["cycle"], a["number"], a["outcome"]) for a in attempts] == [
        (1, 1, "retrying"),
        (1, 2, "completed"),
    ]
    assert attempts[0]["error"]["type"] == "ValueError"
    assert attempts[0]["seconds"] == 1.5
    api("control").post(f"runs/{run}/retry")
    claim(run, seq=Run.objects.get().version)
    last = api("read").get(f"runs/{run}/attempts").json()["attempts"][-1]
    assert (last["cycle"], last["number"], last["outcome"], last["ended_at"]) == (2, 1, "running", None)


def test_lines_of_a_log_are_chosen_by_attempt_level_and_text_and_followed(api):
    program, run = api(), make_run(status="running")
    lines = [
        (1, "info", "rendering Invoice 7"),
        (1, "error", "refused"),
        (2, "warning", "rendering invoice 7 again"),
    ]
    store().note(
        progress=[],
        logs=[
            LogLine(run, attempt, getattr(logging, level.upper()), text, 1.0)
            for attempt, level, text in lines
        ],
    )

    def said(query: str) -> list[str]:
        return [line["text"] for line in program.get(f"runs/{run}/logs?{query}").json()["logs"]]

    texts = [text for _, _, text in lines]
    assert said("") == texts
    assert said("attempt=2") == texts[2:]
    assert said("level=warning") == texts[1:]
    assert said("text=INVOICE&attempt=1") == texts[:1]
    newest = program.get(f"runs/{run}/logs?limit=2").json()
    assert ([line["text"] for line in newest["logs"]], newest["left_off"]) == (texts[1:], True)
    first = program.get(f"runs/{run}/logs?limit=2&after=0").json()
    assert ([line["text"] for line in first["logs"]], first["left_off"]) == (texts[:2], True)
    assert said(f"after={first['last']}") == texts[2:]
    rest = program.get(f"runs/{run}/logs?after={newest['last']}").json()
    assert rest == {"logs": [], "left_off": False, "last": newest["last"]}


@pytest.mark.parametrize("query", ["attempt=0", "level=loud", "text=", "after=-1", "limit=1001", "lines=5"])
def test_a_choice_of_lines_that_there_is_not_is_refused_by_name(api, query):
    answer = api().get(f"runs/{make_run()}/logs?{query}")
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (400, query.partition("=")[0])
