"""From a queue that nobody works to a signed message that says so, and to another that says it is over."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

import pytest

from openqueue import secrets
from openqueue.alerts import channels
from openqueue.models import Alert, AlertDelivery, Outbox
from tests.alerts.builders import NOW, Receiver, after, look, make_channel, make_rule, send
from tests.control.builders import make_run

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _loopback_is_allowed(settings: Any) -> None:
    settings.OPENQUEUE = {"NAMESPACE": "shop", "ALERTS": {"ALLOWED_HOSTS": ["127.0.0.1"]}}


def test_an_alert_opens_is_told_of_ends_and_is_told_of_again():
    with Receiver() as receiver:
        channel = make_channel(kind="webhook", url=receiver.url)
        make_rule(channel, kind="no_worker", name="nobody works", severity="critical")
        make_run(at=NOW)
        assert look(after(10)) == 0
        assert look(after(40)) == 1
        assert look(after(55)) == 0
        alert = Alert.objects.get()
        assert (alert.subject, alert.opened_at, alert.ended_at) == ("queue default", after(40), None)
        assert send(after(41)) == 1
        Outbox.objects.all().delete()
        assert look(after(60)) == 1
        assert send(after(61)) == 1
        assert send(after(62)) == 0
    opened, ended = receiver.received
    assert opened.json["type"] == "openqueue.alert.opened"
    assert opened.json["data"]["text"] == "No live worker serves default: 1 due, the oldest since 40 s."
    assert opened.json["data"]["namespace"] == "shop"
    assert (ended.json["type"], ended.json["timestamp"]) == ("openqueue.alert.ended", "2027-03-01T09:01:00Z")
    alert.refresh_from_db()
    assert (alert.standing, alert.ended_at) == (None, after(60))
    for one in (opened, ended):
        secret = secrets.unseal(channel.target, fields=channels.SECRET_FIELDS)["secret"]
        signed = f"{one.headers['webhook-id']}.{one.headers['webhook-timestamp']}.".encode() + one.body
        digest = hmac.new(base64.b64decode(secret.removeprefix("whsec_")), signed, hashlib.sha256).digest()
        assert one.headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"
    assert {f"msg_{row.pk.hex}" for row in AlertDelivery.objects.all()} == {
        one.headers["webhook-id"] for one in receiver.received
    }
