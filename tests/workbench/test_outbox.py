"""The page of the outbox: what waits to be sent, and sending it now."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from openqueue.models import AuditLog, Outbox
from tests.control.builders import clock, make_run
from tests.workbench.staff import EVIL, do, is_harmless, read, staff, where

pytestmark = pytest.mark.django_db
DOWN = {"BACKEND": "tests.broker.runtime.BrokerRuntime", "OPTIONS": {"port": 1}}


@pytest.fixture
def brokered(settings):
    """Have runs sent to a broker that is down."""
    settings.OPENQUEUE = {"RUNTIMES": {"default": DOWN}}


def waiting(**columns):
    """Make a run whose sending failed, to be tried again in a while."""
    run = make_run(queue="mail")
    later = clock() + timedelta(minutes=5)
    told = {"announced_at": None, "last_error": "ConnectionRefusedError: broker:5672", "tries": 4}
    Outbox.objects.filter(pk=run).update(**told | {"announce_at": later} | columns)
    return run


def test_what_was_not_sent_is_listed_with_why_and_the_next_try(brokered, admin_client):
    run = waiting(due_at=clock() - timedelta(minutes=7))
    page = read(admin_client, "outbox")
    for shown in (
        f"oq-run-{run}",
        "ConnectionRefusedError: broker:5672",
        "7 min",
        "Failed to send",
    ):
        assert shown in page
    assert "Runs are safe here" in read(admin_client, "outbox", _part="runtimes")
    assert f"oq-run-{run}" not in read(admin_client, "outbox", state="announced")
    assert f"oq-run-{run}" not in read(admin_client, "outbox", queue="other")


def test_a_run_is_sent_at_once_and_only_once(brokered, admin_client):
    run = waiting()
    page = do(admin_client, "outbox", act="publish", on=run).content.decode()
    assert f"Run {run} is sent within a second or two." in page
    assert Outbox.objects.get(pk=run).announce_at <= clock()
    assert AuditLog.objects.values_list("act", "object").get() == ("outbox.flush", f"run {run}")
    again = do(admin_client, "outbox", act="publish", on=run)
    assert (again.status_code, "waits for nothing that could be hurried" in again.content.decode()) == (
        409,
        True,
    )
    assert do(admin_client, "outbox", act="publish", on="x").status_code == 404


def test_all_that_the_filter_finds_is_sent_after_a_question(brokered, admin_client):
    mine, later = waiting(), make_run(status="scheduled", queue="mail")
    other = make_run(queue="other")
    Outbox.objects.filter(pk=other).update(announced_at=None, announce_at=clock() + timedelta(minutes=5))
    address = f"{where('outbox')}?queue=mail"
    asked = admin_client.post(address, {"act": "publish_all"}).content.decode()
    assert "Publish all that is due and unsent?" in asked
    assert Outbox.objects.get(pk=mine).announce_at > clock()
    done = admin_client.post(
        address, {"act": "publish_all", "confirmed": "1", "reason": "broker is up"}, follow=True
    )
    assert "1 run is sent" in done.content.decode()
    at = clock()
    assert Outbox.objects.get(pk=mine).announce_at <= at
    assert Outbox.objects.get(pk=other).announce_at > at
    assert Outbox.objects.get(pk=later).ready is False
    assert AuditLog.objects.get().reason == "broker is up"


def test_what_is_sent_or_not_due_cannot_be_sent_and_the_page_says_why(brokered, admin_client):
    waiting(announced_at=clock(), last_error=None)
    make_run(status="scheduled")
    page = read(admin_client, "outbox")
    assert page.count("disabled aria-describedby") == 2
    assert "It was sent; a worker takes it when it has room." in page
    assert "It is not due yet." in page


def test_a_runtime_that_sends_nothing_has_no_such_act_and_says_so(admin_client):
    run = make_run()
    page = read(admin_client, "outbox")
    assert 'value="publish' not in page
    assert "No runtime here sends messages" in read(admin_client, "outbox", _part="runtimes")
    for act in ("publish", "publish_all"):
        assert do(admin_client, "outbox", act=act, on=run).status_code == 501
    assert not AuditLog.objects.exists()


def test_without_the_permission_nothing_is_offered_nor_sent(brokered):
    run = waiting()
    reader = staff("view_outbox")
    assert 'name="act"' not in read(reader, "outbox")
    before = Outbox.objects.get().announce_at
    for act in ("publish", "publish_all"):
        assert do(reader, "outbox", act=act, on=run).status_code == 403
    assert Outbox.objects.get().announce_at == before
    assert list(AuditLog.objects.values_list("act", flat=True)) == ["refused"] * 2
    stranger = staff("view_run", name="eve")
    for query in ({}, {"_part": "rows"}, {"_part": "runtimes"}):
        assert stranger.get(where("outbox"), query).status_code == 403


def test_pages_lead_on_by_key(brokered, admin_client, monkeypatch):
    monkeypatch.setattr("openqueue_workbench.pages.outbox.SIZE", 2)
    runs = [waiting() for _ in range(3)]
    assert f"?at={runs[1]}" in read(admin_client, "outbox")
    page = read(admin_client, "outbox", at=runs[1])
    assert (f"oq-run-{runs[2]}" in page, f"oq-run-{runs[0]}" in page) == (True, False)


def test_what_a_broker_says_is_text_here_and_rows_cost_nothing(
    brokered, admin_client, django_assert_max_num_queries
):
    for _ in range(15):
        waiting(last_error=EVIL)
    assert is_harmless(read(admin_client, "outbox"))
    for reader in (admin_client, staff("view_outbox", "flush_outbox")):
        for query in ({}, {"_part": "runtimes"}, {"_part": "rows"}):
            with django_assert_max_num_queries(12):
                read(reader, "outbox", **query)


def test_four_runtimes_cost_no_more_statements_than_one(settings, admin_client):
    asked = {}
    for number in (1, 4):
        names = ["default", "mail", "video", "audit"][:number]
        settings.OPENQUEUE = {
            "RUNTIMES": dict.fromkeys(names, DOWN),
            "QUEUES": {name: {"runtime": name} for name in names},
        }
        for name in names:
            run = make_run(queue=name)
            Outbox.objects.filter(pk=run).update(announced_at=None, last_error=None)
        with CaptureQueriesContext(connection) as sent:
            page = read(admin_client, "outbox", _part="runtimes")
        asked[number] = [one["sql"] for one in sent]
        assert [f"runtime={name}&amp;state=pending" in page for name in names] == [True] * number
        assert len(asked[number]) <= 12
        with CaptureQueriesContext(connection) as whole:
            read(admin_client, "outbox", _whole="1")
        assert len(whole) <= 12
    assert len(asked[4]) == len(asked[1]), asked[4]
