"""Messages on their way: signed, tried again, logged, in order, never lost, and without anything secret."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from openqueue.alerts import channels, deliveries, messages
from openqueue.alerts.channels import Sent
from openqueue.alerts.deliveries import LEASE, MOST_TRIES, PAUSES
from openqueue.models import Alert, AlertChannel, AlertDelivery, Outbox
from openqueue.processes.sweeps.deliveries import Deliveries
from openqueue.processes.sweeps.retention import Retention
from tests.alerts.builders import NOW, Receiver, after, look, make_channel, make_rule, send
from tests.control.builders import make_run
from tests.eventually import eventually

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _loopback_is_allowed(settings: Any) -> None:
    settings.OPENQUEUE = {
        "ALERTS": {"ALLOWED_HOSTS": ["127.0.0.1"], "URL": "https://shop.example.com/alerts"}
    }


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def opened(*to: AlertChannel) -> None:
    """Have an alert open that these hear of."""
    make_rule(*to, kind="no_worker", threshold=0.0)
    make_run(at=NOW)
    assert look(after(1)) == 1


def make_delivery(**facts: Any) -> AlertDelivery:
    return AlertDelivery.objects.create(
        **{"channel_name": "x", "event": "test", "created_at": NOW, "log": []} | facts
    )


def test_a_receiver_that_fails_is_tried_again_later_and_later_and_each_try_is_logged(receiver: Receiver):
    receiver.answer, receiver.text = lambda _: 503, b"we are\nout"
    opened(make_channel(kind="webhook", url=receiver.url))
    at, row = after(1), AlertDelivery.objects.get()
    for pause in PAUSES:
        assert send(at) == 1
        assert send(at + pause - timedelta(seconds=1)) == 0
        at += pause
    row.refresh_from_db()
    assert (row.state, row.tries) == ("waiting", MOST_TRIES - 1)
    assert send(at) == 1
    row.refresh_from_db()
    assert (row.state, row.due_at, row.tries) == ("failed", None, MOST_TRIES)
    assert send(at + timedelta(days=1)) == 0
    assert [(one["try"], one["status"], one["error"]) for one in row.log] == [
        (number, 503, "we are out") for number in range(1, MOST_TRIES + 1)
    ]
    assert all(one["milliseconds"] >= 0 for one in row.log)
    assert len({one.headers["webhook-id"] for one in receiver.received}) == 1
    assert len(receiver.received) == MOST_TRIES


def test_a_receiver_that_is_back_gets_it(receiver: Receiver):
    receiver.answer = lambda _: 500 if len(receiver.received) < 3 else 204
    opened(make_channel(kind="webhook", url=receiver.url))
    for seconds in (1, 12, 80):
        assert send(after(seconds)) == 1
    row = AlertDelivery.objects.get()
    assert (row.state, row.sent_at, row.due_at) == ("sent", after(80), None)
    assert [one["status"] for one in row.log] == [500, 500, 204]


def test_who_asks_for_more_time_gets_it(receiver: Receiver):
    receiver.answer, receiver.headers = lambda _: 429, {"Retry-After": "90"}
    opened(make_channel(kind="webhook", url=receiver.url))
    send(after(1))
    assert AlertDelivery.objects.get().due_at == after(91)


def test_nobody_hears_that_it_is_over_before_hearing_of_it(receiver: Receiver):
    receiver.answer = lambda _: 500 if len(receiver.received) < 2 else 200
    opened(make_channel(kind="webhook", url=receiver.url))
    assert send(after(1)) == 1
    Outbox.objects.all().delete()
    assert look(after(2)) == 1
    assert send(after(2)) == 0
    assert list(AlertDelivery.objects.filter(state="waiting").values_list("event", flat=True)) == [
        "ended",
        "opened",
    ]
    assert send(after(11)) == 2
    assert [one.json["data"]["event"] for one in receiver.received] == ["opened", "opened", "ended"]


def test_what_somebody_took_and_never_marked_is_sent_again_with_the_same_id(receiver: Receiver):
    opened(make_channel(kind="webhook", url=receiver.url))
    taken = deliveries.take(now=after(1))
    assert taken is not None
    assert deliveries.take(now=after(1)) is None
    assert send(after(60)) == 0
    assert send(after(1) + LEASE) == 1
    assert receiver.received[0].headers["webhook-id"] == f"msg_{taken.id.hex}"
    # The first one was slow, not dead: what it says now is logged, and what is sent stays sent.
    assert not deliveries.mark(taken, Sent(False, error="late"), milliseconds=1, now=after(62))
    assert AlertDelivery.objects.get().state == "sent"


def test_a_late_failure_does_not_move_the_next_try():
    opened(make_channel())
    first, second = deliveries.take(now=after(1)), deliveries.take(now=after(1) + LEASE)
    assert first is not None
    assert second is not None
    assert deliveries.mark(first, Sent(False, error="slow"), milliseconds=1, now=after(70))
    row = AlertDelivery.objects.get()
    assert (row.tries, row.due_at) == (2, after(1) + 2 * LEASE)
    assert [one["error"] for one in row.log] == ["slow"]


def test_a_chat_gets_text_and_blocks_in_which_nothing_is_markup(receiver: Receiver):
    opened(make_channel(kind="slack", url=receiver.url))
    Alert.objects.all().delete()
    told = messages.of_test("<!channel> *a* & `b`", at=NOW, asked_by="ada")
    make_delivery(channel=AlertChannel.objects.get(), facts=told, due_at=NOW)
    assert send(after(1)) == 1
    (received,) = receiver.received
    assert "webhook-signature" not in received.headers
    assert "<!channel>" not in received.json["text"]
    assert "&lt;!channel&gt;" in received.json["text"]
    header, section, fields, actions = received.json["blocks"]
    assert header["text"]["type"] == section["text"]["type"] == "plain_text"
    assert {one["type"] for one in fields["fields"]} == {"plain_text"}
    assert actions["elements"][0]["url"] == "https://shop.example.com/alerts"


def test_a_mail_is_plain_text_to_people_who_do_not_see_each_other(mailoutbox: Any):
    channel = make_channel()
    AlertChannel.objects.update(target={"recipients": ["a@example.com", "b@example.com"]})
    opened(channel)
    assert send(after(1)) == 1
    assert AlertDelivery.objects.get().log[0]["error"] == ""
    (mail,) = mailoutbox
    assert (mail.to, mail.bcc) == ([], ["a@example.com", "b@example.com"])
    assert mail.subject == "[openqueue] Alert: rule 1, queue default"
    assert "No live worker serves default" in mail.body
    assert "https://shop.example.com/alerts" in mail.body
    assert mail.extra_headers["X-OpenQueue-Delivery"].startswith("msg_")
    assert mail.content_subtype == "plain"


def test_a_name_with_line_breaks_begins_no_header_and_no_line():
    told = messages.of_test(
        "x\r\nBcc: eve@example.com\x1b[31m\u2028y", at=NOW, asked_by="ada\n2026 ERROR fake"
    )
    subject, body = messages.mail(told, namespace="shop", link="")
    assert subject == "[shop] Test: test, channel x Bcc: eve@example.com [31m y"
    assert body.splitlines()[0].startswith("ada 2026 ERROR fake tests the channel x Bcc")


def test_no_secret_is_in_rows_logs_or_errors(receiver: Receiver, caplog: Any):
    receiver.answer = lambda one: 404
    receiver.text = receiver.url.encode()  # who answers with what it was asked
    channel = make_channel(kind="webhook", url=receiver.url)
    opened(channel)
    send(after(1))
    kept = json.dumps([list(AlertDelivery.objects.values_list("log", "facts")), channel.target])
    assert "canary" not in kept
    assert "whsec_" not in kept
    assert "canary" not in caplog.text


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ({"url": "https://127.0.0.2/x"}, "Refused: goes to 127.0.0.2"),
        ({"url": "http://127.0.0.1:1/canary"}, "ConnectionRefusedError"),
        ({"url": {"$secret": "nonsense"}}, "SecretUnreadable"),
        ({}, "KeyError"),
    ],
)
def test_whatever_goes_wrong_is_a_line_of_the_log(target: Any, said: str):
    sent = channels.send(
        "webhook", target | {"secret": "whsec_AAAA"}, messages.of_test("x", at=NOW, asked_by="a"), id="m"
    )
    assert not sent.ok
    assert sent.error.startswith(said)
    assert "canary" not in sent.error


def test_a_redirect_is_a_failure_that_says_what_to_do(receiver: Receiver):
    receiver.answer, receiver.headers = lambda _: 302, {"Location": "http://169.254.169.254/"}
    opened(make_channel(kind="webhook", url=receiver.url))
    send(after(1))
    assert "not followed" in AlertDelivery.objects.get().log[0]["error"]


@pytest.mark.django_db(transaction=True)
def test_a_receiver_that_hangs_holds_up_no_other_and_no_sweep():
    release = threading.Event()

    def hang(_: Any) -> int:
        release.wait(20)
        return 200

    with Receiver(answer=hang) as slow, Receiver() as quick:
        opened(
            make_channel(kind="webhook", url=slow.url),
            make_channel(name="quick", kind="webhook", url=quick.url),
        )
        sweep = Deliveries()
        try:
            assert sweep.step(after(1)) > 1
            eventually(lambda: quick.received and slow.received)
            eventually(lambda: AlertDelivery.objects.filter(state="sent").count() == 1)
            hanging = {AlertChannel.objects.get(name="ops").pk}
            eventually(lambda: sweep.busy == hanging)
        finally:
            release.set()
        eventually(lambda: AlertDelivery.objects.filter(state="sent").count() == 2)
        eventually(lambda: not any(thread.is_alive() for thread in sweep.errand.threads))


def test_while_nothing_is_due_nobody_begins():
    assert Deliveries().step(NOW) == 0


def test_what_is_over_goes_after_its_time_with_what_was_sent_and_what_stands_stays(settings: Any):
    settings.OPENQUEUE = {"RETENTION": {"alerts": 1}}
    opened(make_channel())
    old = Alert.objects.create(
        id=uuid4(), subject="x", rule_name="x", kind="failures", severity="info", value=1, text="x",
        began_at=NOW, opened_at=NOW, ended_at=NOW,
    )  # fmt: skip
    for alert in (old, None):
        facts = messages.of_test("x", at=NOW, asked_by="a")
        AlertDelivery.objects.create(
            alert=alert, channel_name="x", event="test", facts=facts, created_at=NOW, log=[]
        )
    Retention().step(NOW + timedelta(hours=23))
    assert (Alert.objects.count(), AlertDelivery.objects.count()) == (2, 3)
    Retention().step(NOW + timedelta(hours=25))
    assert (Alert.objects.get().subject, AlertDelivery.objects.get().alert.subject) == (
        "queue default",
        "queue default",
    )
