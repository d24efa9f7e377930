from __future__ import annotations

import json

import pytest

from openqueue import secrets, task
from openqueue.models import AuditLog, Run
from tests.control.builders import log_in, make_run
from tests.workbench.conftest import VIEWER, text, to
from tests.workbench.test_runs_page import EVIL

pytestmark = pytest.mark.django_db


def send(client, payload, *, query: str = "", **fields):
    sent = payload if isinstance(payload, str) else json.dumps(payload)
    return client.post(f"{to('enqueue')}{query}", {"act": "enqueue", "on": "", "payload": sent, **fields})


def test_the_form_says_what_a_task_takes_and_begins_with_it(admin_client):
    page = text(admin_client.get(to("enqueue"), {"task": "app.add"}))
    assert '<option value="app.add" selected>' in page
    assert "whole number" in page
    assert "&quot;a&quot;: 0" in page


def test_a_run_is_made_as_the_form_says(admin_client):
    answer = send(
        admin_client, {"a": 1, "b": 2}, query="?task=app.add", queue="mail", delay="60", dedupe_key="once"
    )
    run = Run.objects.get()
    assert answer.url == to("run_change", run.pk)
    assert (run.queue, run.payload, run.dedupe_key) == ("mail", {"a": 1, "b": 2}, "once")
    assert (run.scheduled_for - run.created_at).total_seconds() == 60
    assert AuditLog.objects.get().actor == "admin"


@pytest.mark.parametrize(
    ("payload", "fields", "says"),
    [
        ({"a": "one", "b": 2}, {}, "<code>a</code>: must be int, not str"),
        ({"a": 1}, {}, "<code>b</code>: is missing"),
        ("{", {}, "<code>payload</code>: is no JSON, line 1"),
        ("[1]", {}, "<code>payload</code>: must be an object"),
        ("[" * 100_000, {}, "<code>payload</code>: is no JSON"),
        ({"a": 1, "b": 2}, {"delay": "soon"}, "<code>delay</code>: must be a number"),
        ({"a": 1, "b": 2}, {"priority": "1e9"}, "<code>priority</code>: must be a number"),
        ({"a": 1, "b": 2}, {"priority": "4000"}, "priority=4000"),
    ],
)
def test_what_is_wrong_is_said_by_its_path_and_what_was_written_stays(payload, fields, says, admin_client):
    page = text(send(admin_client, payload, query="?task=app.add", **fields), 422)
    assert says in page
    for value in fields.values():
        assert f'value="{value}"' in page
    assert not Run.objects.exists()


def test_a_run_is_run_again_with_its_own_arguments_secrets_kept(admin_client):
    old = make_run(task=log_in, payload={"user": "ada", "password": "hunter22"}, status="failed", tags=["x"])
    page = text(admin_client.get(to("enqueue"), {"from": str(old)}))
    assert "hunter22" not in page
    assert "[secret]" in page
    answer = send(admin_client, {"user": "bob", "password": "[secret]"}, query=f"?from={old}")
    new = Run.objects.exclude(pk=old).get()
    assert answer.url == to("run_change", new.pk)
    assert (new.payload["user"], new.tags, new.replay_of) == ("bob", ["x"], old)
    assert secrets.unseal(new.payload, fields=["password"])["password"] == "hunter22"


def test_only_who_may_see_payloads_runs_again_and_only_what_has_ended(staff, admin_client):
    old = make_run(status="failed")
    assert staff("view_run", "trigger_run").get(to("enqueue"), {"from": str(old)}).status_code == 403
    waiting = make_run()
    answer = send(admin_client, {"a": 1, "b": 2}, query=f"?from={waiting}")
    assert "Only a run that has ended allows that." in text(answer, 409)


def test_a_task_for_code_alone_is_not_offered(admin_client, declare):
    @task(id="tests.inner", api_enqueueable=False)
    def inner() -> None: ...

    page = text(admin_client.get(to("enqueue")))
    assert "app.add" in page
    assert "tests.inner" not in page
    assert "choose one that may be triggered" in text(send(admin_client, {}, query="?task=tests.inner"), 422)


def test_without_the_permission_there_is_no_form(staff):
    assert staff(*VIEWER).get(to("enqueue")).status_code == 403


def test_planted_markup_is_text(admin_client):
    page = text(
        send(admin_client, {"a": EVIL, EVIL: 1}, query="?task=app.add", queue="default", dedupe_key=EVIL), 422
    )
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page
