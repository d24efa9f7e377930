"""Alerts over HTTP: made by who may, shown without a secret, and of no concern to tenants."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from openqueue.models import Alert, AlertChannel, AlertRule, AuditLog
from tests.alerts.builders import NOW, after, look
from tests.control.builders import make_run

pytestmark = pytest.mark.django_db
URL = "https://hooks.example.com/services/T0/B0/canarycanary"


def test_from_a_channel_to_an_alert_that_somebody_is_on(api: Any):
    admin = api("admin")
    made = admin.post("alerts/channels", {"name": "hook", "kind": "webhook", "url": URL, "reason": "on call"})
    assert made.status_code == 201
    assert made.json()["secret"].startswith("whsec_")
    channel = made.json()["channel"]["id"]
    body = {"name": "late", "kind": "backlog_age", "threshold": 10, "channels": [channel]}
    rule = admin.post("alerts/rules", body)
    assert (rule.status_code, rule.json()["rule"]["channels"][0]["name"]) == (201, "hook")
    make_run(at=NOW)
    assert look(after(10)) == 1
    reader = api("read")
    (alert,) = reader.get("alerts?state=open").json()["alerts"]
    assert (alert["subject"], alert["rule"]) == ("queue default", "late")
    shown = reader.get(f"alerts/{alert['id']}").json()
    assert [one["state"] for one in shown["deliveries"]] == ["waiting"]
    done = api("control").post(f"alerts/{alert['id']}/acknowledgement", {"reason": "looking"})
    assert done.json()["outcome"] == "acknowledged"
    said = b"".join(
        reader.get(path).content
        for path in ("alerts", f"alerts/{alert['id']}", "alerts/deliveries", "alerts/rules", "alerts/channels",
                     f"alerts/channels/{channel}", f"alerts/rules/{rule.json()['rule']['id']}")
    )  # fmt: skip
    assert b"canarycanary" not in said
    assert b"whsec_" not in said


def test_where_alerts_go_is_for_an_admin_to_say(api: Any):
    for scope in ("read", "control", "trigger"):
        answer = api(scope).post("alerts/channels", {"name": scope, "kind": "webhook", "url": URL})
        assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed")
    assert not AlertChannel.objects.exists()
    assert AuditLog.objects.filter(act="refused").count() == 3


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/",
        "https://127.0.0.1/",
        "https://169.254.169.254/latest",
        "file:///etc/passwd",
    ],
)
def test_a_url_into_this_network_is_refused_with_its_field(api: Any, url: str):
    answer = api().post("alerts/channels", {"name": "x", "kind": "webhook", "url": url})
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (400, "url")


def test_a_rule_is_changed_paused_resumed_foreseen_and_deleted(api: Any):
    admin = api("admin")
    rule = admin.post("alerts/rules", {"name": "a", "kind": "no_worker", "threshold": 0}).json()["rule"]["id"]
    changed = admin.send("PATCH", f"alerts/rules/{rule}", {"severity": "critical"}).json()["rule"]
    assert (changed["severity"], changed["threshold"]) == ("critical", 0)
    make_run()
    assert [one["subject"] for one in admin.get(f"alerts/rules/{rule}/preview").json()["alerts"]] == [
        "queue default"
    ]
    draft = admin.post("alerts/rules/preview", {"kind": "backlog_size", "threshold": 5})
    assert draft.json() == {"is_known": True, "until": None, "alerts": []}
    assert admin.post(f"alerts/rules/{rule}/pause").json()["outcome"] == "paused"
    assert admin.post(f"alerts/rules/{rule}/resumption").json()["outcome"] == "resumed"
    assert admin.send("DELETE", f"alerts/rules/{rule}").status_code == 204
    assert (AlertRule.objects.count(), Alert.objects.count()) == (0, 0)


def test_a_channel_is_changed_tested_given_a_secret_paused_and_deleted(api: Any):
    admin = api("admin")
    made = admin.post("alerts/channels", {"name": "hook", "kind": "webhook", "url": URL}).json()
    path = f"alerts/channels/{made['channel']['id']}"
    assert admin.send("PATCH", path, {"name": "other"}).json()["channel"]["name"] == "other"
    assert admin.post(f"{path}/secret").json()["secret"] != made["secret"]
    tested = admin.post(f"{path}/test")
    assert tested.status_code == 202
    (told,) = admin.get("alerts/deliveries").json()["deliveries"]
    assert (told["id"], told["event"]) == (tested.json()["delivery"], "test")
    assert admin.post(f"{path}/pause").json()["outcome"] == "paused"
    assert admin.get("alerts/deliveries?state=dropped").json()["deliveries"][0]["id"] == told["id"]
    assert admin.post(f"{path}/resumption").json()["outcome"] == "resumed"
    assert admin.send("DELETE", path).status_code == 204


def test_who_sees_some_queues_only_sees_no_alerts(api: Any):
    tenant = api("admin", queues=["tenant-7"])
    for path in ("alerts", "alerts/rules", "alerts/channels", "alerts/deliveries"):
        assert tenant.get(path).status_code == 403


def test_what_is_not_there_is_not_found(api: Any):
    answer = api().get(f"alerts/{uuid4()}")
    assert (answer.status_code, answer.json()["code"]) == (404, "alert_not_found")
    assert api().get("alerts/rules/7").status_code == 404
    assert api().post("alerts/channels/7/test").status_code == 404
