"""The pages of dead letters: failed runs, and messages that could not become one."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from openqueue.models import AuditLog, DeadLetter, Run
from tests.control.builders import clock, make_run
from tests.workbench.staff import EVIL, do, is_harmless, read, staff, where

pytestmark = pytest.mark.django_db


def dead(**options) -> UUID:
    """Make a run that failed a minute ago."""
    return make_run(status="failed", at=clock() - timedelta(minutes=1), **options)


def letter(**options) -> int:
    """Make a message that is no announcement."""
    told = {
        "runtime": "default", "queue": "mail", "reason": "not an announcement", "sha256": "0" * 64, "size": 900,
        "head": b'{"run": \x00'.hex(), "at": clock(), "origin": {"topic": "app.mail", "partition": 0, "offset": 7},
    }  # fmt: skip
    return DeadLetter.objects.create(**told | options).pk


def test_failed_runs_are_listed_with_why_and_how_often_they_were_tried(admin_client):
    run, completed = dead(queue="mail"), make_run(status="completed")
    page = read(admin_client, "deadletter")
    for shown in (str(run), "no such order", "ValueError", "1 / ", "the task raised an error"):
        assert shown in page
    assert str(completed) not in page


def test_failed_runs_are_filtered_by_queue_and_task(admin_client):
    mail, other = dead(queue="mail"), dead(queue="slow")
    page = read(admin_client, "deadletter", queue="mail", task="app.add")
    assert (str(mail) in page, str(other) in page) == (True, False)
    assert "No failed runs of this queue and task." in read(admin_client, "deadletter", queue="none")


def test_messages_are_listed_with_where_they_came_from(admin_client):
    number = letter()
    page = read(admin_client, "deadletter", kind="message")
    for shown in ("not an announcement", "topic app.mail, partition 0, offset 7", "900", "mail"):
        assert shown in page
    assert "cannot" not in page.partition("<table")[2].partition("</table>")[0]
    assert 'value="requeue"' not in page  # no runtime can
    body = read(admin_client, "deadletter_change", number)
    assert "7b 22 72 75 6e 22 3a 20 00" in body
    assert "{&quot;run&quot;: ·" in body


def test_what_is_dead_is_counted_by_what_is_alike(admin_client):
    for queue in ("mail", "mail", "slow"):
        dead(queue=queue)
    letter()
    page = read(admin_client, "deadletter", kind="alike")
    assert page.count("data-row") == 3
    assert "?kind=run&amp;queue=mail&amp;task=app.add" in page
    assert "?kind=message" in page


def test_a_run_begins_anew_or_is_deleted_one_by_one(admin_client):
    again, gone = dead(), dead()
    page = do(admin_client, "deadletter", act="requeue", on=again).content.decode()
    assert f"Run {again} begins anew." in page
    assert Run.objects.get(pk=again).status == "queued"
    asked = admin_client.post(where("deadletter"), {"act": "discard", "on": gone}).content.decode()
    assert "It is deleted with its history and its logs." in asked
    assert Run.objects.filter(pk=gone).exists()
    assert "is deleted." in do(admin_client, "deadletter", act="discard", on=gone).content.decode()
    assert not Run.objects.filter(pk=gone).exists()
    assert list(AuditLog.objects.order_by("pk").values_list("act", flat=True)) == ["run.retry", "run.discard"]


def test_a_run_that_does_not_fail_any_more_is_answered_as_it_stands(admin_client):
    waits = make_run()
    answer = do(admin_client, "deadletter", act="requeue", on=waits)
    assert (answer.status_code, "It is queued now" in answer.content.decode()) == (409, True)


def test_a_message_is_taken_off_the_list_and_cannot_be_sent_again(admin_client):
    number = letter()
    answer = do(admin_client, "deadletter", act="requeue", on=f"message-{number}")
    assert (answer.status_code, "it cannot be sent once more" in answer.content.decode()) == (501, True)
    page = do(admin_client, "deadletter", act="discard", on=f"message-{number}", reason="old sender")
    assert f"Message {number} is off the list." in page.content.decode()
    assert "Every message could be read." in read(admin_client, "deadletter", kind="message")
    gone = read(admin_client, "deadletter", kind="discarded")
    assert ("old sender" in gone, "by admin" in gone) == (True, True)
    again = do(admin_client, "deadletter", act="discard", on=f"message-{number}")
    assert again.status_code == 409


def test_all_that_the_filter_finds_begin_anew_or_are_deleted_and_no_others(admin_client):
    mail, slow, other = dead(queue="mail"), dead(queue="slow"), dead()
    address = f"{where('deadletter')}?queue=mail"
    asked = admin_client.post(address, {"act": "requeue_all"}).content.decode()
    assert "status:failed queue:mail" in asked
    done = admin_client.post(address, {"act": "requeue_all", "confirmed": "1"}, follow=True)
    assert "1 retried." in done.content.decode()
    address = f"{where('deadletter')}?queue=slow"
    untyped = admin_client.post(address, {"act": "discard_all", "confirmed": "1"})
    assert (untyped.status_code, Run.objects.filter(pk=slow).exists()) == (422, True)
    admin_client.post(address, {"act": "discard_all", "confirmed": "1", "typed": "discard"})
    assert dict(Run.objects.values_list("pk", "status")) == {mail: "queued", other: "failed"}


def tick(client, *boxes, act, kind="run", **fields):
    """Send what is ticked as the form does."""
    return client.post(
        f"{where('deadletter')}?kind={kind}", {"act": act, "run": boxes, **fields}, follow=True
    )


def test_ticked_runs_begin_anew_or_are_deleted_after_a_question(admin_client):
    again, gone, left = [dead(), dead()], [dead(), dead()], dead()
    asked = tick(admin_client, *(run.hex for run in again), act="some_requeue").content.decode()
    assert "Requeue 2 failed runs?" in asked
    assert Run.objects.filter(status="failed").count() == 5
    on = " ".join(run.hex for run in again)
    page = do(admin_client, "deadletter", act="some_requeue", on=on, reason="bank is back").content.decode()
    assert "2 retried." in page
    page = do(
        admin_client, "deadletter", act="some_discard", on=" ".join(run.hex for run in gone)
    ).content.decode()
    assert "2 discarded." in page
    assert dict(Run.objects.values_list("pk", "status")) == {
        again[0]: "queued",
        again[1]: "queued",
        left: "failed",
    }
    told = AuditLog.objects.filter(act="bulk.retry").values_list("actor", "reason")
    assert list(told) == [("admin", "bank is back")]


def test_what_stands_as_failed_no_more_is_left_alone_and_counted(admin_client):
    runs = [dead(), make_run(status="completed"), make_run()]
    page = do(
        admin_client, "deadletter", act="some_requeue", on=" ".join(run.hex for run in runs)
    ).content.decode()
    assert "1 retried, 2 skipped: 2 did not stand as failed any more." in page
    assert Run.objects.get(pk=runs[1]).status == "completed"


def test_ticked_messages_are_taken_off_the_list_and_none_can_be_sent_again(admin_client):
    first, second, other = letter(), letter(), letter()
    page = read(admin_client, "deadletter", kind="message")
    assert ('value="some_discard"' in page, 'value="some_requeue"' in page) == (True, False)
    asked = tick(admin_client, f"message-{first}", f"message-{second}", act="some_discard", kind="message")
    assert "Discard 2 messages?" in asked.content.decode()
    DeadLetter.objects.filter(pk=first).update(discarded_at=clock(), discarded_by="eve")
    sent = {
        "act": "some_discard",
        "on": f"message-{first} message-{second} message-9{other}",
        "confirmed": "1",
    }
    address = f"{where('deadletter')}?kind=message"
    done = admin_client.post(address, sent | {"reason": "old sender"}, follow=True).content.decode()
    assert "1 discarded, 2 skipped: 1 were discarded before, 1 were gone." in done
    assert list(DeadLetter.objects.filter(discarded_at=None).values_list("pk", flat=True)) == [other]
    assert DeadLetter.objects.get(pk=first).discarded_by == "eve"
    assert AuditLog.objects.get().after == {"letters": [second]}
    refused = admin_client.post(address, {"act": "some_requeue", "on": f"message-{other}", "confirmed": "1"})
    assert refused.status_code == 501


@pytest.mark.parametrize("act", ["some_requeue", "some_discard"])
@pytest.mark.parametrize("kind", ["run", "message"])
def test_with_nothing_ticked_nothing_is_asked(admin_client, act, kind):
    dead(), letter()
    answer = tick(admin_client, act=act, kind=kind)
    assert (answer.status_code, "tick some first" in answer.content.decode()) == (409, True)
    answer = tick(admin_client, "x", "message-x", act=act, kind=kind)
    assert answer.status_code == 409


def test_boxes_are_for_those_who_may_act():
    dead(), letter()
    reader, retrier = staff("view_run"), staff("view_run", "retry_run", name="eve")
    for kind in ("run", "message"):
        assert 'type="checkbox" form' not in read(reader, "deadletter", kind=kind)
    page = read(retrier, "deadletter")
    assert ('value="some_requeue"' in page, 'value="some_discard"' in page) == (True, False)
    assert 'type="checkbox" form' not in read(retrier, "deadletter", kind="message")
    assert 'type="checkbox" form' not in read(retrier, "deadletter", kind="discarded")


def test_two_hundred_bytes_of_a_message_are_shown_to_who_may_see_payloads(admin_client):
    number = letter(head=bytes(range(200)).hex())
    page = read(admin_client, "deadletter_change", number)
    assert "00c0" in page
    assert "c0 c1 c2 c3 c4 c5 c6 c7" in page


def test_without_the_permission_acts_are_not_shown_and_are_refused_on_record():
    run, number = dead(), letter()
    reader = staff("view_run")
    page = read(reader, "deadletter")
    assert 'name="act"' not in page
    assert "no such order" not in page
    assert "7b 22" not in read(reader, "deadletter_change", number)
    for act, on in (
        ("requeue", run), ("discard", run), ("discard", f"message-{number}"), ("requeue_all", ""), ("discard_all", ""),
        ("some_requeue", run.hex), ("some_discard", run.hex),
    ):  # fmt: skip
        assert do(reader, "deadletter", act=act, on=on, typed="discard").status_code == 403
    assert Run.objects.get().status == "failed"
    assert DeadLetter.objects.get().discarded_at is None
    assert list(AuditLog.objects.values_list("act", flat=True)) == ["refused"] * 7


def test_without_the_right_to_runs_neither_page_nor_part_is_shown():
    stranger = staff("view_errorgroup")
    for query in ({}, {"_part": "letters"}, {"_part": "groups"}):
        assert stranger.get(where("deadletter"), query).status_code == 403


def test_what_is_not_there_is_said_to_be_missing(admin_client):
    assert admin_client.get(where("deadletter_change", 4711)).status_code == 404
    assert do(admin_client, "deadletter", act="requeue", on="x").status_code == 404
    assert do(admin_client, "deadletter", act="discard", on="message-4711").status_code == 404


def test_what_senders_leave_behind_is_text_here(admin_client):
    run = dead(queue="mail")
    Run.objects.filter(pk=run).update(error={"type": EVIL, "message": EVIL, "traceback": EVIL})
    number = letter(reason=EVIL, queue=EVIL[:60], origin={EVIL: EVIL}, head=EVIL.encode().hex()[:128])
    assert is_harmless(read(admin_client, "deadletter"))
    assert is_harmless(read(admin_client, "deadletter", kind="message"))
    assert is_harmless(read(admin_client, "deadletter_change", number))


def test_messages_lead_on_by_key(admin_client, monkeypatch):
    monkeypatch.setattr("openqueue_workbench.pages.dead_letters.SIZE", 2)
    numbers = [letter() for _ in range(3)]
    page = read(admin_client, "deadletter", kind="message")
    assert f"at={numbers[1]}" in page
    page = read(admin_client, "deadletter", kind="message", at=numbers[1])
    assert f"oq-message-{numbers[0]}" in page
    assert "data-older" not in page


def test_pages_ask_as_much_for_many_as_for_few(admin_client, django_assert_max_num_queries):
    for number in range(15):
        dead(queue=f"queue-{number}")
        letter()
    viewer = staff("view_run", "view_payload", "retry_run", "discard_run")
    for reader in (admin_client, viewer):
        for kind in ("run", "alike", "message", "discarded"):
            with django_assert_max_num_queries(12):
                read(reader, "deadletter", kind=kind)
        with django_assert_max_num_queries(12):
            read(reader, "deadletter_change", DeadLetter.objects.earliest("pk").pk)
