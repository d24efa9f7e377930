"""JSON only, closed by default, errors of one shape: whatever comes in, and whatever a project's settings say."""

from __future__ import annotations

import json

import pytest
from django.db import OperationalError
from django.test import Client
from rest_framework.settings import reload_api_settings

from openqueue.api import wire
from openqueue.control import overview, run_acts
from openqueue.core import cancellation
from openqueue.errors import RunLocked
from openqueue.models import Outbox
from tests.api.conftest import Api
from tests.app.tasks import add
from tests.control.builders import make_run, make_worker, pause

pytestmark = pytest.mark.django_db
OPENED = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.AllowAny"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.BrowsableAPIRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.FormParser"],
    "DEFAULT_THROTTLE_CLASSES": ["no.such.Throttle"],
    "DEFAULT_VERSIONING_CLASS": "rest_framework.versioning.AcceptHeaderVersioning",
    "EXCEPTION_HANDLER": "no.such.handler",
    "UNAUTHENTICATED_USER": None,
    "URL_FORMAT_OVERRIDE": "format",
}


def problem(answer, status: int, code: str) -> None:
    assert (answer.status_code, answer["Content-Type"]) == (status, "application/problem+json")
    said = answer.json()
    assert said["type"] == f"urn:openqueue:problem:{code}"
    assert (said["code"], said["status"]) == (code, status)
    assert said["title"]
    assert said["detail"]


def test_every_kind_of_error_has_the_one_shape(api):
    program = api()
    problem(Api().get("runs"), 401, "not_authenticated")
    problem(program.get("nothing"), 404, "not_found")
    problem(program.get("runs/no-uuid"), 404, "not_found")
    problem(program.get("queues/nothing"), 404, "queue_not_found")
    problem(program.client.delete("/openqueue/v1/runs", headers=program.headers), 405, "method_not_allowed")
    problem(program.get("runs", headers={"accept": "text/html"}), 406, "not_acceptable")
    problem(program.get("runs?format=html"), 400, "invalid_request")
    form = program.client.post("/openqueue/v1/runs", {"task_id": "app.add"}, headers=program.headers)
    problem(form, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "body", [b"{", b"\xff", b"NaN", b'{"a": "\\u0000"}', b'"\\ud800"', b"[" * 100, b'{"a": 1e999}']
)
def test_a_body_that_is_no_good_json_is_refused(api, body: bytes):
    program = api()
    answer = program.client.post(
        "/openqueue/v1/runs", body, content_type="application/json", headers=program.headers
    )
    problem(answer, 400, "invalid_json")


def test_a_body_is_not_read_beyond_its_limit(api, monkeypatch):
    monkeypatch.setattr(wire, "MOST_BYTES", 100)
    answer = api().post("runs", {"task_id": "app.add", "payload": {"a": "x" * 100}})
    problem(answer, 413, "payload_too_large")


def test_a_payload_above_its_limit_is_refused(api, settings):
    settings.OPENQUEUE = {"PAYLOAD_LIMIT": 50}
    answer = api().post("runs", {"task_id": "tests.log_in", "payload": {"user": "x" * 60, "password": "y"}})
    problem(answer, 400, "invalid_request")
    assert "limit" in answer.content.decode()


def test_a_projects_own_settings_open_nothing(api, settings):
    settings.REST_FRAMEWORK = OPENED
    reload_api_settings(setting="REST_FRAMEWORK")
    program = api("read")
    problem(Api().get("runs"), 401, "not_authenticated")
    problem(program.get("runs", headers={"accept": "text/html"}), 406, "not_acceptable")
    problem(program.post("runs", {"task_id": "app.add"}), 403, "not_allowed")
    assert program.get("runs").json()["runs"] == []


def test_health_tells_nothing_but_life_and_asks_no_database(django_assert_num_queries):
    with django_assert_num_queries(0):
        answer = Client().get("/openqueue/v1/health", headers={"authorization": "Bearer nonsense"})
    assert (answer.status_code, answer.json()) == (200, {"ok": True})


def test_who_polls_is_told_that_nothing_is_new(api):
    program, run = api("read"), make_run()
    for path in (f"runs/{run}", "runs", f"runs/{run}/events", "tasks", "openapi.json"):
        first = program.get(path)
        again = program.get(path, headers={"if-none-match": first["ETag"]})
        assert (again.status_code, again.content, again["ETag"]) == (304, b"", first["ETag"]), path
    etag = program.get(f"runs/{run}")["ETag"]
    api("control").post(f"runs/{run}/cancellation")
    assert program.get(f"runs/{run}", headers={"if-none-match": etag}).status_code == 200


def test_answers_stay_out_of_caches(api):
    program = api()
    assert program.get("queues")["Cache-Control"] == "no-store"
    assert program.get("runs")["Cache-Control"] == "private, no-cache"
    assert Api().get("runs")["Cache-Control"] == "no-store"


def test_a_database_that_does_not_answer_is_said_so(api, monkeypatch):
    def away(*_, **__):
        raise OperationalError("gone: postgresql://user:canary@host")

    monkeypatch.setattr(run_acts, "show", away)
    answer = api().get(f"runs/{make_run()}")
    problem(answer, 503, "database_unavailable")
    assert answer["Retry-After"] == "2"
    assert b"canary" not in answer.content


