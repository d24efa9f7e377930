"""Rules and channels as operators see and change them: checked, on record, and no secret comes out again."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest

from openqueue.alerts import channels as sending
from openqueue.alerts import kinds
from openqueue.control.actor import Actor
from openqueue.control.alerts import channels, history, rules
from openqueue.errors import AlertInvalid, UnclearAlert
from openqueue.models import Alert, AlertChannel, AlertDelivery, AlertRule, AuditLog, Outbox
from openqueue.secrets import unseal
from tests.alerts.builders import NOW, after, look, make_rule
from tests.control.builders import make_run

NEAR = "172.16.0.1"
pytestmark = pytest.mark.django_db
ADA = Actor(name="ada")
URL = "https://hooks.example.com/services/T0/B0/canarycanary"


def webhook(name: str = "hook", url: str = URL) -> channels.MadeChannel:
    return channels.create(name, kind="webhook", url=url, actor=ADA)


def mails(name: str = "ops") -> int:
    return channels.create(name, kind="email", recipients=["ops@example.com"], actor=ADA).channel.id


def a_rule(*to: int, **given: Any) -> rules.RuleFacts:
    given = {"name": "late", "kind": "backlog_age", "threshold": 10.0, "cooldown": 0} | given
    return rules.create(given, channels=to, actor=ADA, reason="why")


def opened(*to: int) -> Alert:
    a_rule(*to)
    make_run(at=NOW)
    assert look(after(10)) == 1
    return Alert.objects.get()


def kept(channel: int) -> Any:
    return unseal(AlertChannel.objects.get(pk=channel).target, fields=sending.SECRET_FIELDS)


# --- channels -----------------------------------------------------------------------------------------------------


def test_a_secret_is_shown_once_and_kept_encrypted():
    made = webhook()
    assert made.secret is not None
    assert made.secret.startswith("whsec_")
    assert made.channel.shown == "https://hooks.example.com/…nary"
    row = AlertChannel.objects.get()
    assert kept(row.pk) == {"url": URL, "secret": made.secret}
    said = json.dumps([row.target, list(AuditLog.objects.values("before", "after", "object"))], default=str)
    said += repr(channels.listing()) + repr(channels.show(row.pk))
    assert "canarycanary" not in said
    assert made.secret not in said


def test_a_url_that_is_not_named_stays_and_so_does_the_secret():
    made = webhook()
    channels.change(made.channel.id, name="other", actor=ADA)
    assert kept(made.channel.id) == {"url": URL, "secret": made.secret}
    changed = channels.change(made.channel.id, url="https://hooks.example.com/new", actor=ADA)
    assert kept(made.channel.id) == {"url": "https://hooks.example.com/new", "secret": made.secret}
    assert (changed.name, changed.shown) == ("other", "https://hooks.example.com/…")
    again = channels.rotate(made.channel.id, actor=ADA)
    assert again.secret not in {None, made.secret}
    assert kept(made.channel.id)["secret"] == again.secret


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"name": " ", "kind": "slack", "url": URL}, "name"),
        ({"name": "a\nb", "kind": "slack", "url": URL}, "name"),
        ({"name": "a", "kind": "fax", "url": URL}, "kind"),
        ({"name": "a", "kind": "slack"}, "url"),
        ({"name": "a", "kind": "slack", "url": f"https://{NEAR}/"}, "url"),
        ({"name": "a", "kind": "webhook", "url": "http://hooks.example.com/"}, "url"),
        ({"name": "a", "kind": "email", "url": URL}, "url"),
        ({"name": "a", "kind": "slack", "url": URL, "recipients": ["a@example.com"]}, "recipients"),
        ({"name": "a", "kind": "email"}, "recipients"),
        ({"name": "a", "kind": "email", "recipients": []}, "recipients"),
        (
            {"name": "a", "kind": "email", "recipients": ["a@example.com", "x\nBcc: y@example.com"]},
            "recipients[1]",
        ),
        ({"name": "a", "kind": "email", "recipients": ["a@example.com"] * 21}, "recipients"),
        ({"name": "hook", "kind": "email", "recipients": ["a@example.com"]}, "name"),
    ],
)
def test_a_channel_with_a_fault_is_not_made(given: dict[str, Any], field: str):
    webhook()
    name = given.pop("name")
    with pytest.raises(AlertInvalid) as refused:
        channels.create(name, actor=ADA, **given)
    assert [path for path, _ in refused.value.errors] == [field]
    assert AlertChannel.objects.count() == 1


def test_what_waits_for_a_channel_that_is_paused_is_not_sent_and_what_comes_is_not_written():
    opened(mails())
    channel = AlertChannel.objects.get().pk
    assert channels.pause(channel, actor=ADA) == "paused"
    assert channels.pause(channel, actor=ADA) == "already paused"
    assert AlertDelivery.objects.get().state == "dropped"
    Outbox.objects.all().delete()
    assert look(after(20)) == 1
    assert AlertDelivery.objects.count() == 1
    with pytest.raises(AlertInvalid):
        channels.try_out(channel, actor=ADA)
    assert channels.resume(channel, actor=ADA) == "resumed"
    assert channels.resume(channel, actor=ADA) == "not paused"


def test_a_test_is_a_delivery_like_others():
    channel = mails()
    delivery = channels.try_out(channel, actor=ADA)
    (told,) = history.deliveries(channel=channel).deliveries
    assert (told.id, told.alert_id, told.event, told.state) == (delivery, None, "test", "waiting")
    assert channels.show(channel).waiting == 1


def test_a_channel_that_is_deleted_leaves_its_rules_and_what_was_sent():
    alert = opened(mails())
    channels.delete(AlertChannel.objects.get().pk, actor=ADA)
    assert rules.listing()[0].channels == []
    (told,) = history.show(alert.pk).deliveries
    assert (told.channel_id, told.channel, told.state) == (None, "ops", "dropped")


# --- rules --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_a_rule_of_each_kind_needs_no_more_than_a_name(kind: str):
    made = rules.create({"name": "a", "kind": kind}, channels=[], actor=ADA)
    assert (made.kind, made.threshold, made.severity) == (kind, kinds.KINDS[kind].threshold, "warning")
    assert rules.preview(made.id).alerts == []


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"kind": "moon"}, "kind"),
        ({"name": ""}, "name"),
        ({"severity": "bad"}, "severity"),
        ({"threshold": -1}, "threshold"),
        ({"threshold": float("nan")}, "threshold"),
        ({"kind": "failure_rate", "threshold": 101}, "threshold"),
        ({"kind": "failure_rate", "window": 61}, "window"),
        ({"kind": "failure_rate", "least": 0}, "least"),
        ({"kind": "error_rising", "factor": 0.5}, "factor"),
        ({"hold": -1}, "hold"),
        ({"cooldown": 10**9}, "cooldown"),
        ({"queues": ["Not A Queue"]}, "queues"),
        ({"queues": "mail"}, "queues"),
        ({"kind": "failures", "tasks": [""]}, "tasks"),
        ({"tasks": ["a"]}, "tasks"),
        ({"window": 300}, "window"),
        ({"tells_end": 1}, "tells_end"),
        ({"moon": 1}, "moon"),
        ({"name": "taken"}, "name"),
    ],
)
def test_a_rule_with_a_fault_is_not_made(given: dict[str, Any], field: str):
    make_rule(name="taken")
    with pytest.raises(AlertInvalid) as refused:
        a_rule(**given)
    assert [path for path, _ in refused.value.errors] == [field]
    assert AlertRule.objects.count() == 1


def test_a_rule_sends_to_channels_that_are_there():
    with pytest.raises(AlertInvalid, match="channels"):
        a_rule(999_999)


def test_a_rule_is_changed_field_by_field_and_the_record_says_which():
    made = a_rule(mails(), queues=["mail"])
    other = mails("other")
    changed = rules.change(made.id, {"threshold": 99.0}, channels=[other], actor=ADA)
    assert (changed.threshold, changed.queues, [to.name for to in changed.channels]) == (
        99.0,
        ["mail"],
        ["other"],
    )
    act = AuditLog.objects.filter(act="alert_rule.change").get()
    assert (act.after, act.before["threshold"]) == ({"threshold": 99.0, "channels": [other]}, 10.0)
    with pytest.raises(AlertInvalid, match="kind"):
        rules.change(made.id, {"kind": "failures"}, actor=ADA)
    rules.change(made.id, {"threshold": 99.0}, actor=ADA)
    assert AuditLog.objects.filter(act="alert_rule.change").count() == 1


@pytest.mark.parametrize("act", [rules.pause, rules.delete])
def test_what_a_rule_has_open_is_over_when_it_is_paused_or_deleted_and_nobody_is_told(act: Any):
    alert = opened(mails())
    act(AlertRule.objects.get().pk, actor=ADA, reason="enough")
    alert.refresh_from_db()
    assert (alert.standing, alert.ended_by, alert.rule_name) == (None, "ada", "late")
    assert AlertDelivery.objects.count() == 1
    assert look(after(20)) == 0
    assert history.listing().alerts[0].state == "over"


def test_a_rule_that_is_resumed_looks_again():
    opened(mails())
    rule = AlertRule.objects.get().pk
    assert [rules.pause(rule, actor=ADA), rules.pause(rule, actor=ADA)] == ["paused", "already paused"]
    assert [rules.resume(rule, actor=ADA), rules.resume(rule, actor=ADA)] == ["resumed", "not paused"]
    assert look(after(20)) == 1
    assert rules.show(rule).open_alerts == 1


def test_a_preview_says_what_a_rule_would_say_and_writes_nothing():
    make_run()
    found = rules.preview_of({"name": "x", "kind": "no_worker", "threshold": 0})
    assert [(one.subject, found.is_known) for one in found.alerts] == [("queue default", True)]
    assert not rules.preview_of({"name": "x", "kind": "failures"}).is_known  # nothing is rolled up yet
    assert (Alert.objects.count(), AlertRule.objects.count()) == (0, 0)


# --- what fired ---------------------------------------------------------------------------------------------------


def test_alerts_come_in_pages_newest_first():
    a_rule()
    for number in range(5):
        make_run(at=NOW, queue=f"q{number}")
    assert look(after(10)) == 5
    first = history.listing(limit=2)
    second = history.listing(limit=2, before=first.before)
    third = history.listing(limit=2, before=second.before)
    ids = [one.id for page in (first, second, third) for one in page.alerts]
    assert ids == sorted(ids, reverse=True)
    assert (len(ids), third.before) == (5, None)
    assert history.count_open() == 5
    assert history.listing(state="over").alerts == []
    assert len(history.listing(severity="warning", state="open").alerts) == 5
    assert history.listing(severity="critical").alerts == []


def test_what_holds_not_long_enough_is_pending_and_listed_only_when_asked_for():
    a_rule(hold=60)
    make_run(at=NOW)
    look(after(10))
    assert [one.state for one in history.listing(state="pending").alerts] == ["pending"]
    assert history.listing().alerts == []
    alert = Alert.objects.get().pk
    assert history.acknowledge(alert, actor=ADA).outcome == "over"


def test_somebody_is_on_it():
    alert = opened().pk
    first = history.acknowledge(alert, actor=ADA, reason="looking")
    assert (first.outcome, first.alert.acknowledged_by, first.alert.acknowledged_reason) == (
        "acknowledged",
        "ada",
        "looking",
    )
    assert history.acknowledge(alert, actor=Actor(name="eve")).outcome == "already acknowledged"
    assert history.show(alert).alert.acknowledged_by == "ada"
    assert AuditLog.objects.filter(act="alert.acknowledge").count() == 1


def test_each_act_is_on_record():
    channel, hook = mails(), webhook().channel.id
    rule = a_rule(channel).id
    channels.change(channel, name="b", actor=ADA)
    channels.rotate(hook, actor=ADA)
    channels.try_out(channel, actor=ADA)
    for act in (channels.pause, channels.resume, channels.delete):
        act(channel, actor=ADA, reason="why")
    for act in (rules.pause, rules.resume, rules.delete):
        act(rule, actor=ADA, reason="why")
    assert list(AuditLog.objects.order_by("pk").values_list("act", flat=True)) == [
        "alert_channel.create", "alert_channel.create", "alert_rule.create", "alert_channel.change",
        "alert_channel.rotate", "alert_channel.test", "alert_channel.pause", "alert_channel.resume",
        "alert_channel.delete", "alert_rule.pause", "alert_rule.resume", "alert_rule.delete",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "act",
    [rules.show, rules.preview, channels.show]
    + [lambda pk, act=act: act(pk, actor=ADA) for act in (rules.pause, rules.resume, rules.delete, channels.pause,
       channels.resume, channels.delete, channels.rotate, channels.try_out, channels.change)]
    + [lambda _: history.show(uuid4()), lambda _: history.acknowledge(uuid4(), actor=ADA)],
)  # fmt: skip
def test_what_is_not_there_is_named(act: Any):
    with pytest.raises(UnclearAlert, match="There is no alert"):
        act(999_999)
