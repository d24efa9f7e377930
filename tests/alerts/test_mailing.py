"""Mails go out by the project's own way, to a real server, which may refuse or hang."""

from __future__ import annotations

import email
import socket
import time
from typing import Any

import pytest

from openqueue.alerts import mailing, messages
from openqueue.models import AlertDelivery
from tests.alerts.builders import NOW, after, look, make_channel, make_rule, send
from tests.alerts.conftest import Mailbox, mail_goes_to
from tests.control.builders import make_run

pytestmark = pytest.mark.django_db


def opened() -> None:
    make_rule(make_channel(), kind="no_worker", threshold=0.0)
    make_run(at=NOW)
    assert look(after(1)) == 1


def test_a_mail_reaches_the_server(mailbox: Mailbox, settings: Any):
    settings.OPENQUEUE = {"NAMESPACE": "shop", "ALERTS": {"FROM": "alerts@shop.example.com"}}
    opened()
    assert send(after(1)) == 1
    assert AlertDelivery.objects.get().log[0]["error"] == ""
    (envelope,) = mailbox.mails
    assert (envelope.mail_from, envelope.rcpt_tos) == ("alerts@shop.example.com", ["ops@example.com"])
    mail = email.message_from_bytes(envelope.content)
    assert mail["Subject"] == "[shop] Alert: rule 1, queue default"
    assert mail["To"] in {None, "undisclosed-recipients:;"}
    assert mail.get_content_type() == "text/plain"


def test_a_server_that_refuses_is_asked_again_later(mailbox: Mailbox):
    mailbox.answer = "451 try again"
    opened()
    send(after(1))
    row = AlertDelivery.objects.get()
    assert (row.state, row.tries) == ("waiting", 1)
    assert "451" in row.log[0]["error"]
    mailbox.answer = "250 OK"
    assert send(after(11)) == 1
    row.refresh_from_db()
    assert row.state == "sent"


def test_a_server_that_hangs_is_hung_up_on(settings: Any, monkeypatch):
    monkeypatch.setattr(mailing, "TIMEOUT", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        mail_goes_to(listener.getsockname()[1], settings)
        began = time.monotonic()
        with pytest.raises(OSError, match="timed out"):
            mailing.send(["a@example.com"], subject="a", body="b", sender="c@example.com", id="d")
        assert time.monotonic() - began < 5


def test_the_longest_subject_is_one_line():
    told = messages.of_test("x" * 100, at=NOW, asked_by="ada") | {"rule": "r\r\n" * 100}
    subject, _ = messages.mail(told, namespace="n" * 63, link="")
    assert "\n" not in subject
    assert len(subject) <= messages.LONGEST_SUBJECT