def test_a_locked_run_is_a_state_that_stands_in_the_way(api, monkeypatch):
    def locked(*_, **__):
        raise RunLocked

    monkeypatch.setattr(cancellation, "cancel", locked)
    problem(api().post(f"runs/{make_run()}/cancellation"), 409, "run_locked")


def test_a_caller_that_asks_too_often_is_told_when_to_go_on(api, settings):
    settings.OPENQUEUE = {"API_RATES": {"read": 2, "write": 1}}
    program = api()
    assert [program.get("runs").status_code for _ in range(3)] == [200, 200, 429]
    assert program.post("runs", {}).status_code == 400
    answer = program.post("runs", {})
    problem(answer, 429, "throttled")
    assert 1 <= int(answer["Retry-After"]) <= 60
    assert api().get("runs").status_code == 200


def test_bad_tokens_run_into_a_wall_whatever_address_they_claim_and_good_ones_do_not(api, settings):
    settings.OPENQUEUE = {"API_RATES": {"refused": 5}}
    answers = [
        Api("nonsense").get("runs", headers={"x-forwarded-for": f"10.0.0.{n}"}).status_code for n in range(8)
    ]
    assert answers == [401] * 5 + [429] * 3
    assert api("read").get("runs").status_code == 200


def test_queues_are_paused_resumed_and_cleared(api):
    for _ in range(3):
        make_run(queue="mail")
    program = api()
    answer = program.post("queues/mail/pause", {"reason": "provider is down"}).json()
    assert (answer["outcome"], answer["queues"][0]["paused"]) == ("paused", True)
    assert answer["queues"][0]["paused_by"] == "token:program-1"
    assert program.post("queues/mail/pause").json()["outcome"] == "already paused"
    assert program.post("queues/mail/resumption").json()["outcome"] == "resumed"
    for body in ({}, {"confirm": "other"}):
        assert program.post("queues/mail/clearing", body).status_code == 400
    assert program.get("queues/mail").json()["queues"][0]["due"] == 3
    cleared = program.post("queues/mail/clearing", {"confirm": "mail"})
    assert cleared.json() == {"queue": "mail", "cancelled": 3, "left": 0}


def test_a_large_queue_is_cleared_bit_by_bit(api, monkeypatch):
    from openqueue.control import queue_access, queue_acts

    monkeypatch.setattr(queue_access, "MOST_CLEARED", 2)
    monkeypatch.setattr(queue_acts, "CHUNK", 1)
    for _ in range(3):
        make_run(queue="mail")
    assert api().post("queues/mail/clearing", {"confirm": "mail"}).json()["left"] == 1


def test_workers_tasks_overview_and_info_are_what_control_says(api):
    worker = make_worker(queues=["default"])
    pause("mail")
    program = api("read")
    assert [one["id"] for one in program.get("workers").json()["workers"]] == [str(worker)]
    assert set(program.get("overview").json()) == set(overview.Overview.__dataclass_fields__)
    task = program.get("tasks/app.add").json()
    assert (task["enqueueable"], task["schema"]["required"]) == (True, ["a", "b"])
    assert "tests.log_in" in [one["id"] for one in program.get("tasks").json()["tasks"]]
    info = program.get("info").json()
    assert (info["service"], info["api_version"], info["namespace"]) == ("openqueue", 1, "openqueue")


def test_numbers_and_depth_survive_the_way_out(api):
    deep = json.loads("[" * 60 + "]" * 60)
    run = make_run(status="completed", result={"big": 10**30, "float": 1e22, "deep": deep})
    assert api().get(f"runs/{run}").json()["result"] == {"big": 10**30, "float": 1e22, "deep": deep}


@pytest.mark.parametrize(
    "moment", ["0202-04-05T15:06:41-21:41", "1969-12-31T23:59:59Z", "2200-01-02T00:00:00Z"]
)
def test_a_moment_that_no_database_takes_is_refused_wherever_it_stands(api, moment: str):
    program = api("admin")
    new = {"task_id": add.id, "every": 60, "payload": {"a": 1, "b": 1}, "starts_at": moment}
    answers = [
        program.get("activity", data={"before": moment}),
        program.get("runs", data={"since": moment}),
        program.post("schedules", new),
        program.post("runs", {"task_id": add.id, "payload": {"a": 1, "b": 1}, "options": {"run_at": moment}}),
    ]
    paths = [answer.json()["errors"][0]["path"] for answer in answers[: 3 if moment.startswith("19") else 4]]
    assert paths == ["before", "since", "starts_at", "options.run_at"][: len(paths)]


def test_an_offset_that_only_python_knows_is_understood(api):
    moment = "2027-04-05T15:06:41-21:41"
    program = api("admin")
    assert program.get("activity", data={"before": moment}).status_code == 200
    assert program.get("runs", data={"since": moment, "status": "failed"}).status_code == 200
    options = {"run_at": moment}
    made = program.post("runs", {"task_id": add.id, "payload": {"a": 1, "b": 1}, "options": options})
    assert made.status_code == 201
    assert Outbox.objects.get().due_at.isoformat() == "2027-04-06T12:47:41+00:00"
