"""The thinnest way through: a token, a run triggered, looked at, and somebody turned away."""

from __future__ import annotations

import pytest

from openqueue.models import AuditLog, Run
from tests.api.conftest import Api

pytestmark = pytest.mark.django_db


def test_a_token_triggers_a_run_and_looks_at_it(api):
    program = api("trigger", "read")
    created = program.post("runs", {"task_id": "app.add", "payload": {"a": 1, "b": 2}})
    assert created.status_code == 201, created.content
    run = Run.objects.get()
    assert created.json() == {"id": str(run.pk), "task_id": "app.add", "queue": "default", "status": "queued"}
    assert created["Location"] == f"/openqueue/v1/runs/{run.pk}"
    shown = program.get(f"runs/{run.pk}")
    assert (shown.status_code, shown.json()["payload"]) == (200, {"a": 1, "b": 2})
    assert AuditLog.objects.get(act="run.trigger").actor == "token:program-1"


def test_nobody_comes_in_without_a_token(db):
    for path in ("runs", "info", "no-such-route"):
        answer = Api().get(path)
        assert (answer.status_code, answer["WWW-Authenticate"]) == (401, 'Bearer realm="openqueue"')
        assert answer["Content-Type"] == "application/problem+json"
        assert answer.json()["code"] == "not_authenticated"


def test_a_token_that_may_read_may_not_trigger(api):
    answer = api("read").post("runs", {"task_id": "app.add", "payload": {"a": 1, "b": 2}})
    assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed")
    assert not Run.objects.exists()
