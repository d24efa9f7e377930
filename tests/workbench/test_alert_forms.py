"""Rules and channels as they are made, changed, paused, tried and deleted on their pages."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.test import Client

from openqueue.control.actor import Actor
from openqueue.control.alerts import channels
from openqueue.control.callers import Right
from openqueue.models import AlertChannel, AlertDelivery, AlertRule, AuditLog
from tests.alerts.builders import make_channel, make_rule
from tests.control.builders import clock, make_run
from tests.workbench.test_alerts import EVIL, staff, text, to

pytestmark = pytest.mark.django_db
URL = "https://hooks.example.com/services/T0/B0/canarycanary"
RULE = {
    "act": "create",
    "name": "tasks fail",
    "severity": "critical",
    "threshold": "12.5",
    "window": "900",
    "least": "20",
    "queues": "billing, email",
    "tasks": "shop.charge_payment\nshop.ship",
    "hold": "30",
    "cooldown": "600",
    "tells_end": "on",
    "reason": "we are blind",
}


def faults(page: str) -> list[str]:
    return re.findall(r'<span class="oq-error" id="oq-error-(\w+)"', page)


def form_of(kind: str) -> str:
    return f"{to('rule_add')}?kind={kind}"


def test_a_kind_is_chosen_first_and_the_form_has_the_fields_that_it_heeds(admin_client: Client):
    page = text(admin_client.get(to("rule_add")))
    assert page.count("?kind=") == 10
    rate = text(admin_client.get(form_of("failure_rate")))
    down = text(admin_client.get(form_of("runtime_down")))
    for name in ("threshold", "window", "least", "queues", "tasks"):
        assert f'name="{name}"' in rate
        assert f'name="{name}"' not in down
    assert 'name="hold" value="30"' in down


def test_a_rule_is_made_as_the_form_says(admin_client: Client):
    channel = make_channel()
    sent = RULE | {"channels": [str(channel.pk)]}
    page = text(admin_client.post(form_of("failure_rate"), sent, follow=True))
    assert "Rule tasks fail is made" in page
    rule = AlertRule.objects.get()
    made = (rule.kind, rule.severity, rule.threshold, rule.window, rule.least, rule.hold, rule.cooldown)
    assert made == ("failure_rate", "critical", 12.5, 900, 20, 30, 600)
    assert (rule.queues, rule.tasks) == (["billing", "email"], ["shop.charge_payment", "shop.ship"])
    assert [one.pk for one in rule.channels.all()] == [channel.pk]
    assert AuditLog.objects.get().reason == "we are blind"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("severity", "dire"),
        ("threshold", "120"),
        ("threshold", "many"),
        ("window", "61"),
        ("least", "1.5"),
        ("hold", "-1"),
        ("cooldown", ""),
        ("queues", "two/words"),
    ],
)
def test_a_wrong_field_is_named_beside_it_and_what_was_typed_stays(
    field: str, value: str, admin_client: Client
):
    page = text(admin_client.post(form_of("failure_rate"), RULE | {field: value}), 422)
    assert faults(page) == [field]
    assert "Nothing was saved" in page
    assert "we are blind" in page
    assert not AlertRule.objects.exists()


def test_a_name_that_is_taken_is_said_at_the_name(admin_client: Client):
    make_rule(name="tasks fail")
    page = text(admin_client.post(form_of("failure_rate"), RULE), 422)
    assert faults(page) == ["name"]


def test_a_preview_says_what_the_rule_would_say_and_saves_nothing(admin_client: Client):
    make_run(at=clock() - timedelta(hours=1))
    sent = {
        "act": "foresee",
        "name": "late",
        "severity": "info",
        "threshold": "10",
        "hold": "0",
        "cooldown": "0",
    }
    page = text(admin_client.post(form_of("backlog_age"), sent))
    assert "nothing was saved" in page
    assert "The oldest due run of default has waited" in page
    assert 'value="late"' in page
    assert not AlertRule.objects.exists()
    assert "holds for nobody" in text(
        admin_client.post(form_of("backlog_age"), sent | {"threshold": "9999999"})
    )


def test_a_rule_is_changed_as_the_form_says(admin_client: Client):
    rule = make_rule(make_channel(), name="late", window=60)
    page = text(admin_client.get(to("rule_edit", rule.pk)))
    assert 'value="late"' in page
    assert re.search(r'name="channels" value="\d+" checked', page)
    sent = {
        "act": "save",
        "name": "later",
        "severity": "info",
        "threshold": "90",
        "hold": "0",
        "cooldown": "1",
    }
    assert "Rule later is changed" in text(admin_client.post(to("rule_edit", rule.pk), sent, follow=True))
    changed = AlertRule.objects.get()
    assert (changed.name, changed.threshold, changed.tells_end) == ("later", 90.0, False)
    assert not changed.channels.exists()
    page = text(admin_client.post(to("rule_edit", rule.pk), sent | {"threshold": "-1"}), 422)
    assert faults(page) == ["threshold"]


def test_a_rule_is_paused_resumed_and_deleted_each_after_what_it_costs_was_said(admin_client: Client):
    rule = make_rule(name="late")
    form = {"act": "pause_rule", "on": str(rule.pk)}
    assert "nobody is told" in text(admin_client.post(to("rules"), form))
    page = text(admin_client.post(to("rules"), form | {"confirmed": "1", "reason": "noise"}, follow=True))
    assert "Paused" in page
    assert AlertRule.objects.get().paused_at is not None
    form["act"] = "resume_rule"
    assert "looked at again" in text(admin_client.post(to("rule", rule.pk), form, follow=True))
    form["act"] = "delete_rule"
    assert "Delete rule late?" in text(admin_client.post(to("rule", rule.pk), form))
    page = text(admin_client.post(to("rule", rule.pk), form | {"confirmed": "1"}, follow=True))
    assert "Rule late is deleted." in page
    assert not AlertRule.objects.exists()


# --- channels -----------------------------------------------------------------------------------------------------


def test_a_webhooks_secret_is_in_the_one_answer_and_nowhere_after(admin_client: Client):
    sent = {"act": "create", "name": "hook", "url": URL, "reason": ""}
    answer = admin_client.post(f"{to('channel_add')}?kind=webhook", sent)
    page = text(answer)
    secret = re.search(r'<code id="oq-secret">(whsec_[^<]+)</code>', page)
    assert secret is not None
    assert "no-store" in answer["Cache-Control"]
    assert not [one for one in get_messages(answer.wsgi_request) if secret[1] in str(one)]
    channel = AlertChannel.objects.get()
    for name, args in (("channels", []), ("channel", [channel.pk]), ("channel_edit", [channel.pk])):
        shown = text(admin_client.get(to(name, *args)))
        assert secret[1] not in shown
        assert "canary" not in shown
        assert "https://hooks.example.com/…nary" in shown


def test_another_secret_ends_the_old_one_and_is_shown_once(admin_client: Client):
    made = channels.create("hook", kind="webhook", url=URL, actor=Actor(name="ada"))
    form = {"act": "rotate_channel", "on": str(made.channel.id)}
    assert "the new one" in text(admin_client.post(to("channels"), form))
    page = text(admin_client.post(to("channels"), form | {"confirmed": "1"}))
    shown = re.search(r'<code id="oq-secret">(whsec_[^<]+)</code>', page)
    assert shown is not None
    assert shown[1] != made.secret
    assert "whsec_" not in text(admin_client.get(to("channels")))


@pytest.mark.parametrize(
    ("kind", "fields", "wrong"),
    [
        ("email", {"recipients": "ops@example.com nobody"}, "recipients"),
        ("email", {"recipients": ""}, "recipients"),
        ("webhook", {"url": "http://hooks.example.com/"}, "url"),
        ("slack", {"url": "javascript:alert(1)"}, "url"),
        ("slack", {"url": URL, "name": ""}, "name"),
        ("webhook", {"url": f"https://{EVIL}/"}, "url"),
    ],
)
def test_a_wrong_field_of_a_channel_is_named(
    kind: str, fields: dict[str, str], wrong: str, admin_client: Client
):
    sent = {"act": "create", "name": "ops"} | fields
    page = text(admin_client.post(f"{to('channel_add')}?kind={kind}", sent), 422)
    assert faults(page) == [wrong]
    assert EVIL not in page
    assert not AlertChannel.objects.exists()


def test_a_channel_is_changed_and_an_empty_url_is_the_old_one(admin_client: Client):
    made = channels.create("hook", kind="slack", url=URL, actor=Actor(name="ada")).channel
    sent = {"act": "save", "name": "chat", "url": ""}
    text(admin_client.post(to("channel_edit", made.id), sent, follow=True))
    changed = channels.show(made.id)
    assert (changed.name, changed.shown) == ("chat", made.shown)
    mails = channels.create(
        "ops", kind="email", recipients=["a@example.com"], actor=Actor(name="ada")
    ).channel
    sent = {"act": "save", "name": "ops", "recipients": "b@example.com\nc@example.com"}
    text(admin_client.post(to("channel_edit", mails.id), sent, follow=True))
    assert channels.show(mails.id).shown == "b@example.com, c@example.com"


def test_a_channel_is_tried_paused_and_deleted(admin_client: Client):
    channel = make_channel(name="ops")
    form = {"act": "try_channel", "on": str(channel.pk)}
    assert "on its way to ops" in text(admin_client.post(to("channels"), form, follow=True))
    assert AlertDelivery.objects.get().event == "test"
    pause = {"act": "pause_channel", "on": str(channel.pk)}
    assert "dropped" in text(admin_client.post(to("channels"), pause))
    page = text(admin_client.post(to("channels"), pause | {"confirmed": "1"}, follow=True))
    assert "It is paused." in page
    assert AlertDelivery.objects.get().state == "dropped"
    assert "resume it first" in text(admin_client.post(to("channels"), form), 409)
    form["act"] = "resume_channel"
    assert "is sent to again" in text(admin_client.post(to("channels"), form, follow=True))
    delete: dict[str, Any] = {"act": "delete_channel", "on": str(channel.pk)}
    assert "other channels only" in text(admin_client.post(to("channel", channel.pk), delete))
    text(admin_client.post(to("channel", channel.pk), delete | {"confirmed": "1"}, follow=True))
    assert not AlertChannel.objects.exists()


def test_who_sees_no_channels_changes_a_rule_and_leaves_them_as_they_are():
    rule = make_rule(make_channel(name="ops"), name="late", window=60)
    client = staff(Right.ALERTS, Right.ALERT_RULES, Right.ALERT_RULE_CHANGE)
    assert "channels" not in text(client.get(to("rule_edit", rule.pk))).partition("<form class")[2]
    sent = {"act": "save", "name": "late", "severity": "info", "threshold": "9", "hold": "0", "cooldown": "1"}
    text(client.post(to("rule_edit", rule.pk), sent, follow=True))
    assert [one.name for one in AlertRule.objects.get().channels.all()] == ["ops"]
