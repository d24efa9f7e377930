"""The pages of alerts: what fired, what is looked at, who is told, and who may change that."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from openqueue.control.callers import PERMISSIONS, Right
from openqueue.models import Alert, AlertChannel, AlertDelivery, AlertRule, AuditLog
from openqueue_workbench import pages
from openqueue_workbench.frame.acts import acts_of
from tests.alerts.builders import NOW, Receiver, after, look, make_channel, make_rule, send
from tests.control.builders import make_run

pytestmark = pytest.mark.django_db
EVIL = "<script>alert(1)</script>"


def staff(*rights: Right) -> Client:
    user = User.objects.create_user(f"user {User.objects.count()}", is_staff=True)
    for right in rights:
        app, _dot, code = PERMISSIONS[right].partition(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=code))
    client = Client()
    client.force_login(user)
    return client


def to(name: str, *args: Any) -> str:
    return reverse(f"admin:openqueue_alert_{name}", args=args)


def opened(*channels: AlertChannel, **facts: Any) -> Alert:
    """An alert that opened: a run has waited for too long."""
    make_rule(*channels, threshold=10.0, **facts)
    make_run(at=NOW)
    assert look(after(10)) == 1
    return Alert.objects.get()


def every_page() -> dict[str, str]:
    """Every page of the place, with something on it: route name to address."""
    alert = opened(make_channel())
    rule, channel = AlertRule.objects.get(), AlertChannel.objects.get()
    args = {"change": [alert.pk], "rule": [rule.pk], "rule_edit": [rule.pk]}
    args |= {"channel": [channel.pk], "channel_edit": [channel.pk]}
    return {name: to(name, *args.get(name, [])) for _route, name, _page in pages.ROUTES["alert"]}


def text(answer: Any, status: int = 200) -> str:
    assert answer.status_code == status, answer.content.decode()[:500]
    return answer.content.decode()


def test_an_open_alert_is_read_with_its_rule_its_subject_and_since_when(admin_client: Client):
    opened(make_channel(), name="mail is late", severity="critical")
    page = text(admin_client.get(to("changelist")))
    for shown in ("mail is late", "queue default", "Critical", "has waited 10 s"):
        assert shown in page


def test_rules_and_channels_are_read_with_what_they_do_and_where_they_go(admin_client: Client):
    opened(make_channel(name="ops"), name="mail is late")
    rules = text(admin_client.get(to("rules")))
    for shown in ("mail is late", "the oldest due run of a queue has waited for 10 s", "ops", "1 open"):
        assert shown in rules
    channels = text(admin_client.get(to("channels")))
    for shown in ("ops", "E-mail", "In use"):
        assert shown in channels


def test_every_page_opens_asks_few_questions_and_each_part_answers_by_itself():
    for name, address in every_page().items():
        page = next(page for _route, one, page in pages.ROUTES["alert"] if one == name)
        for rights in (tuple(PERMISSIONS), ()):  # a member of the staff with all of them, and a superuser
            client = staff(*rights)
            if not rights:
                User.objects.update(is_superuser=True)
            with CaptureQueriesContext(connection) as asked:
                text(client.get(address))
            assert len(asked) <= 12, name
            for part in page.parts:
                with CaptureQueriesContext(connection) as asked:
                    assert client.get(address, {"_part": part}).status_code in {200, 204}, (name, part)
                assert len(asked) <= 12, (name, part)
            User.objects.update(is_superuser=False)


def test_nobody_without_the_right_sees_a_page_or_does_an_act_on_it():
    addresses = every_page()
    for _route, name, page in pages.ROUTES["alert"]:
        right = page.right or Right.ALERTS
        without = staff(*(one for one in PERMISSIONS if one is not right))
        assert without.get(addresses[name]).status_code == 403, name
        for act in acts_of(page).values():
            client = staff(*(one for one in PERMISSIONS if one is not act.right))
            before = AuditLog.objects.count()
            form = {"act": act.name, "on": "1", "confirmed": "1", "name": "x"}
            assert client.post(addresses[name], form).status_code == 403, (name, act.name)
            assert AuditLog.objects.latest("pk").act == "refused"
            assert AuditLog.objects.count() == before + 1
    assert (Alert.objects.get().acknowledged_at, AlertRule.objects.get().paused_at) == (None, None)


def test_who_may_only_look_finds_no_control_and_no_way_to_a_form():
    addresses = every_page()
    client = staff(Right.ALERTS, Right.ALERT_RULES, Right.ALERT_CHANNELS)
    for name in ("changelist", "change", "rules", "rule", "channels", "channel", "deliveries"):
        page = text(client.get(addresses[name]))
        assert 'name="act"' not in page, name
        assert "/edit/" not in page, name
        assert "/add/" not in page, name


def test_what_was_planted_in_any_field_is_text():
    evil = [EVIL, '"><b oq-get="/x">', "javascript:alert(1)"]
    for number, planted in enumerate(evil):
        channel = AlertChannel.objects.create(
            name=planted, kind="email", shown=planted, target={"recipients": []}, created_at=NOW,
            created_by=planted, paused_by=planted, paused_at=NOW if number else None,
        )  # fmt: skip
        rule = make_rule(channel, name=planted, queues=[planted], tasks=[planted], paused_by=planted)
        alert = Alert.objects.create(
            rule=rule, rule_name=planted, subject=planted, kind="backlog_age", severity="info", value=1.0,
            text=planted, began_at=NOW, opened_at=NOW, standing=1 if number else None, ended_by=planted,
            acknowledged_at=NOW, acknowledged_by=planted, acknowledged_reason=planted,
        )  # fmt: skip
        AlertDelivery.objects.create(
            alert=alert, channel=channel, channel_name=planted, event=planted[:10], created_at=NOW,
            facts={"subject": planted, "text": planted}, tries=1, state="failed",
            log=[{"try": 1, "at": planted, "milliseconds": 3, "status": 500, "error": planted}],
        )  # fmt: skip
        AuditLog.objects.create(
            at=NOW, actor=planted, act="x", object=f"alert rule {rule.pk}", reason=planted
        )
        args = {"change": [alert.pk], "rule": [rule.pk], "rule_edit": [rule.pk]}
        args |= {"channel": [channel.pk], "channel_edit": [channel.pk]}
        client = staff(*PERMISSIONS)
        for _route, name, _page in pages.ROUTES["alert"]:
            page = text(client.get(to(name, *args.get(name, []))))
            assert EVIL not in page, name
            assert not re.search(r"<[^>]*oq-get=\"/x", page), name
            assert not re.search(r"(href|src|action)=\"\s*javascript:", page), name


def test_an_alert_is_acknowledged_after_a_question_and_everybody_sees_by_whom():
    alert = opened()
    client = staff(Right.ALERTS, Right.ALERT_ACKNOWLEDGE)
    form = {"act": "acknowledge", "on": str(alert.pk)}
    assert "Acknowledge this alert?" in text(client.post(to("changelist"), form))
    assert Alert.objects.get().acknowledged_at is None
    form |= {"confirmed": "1", "reason": "I restart it"}
    page = text(client.post(to("changelist"), form, follow=True))
    assert "You are on it" in page
    assert "I restart it" in page
    assert "has acknowledged it already" in text(client.post(to("changelist"), form, follow=True))


def test_what_is_over_cannot_be_acknowledged_and_says_so():
    alert = opened()
    Alert.objects.update(standing=None, ended_at=after(20))
    client = staff(Right.ALERTS, Right.ALERT_ACKNOWLEDGE)
    page = text(client.get(to("change", alert.pk)))
    assert re.search(r"disabled[^>]*>Acknowledge", page)
    assert "It is over." in page
    assert "data-every" not in page
    form = {"act": "acknowledge", "on": str(alert.pk), "confirmed": "1"}
    assert "over already" in text(client.post(to("change", alert.pk), form), 409)


def test_a_page_of_what_is_over_leads_to_older_ones_without_an_offset(admin_client: Client):
    for number in range(30):
        Alert.objects.create(
            rule_name=f"rule {number}", subject=f"queue q{number}", kind="backlog_age", severity="info", value=1.0,
            text="late", began_at=NOW, opened_at=NOW, ended_at=NOW,
        )  # fmt: skip
    first = text(admin_client.get(to("changelist")))
    assert "queue q29" in first
    assert "queue q4<" not in first
    older = re.search(r'href="([^"]*before=[^"]*)"', first)
    assert older is not None
    with CaptureQueriesContext(connection) as asked:
        second = text(admin_client.get(older[1]))
    assert "queue q4<" in second
    assert not [one for one in asked if "OFFSET" in one["sql"]]


def test_alerts_are_narrowed_by_their_severity_and_a_strange_one_is_all(admin_client: Client):
    opened(severity="info")
    subject = f"oq-alert-{Alert.objects.get().pk}"
    assert subject in text(admin_client.get(to("changelist"), {"severity": "info"}))
    assert subject not in text(admin_client.get(to("changelist"), {"severity": "critical"}))
    assert subject in text(admin_client.get(to("changelist"), {"severity": "x", "rule": "y", "before": "z"}))


def test_an_alert_shows_who_was_told_and_each_try(admin_client: Client, settings: Any):
    with Receiver(answer=lambda _: 500) as receiver:
        settings.OPENQUEUE = {"ALERTS": {"ALLOWED_HOSTS": ["127.0.0.1"]}}
        alert = opened(make_channel(name="hook", kind="webhook", url=receiver.url))
        send(after(11))
    page = text(admin_client.get(to("change", alert.pk)))
    for shown in ("hook", "HTTP 500", "1 try", "Waiting"):
        assert shown in page
    assert "hook" in text(admin_client.get(to("deliveries"), {"state": "waiting"}))
    assert "Nothing was sent." in text(admin_client.get(to("deliveries"), {"state": "sent"}))


@pytest.mark.parametrize("name", ["change", "rule", "rule_edit", "channel", "channel_edit"])
def test_what_is_not_there_is_said_so(name: str, admin_client: Client):
    missing = "01890000-0000-7000-8000-000000000000" if name == "change" else 77
    assert "There is no" in text(admin_client.get(to(name, missing)), 404)
    if name != "change":
        text(admin_client.get(to(name, "x" * 40)), 404)
