"""Every route x every method x every kind of caller; routes come from the resolver, so that none can hide."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import URLResolver, get_resolver

from openqueue.control.callers import PERMISSIONS, SCOPES, Right
from openqueue.models import AuditLog, Outbox, Run
from tests.api.conftest import Api
from tests.control.builders import make_run

pytestmark = [pytest.mark.once, pytest.mark.django_db]
METHODS = ("get", "post", "put", "patch", "delete", "options", "head")
NEEDS = {
    ("get", "health"): "open",
    ("get", "info"): "known",
    ("get", "openapi.json"): "known",
    ("get", "overview"): Right.FLEET,
    ("get", "workers"): Right.FLEET,
    ("post", "workers/{worker_id}/quiet"): Right.OPERATE,
    ("post", "workers/{worker_id}/resumption"): Right.OPERATE,
    ("post", "workers/{worker_id}/stop"): Right.OPERATE,
    ("get", "outbox"): Right.OUTBOX,
    ("post", "outbox/flushing"): Right.FLUSH,
    ("get", "activity"): Right.AUDIT,
    ("get", "runtimes"): Right.FLEET,
    ("get", "tasks"): Right.READ,
    ("get", "tasks/{task_id}"): Right.READ,
    ("get", "runs"): Right.READ,
    ("post", "runs"): Right.TRIGGER,
    ("post", "runs/batch"): Right.TRIGGER,
    ("get", "runs/{run_id}"): Right.READ,
    ("get", "runs/{run_id}/events"): Right.READ,
    ("get", "runs/{run_id}/logs"): Right.DATA,
    ("get", "runs/{run_id}/attempts"): Right.READ,
    ("post", "runs/{run_id}/cancellation"): Right.CANCEL,
    ("post", "runs/{run_id}/retry"): Right.RETRY,
    ("post", "runs/{run_id}/promotion"): Right.PROMOTE,
    ("post", "runs/{run_id}/priority"): Right.PROMOTE,
    ("post", "runs/{run_id}/discard"): Right.DISCARD,
    ("post", "runs/{run_id}/replay"): Right.TRIGGER,
    ("get", "bulk"): Right.READ,
    ("post", "bulk"): Right.READ,
    ("post", "bulk/preview"): Right.READ,
    ("get", "bulk/{operation}"): Right.READ,
    ("post", "bulk/{operation}/stop"): Right.READ,
    ("post", "bulk/{operation}/resumption"): Right.READ,
    ("get", "dead-letters"): Right.READ,
    ("get", "dead-letters/messages"): Right.READ,
    ("post", "dead-letters/messages/{letter}/discard"): Right.DISCARD,
    ("get", "queues"): Right.QUEUES,
    ("get", "queues/{queue}"): Right.QUEUES,
    ("post", "queues/{queue}/pause"): Right.PAUSE,
    ("post", "queues/{queue}/resumption"): Right.PAUSE,
    ("post", "queues/{queue}/clearing"): Right.CLEAR,
    ("post", "queues/{queue}/disabling"): Right.PAUSE,
    ("post", "queues/{queue}/draining"): Right.PAUSE,
    ("post", "queues/{queue}/enabling"): Right.PAUSE,
    ("get", "schedules"): Right.SCHEDULES,
    ("post", "schedules"): Right.SCHEDULE_ADD,
    ("get", "schedules/{schedule}"): Right.SCHEDULES,
    ("patch", "schedules/{schedule}"): Right.SCHEDULE_CHANGE,
    ("delete", "schedules/{schedule}"): Right.SCHEDULE_DELETE,
    ("get", "schedules/{schedule}/ticks"): Right.SCHEDULES,
    ("post", "schedules/{schedule}/pause"): Right.SCHEDULE_PAUSE,
    ("post", "schedules/{schedule}/resumption"): Right.SCHEDULE_PAUSE,
    ("post", "schedules/{schedule}/runs"): Right.SCHEDULE_TRIGGER,
    ("get", "flows"): Right.FLOWS,
    ("post", "flows"): Right.TRIGGER,
    ("get", "flows/{flow_id}"): Right.FLOWS,
    ("post", "flows/{flow_id}/cancellation"): Right.FLOW_CANCEL,
    ("post", "flows/{flow_id}/retry"): Right.FLOW_RETRY,
    ("get", "numbers"): Right.READ,
    ("get", "queues/{queue}/depth"): Right.QUEUES,
    ("get", "numbers/tasks"): Right.READ,
    ("get", "numbers/queues"): Right.READ,
    ("get", "errors"): Right.ERRORS,
    ("get", "errors/{group}"): Right.ERRORS,
    ("post", "errors/{group}/resolution"): Right.TRIAGE,
    ("post", "errors/{group}/ignoring"): Right.TRIAGE,
    ("post", "errors/{group}/reopening"): Right.TRIAGE,
    ("get", "alerts"): Right.ALERTS,
    ("get", "alerts/deliveries"): Right.ALERTS,
    ("get", "alerts/{alert}"): Right.ALERTS,
    ("post", "alerts/{alert}/acknowledgement"): Right.ALERT_ACKNOWLEDGE,
    ("get", "alerts/rules"): Right.ALERT_RULES,
    ("post", "alerts/rules"): Right.ALERT_RULE_ADD,
    ("post", "alerts/rules/preview"): Right.ALERT_RULES,
    ("get", "alerts/rules/{rule}"): Right.ALERT_RULES,
    ("patch", "alerts/rules/{rule}"): Right.ALERT_RULE_CHANGE,
    ("delete", "alerts/rules/{rule}"): Right.ALERT_RULE_DELETE,
    ("get", "alerts/rules/{rule}/preview"): Right.ALERT_RULES,
    ("post", "alerts/rules/{rule}/pause"): Right.ALERT_RULE_CHANGE,
    ("post", "alerts/rules/{rule}/resumption"): Right.ALERT_RULE_CHANGE,
    ("get", "alerts/channels"): Right.ALERT_CHANNELS,
    ("post", "alerts/channels"): Right.ALERT_CHANNEL_ADD,
    ("get", "alerts/channels/{channel}"): Right.ALERT_CHANNELS,
    ("patch", "alerts/channels/{channel}"): Right.ALERT_CHANNEL_CHANGE,
    ("delete", "alerts/channels/{channel}"): Right.ALERT_CHANNEL_DELETE,
    ("post", "alerts/channels/{channel}/pause"): Right.ALERT_CHANNEL_CHANGE,
    ("post", "alerts/channels/{channel}/resumption"): Right.ALERT_CHANNEL_CHANGE,
    ("post", "alerts/channels/{channel}/test"): Right.ALERT_CHANNEL_CHANGE,
    ("post", "alerts/channels/{channel}/secret"): Right.ALERT_CHANNEL_CHANGE,
    ("get", "worker/tasks/{task_id}"): Right.WORK,
    ("put", "worker/tasks/{task_id}"): Right.WORK,
    ("delete", "worker/tasks/{task_id}"): Right.WORK,
    ("post", "worker/registrations"): Right.WORK,
    ("post", "worker/claims"): Right.WORK,
    ("post", "worker/heartbeats"): Right.WORK,
    ("post", "worker/progress"): Right.WORK,
    ("post", "worker/logs"): Right.WORK,
    ("post", "worker/completions"): Right.WORK,
    ("post", "worker/failures"): Right.WORK,
    ("post", "worker/releases"): Right.WORK,
    ("post", "worker/departures"): Right.WORK,
}
"""What each operation needs, written down a second time on purpose."""
ASKED = sorted({*NEEDS, *(("head", path) for method, path in NEEDS if method == "get")})
"""What there is to ask for. Other methods of these addresses are answered alike whoever asks: a test of its own."""
LET_IN = {200, 400, 404, 409}
"""An empty body may not be enough; and not everything is there."""


@pytest.fixture(autouse=True)
def _any_rate(settings: Any) -> None:
    settings.OPENQUEUE = {"API_RATES": dict.fromkeys(("read", "write", "refused"))}


def routes(resolver: Any = None, before: str = "") -> Iterator[tuple[str, Any]]:
    """Walk what Django would resolve."""
    for one in (resolver or get_resolver()).url_patterns:
        path = before + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", str(one.pattern))
        if isinstance(one, URLResolver):
            yield from routes(one, path)
        elif one.callback.__module__.startswith("openqueue.api"):
            yield path, one.callback


ROUTES = {path.removeprefix("openqueue/v1/"): view for path, view in routes()}


def test_every_route_of_the_resolver_is_in_the_table_and_no_other():
    found = {
        (method, path)
        for path, view in ROUTES.items()
        if path != "openqueue/"
        for method in view.cls.operations
    }
    assert found == set(NEEDS)
    assert ROUTES["openqueue/"].cls.__name__ == "NoRoute"


def asked(client: Client, method: str, path: str, run: Any, **headers: str) -> int:
    # What has no row here is let in and then not found.
    path = path.format(
        run_id=run,
        queue="default",
        task_id="app.add",
        schedule=1,
        flow_id=run,
        group=1,
        worker_id=run,
        operation=run,
        letter=1,
        alert=run,
        rule=1,
        channel=1,
    )
    return client.generic(
        method.upper(), f"/openqueue/v1/{path}", content_type="application/json", headers=headers
    ).status_code


def expected(method: str, path: str, rights: set[str]) -> set[int]:
    need = NEEDS["get" if method == "head" else method, path]
    if need == "open":
        return {200}
    if need == "known" or need in rights:
        return LET_IN
    return {403}


@pytest.mark.parametrize("scope", SCOPES)
def test_a_scope_opens_what_it_says_and_nothing_else(api, scope: str):
    run = make_run(status="completed")
    program: Api = api(scope)
    rights = {right.value for right in SCOPES[scope]}
    wrong = {
        (method, path): answered
        for method, path in ASKED
        if (answered := asked(program.client, method, path, run, **program.headers))
        not in expected(method, path, rights)
    }
    assert wrong == {}


@pytest.mark.parametrize("right", list(PERMISSIONS))
def test_a_permission_opens_what_it_says_and_nothing_else(right: Right):
    run = make_run(status="completed")
    user = User.objects.create_user("ada", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename=PERMISSIONS[right].partition(".")[2]))
    client = Client()
    client.force_login(user)
    wrong = {
        (method, path): answered
        for method, path in ASKED
        if (answered := asked(client, method, path, run)) not in expected(method, path, {right.value})
    }
    assert wrong == {}


@pytest.mark.parametrize("caller", ["read", "admin", "a person of the staff"])
def test_a_method_that_an_address_does_not_have_is_refused_to_whoever_asks(api, caller: str):
    run, client, headers = make_run(status="completed"), Client(), {}
    if caller in SCOPES:
        headers = api(caller).headers
    else:
        client.force_login(User.objects.create_user("ada", is_staff=True))
    answers = {
        asked(client, method, path, run, **headers)
        for path in ROUTES
        if path != "openqueue/"
        for method in METHODS
        if (method, path) not in ASKED
    }
    assert answers == {405}
    assert list(Run.objects.values_list("status", flat=True)) == ["completed"]


@pytest.mark.parametrize("kind", ["nobody", "bad_token", "customer", "staff", "inactive"])
def test_who_has_no_right_gets_in_nowhere_and_changes_nothing(kind: str):
    run, client, headers = make_run(), Client(), {}
    if kind in {"customer", "staff", "inactive"}:
        user = User.objects.create_user(
            "ada", is_staff=kind != "customer", is_superuser=kind == "inactive", is_active=kind != "inactive"
        )
        client.force_login(user)
    elif kind == "bad_token":
        headers = {"authorization": f"Bearer oq_{'0' * 12}_{'A' * 43}"}
    known = kind in {"customer", "staff"}
    before = list(Run.objects.values()), list(Outbox.objects.values())
    for (method, path), need in NEEDS.items():
        answered = asked(client, method, path, run, **headers)
        if need == "open" or (need == "known" and known):
            assert answered == 200, (method, path)
        else:
            assert answered == (403 if known else 401), (method, path, answered)
    for path in (f"runs/{uuid4()}", "nothing", "", "runs/x", "runs/"):
        assert asked(client, "get", path, run, **headers) in {401, 403, 404}
    assert (list(Run.objects.values()), list(Outbox.objects.values())) == before
    assert not AuditLog.objects.exclude(act="refused").exists()


def test_a_superuser_of_the_staff_may_everything():
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    run = make_run(status="completed")
    for (method, path), need in NEEDS.items():
        let_in = {403} if need == Right.WORK else LET_IN  # people are no workers
        assert asked(client, method, path, run) in let_in, (method, path)


def test_a_session_needs_the_csrf_token_for_an_act_and_a_get_does_not():
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("root"))
    run = make_run()
    assert asked(client, "get", f"runs/{run}", run) == 200
    forged = client.post(f"/openqueue/v1/runs/{run}/cancellation", content_type="text/plain", data="{}")
    assert (forged.status_code, forged.json()["code"]) == (403, "not_allowed")
    assert Run.objects.get().status == "queued"
    client.cookies["csrftoken"] = secret = "s" * 32
    assert asked(client, "post", f"runs/{run}/cancellation", run, x_csrftoken="t" * 32) == 403
    assert Run.objects.get().status == "queued"
    assert asked(client, "post", f"runs/{run}/cancellation", run, x_csrftoken=secret) == 200


def test_a_wrong_token_is_refused_though_the_session_would_do():
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    assert asked(client, "get", "info", None) == 200
    assert asked(client, "get", "info", None, authorization="Bearer nonsense") == 401
    assert asked(client, "get", "info", None, authorization="Basic cm9vdDpyb290") == 401


def test_a_session_without_the_right_to_data_sees_runs_without_what_they_carry():
    user = User.objects.create_user("ada", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_run"))
    client = Client()
    client.force_login(user)
    run = make_run(status="failed", meta={"canary": "canary"}, payload={"a": 77_77, "b": 2})
    said = b""
    for part in ("", "/events", "/attempts"):
        answer = client.get(f"/openqueue/v1/runs/{run}{part}")
        assert answer.json()["data_hidden"] is True
        said += answer.content
    assert b"canary" not in said
    assert b"7777" not in said
    assert b"no such order" not in said
    assert client.get(f"/openqueue/v1/runs/{run}/logs").status_code == 403
