"""The pages of errors: what fails alike, and what is done about it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from openqueue.core.rollups import advance
from openqueue.models import AuditLog, BulkOperation, ErrorGroup, Run
from tests.control.builders import clock, make_run
from tests.workbench.staff import EVIL, do, is_harmless, read, staff, where

pytestmark = pytest.mark.django_db
TRACE = """Traceback (most recent call last):
  File "/srv/shop/orders/tasks.py", line 7, in {name}
    charge()
  File "/venv/lib/python3.13/site-packages/stripe/http.py", line 9, in request
    raise Timeout
{kind}: {message}
"""


def fail(kind="shop.Declined", message="card declined", name="charge", ago=timedelta(minutes=10), **options):
    """Make a run that failed so, some time ago."""
    run = make_run(status="failed", at=clock() - ago, **options)
    told = {
        "type": kind,
        "message": message,
        "traceback": TRACE.format(name=name, kind=kind, message=message),
    }
    Run.objects.filter(pk=run).update(error=told)
    return run


def group(**found) -> ErrorGroup:
    """Have what failed counted, and return the group."""
    while advance(minutes=60):
        pass
    return ErrorGroup.objects.get(**found)


def test_errors_are_listed_by_what_fails_alike_with_their_share_of_the_runs(admin_client):
    for _ in range(3):
        fail()
    fail(kind="shop.Timeout", message="no answer")
    make_run(status="completed", at=clock() - timedelta(minutes=10))
    declined = group(type="shop.Declined")
    page = read(admin_client, "error")
    assert page.count("data-row") == 2
    assert ("card declined" in page, "no answer" in page, "3 of 5" in page, "1 of 5" in page) == (True,) * 4
    assert where("error_change", declined.pk) in page


def test_a_list_shows_one_state_and_one_task(admin_client):
    fail()
    fail(kind="shop.Timeout")
    do(admin_client, "error", act="resolve", on=group(type="shop.Timeout").pk)
    assert "shop.Timeout" not in read(admin_client, "error")
    assert "shop.Declined" not in read(admin_client, "error", state="resolved")
    assert read(admin_client, "error", state="all").count("data-row") == 2
    assert read(admin_client, "error", state="all", task="app.add").count("data-row") == 2
    page = read(admin_client, "error", task="app.none")
    assert "No such errors of app.none" in page


def test_lists_lead_on_by_key(admin_client, monkeypatch):
    monkeypatch.setattr("openqueue_workbench.pages.errors.SIZE", 2)
    for number in range(5):
        fail(kind=f"shop.E{number}", ago=timedelta(minutes=10 + number))
    group(type="shop.E0")
    seen, query = [], {}
    for _ in range(3):
        answer = admin_client.get(where("error"), query)
        page = answer.content.decode()
        seen += [name for name in (f"shop.E{n}" for n in range(5)) if f"<b>{name}</b>" in page]
        older = page.partition("data-older")[0].rpartition("?at=")[2].partition('"')[0]
        query = {"at": older.replace("%3A", ":").replace("%2B", "+")}
    assert seen == [f"shop.E{number}" for number in range(5)]


def test_one_error_shows_its_stack_and_exactly_its_runs(admin_client):
    mine = [fail(), fail(message="card expired", ago=timedelta(hours=3))]
    other = fail(name="refund")
    declined = group(place__endswith="charge")
    page = read(admin_client, "error_change", declined.pk)
    assert all(f"oq-run-{run}" in page for run in mine)
    assert f"oq-run-{other}" not in page
    assert "1 library frame" in page
    assert "tasks.py&quot;, line 7, in charge" in page
    links = [part.partition('"')[0] for part in page.split('<a href="') if "since=" in part.partition('"')[0]]
    assert len(links) == 2  # a bar for each hour in which it failed
    earlier = admin_client.get(links[0].replace("&amp;", "&")).content.decode()
    assert [f"oq-run-{run}" in earlier for run in mine] == [False, True]


def test_resolving_ignoring_and_reopening_say_what_came_of_it_and_are_on_record(admin_client):
    fail()
    number = group().pk
    page = do(admin_client, "error", act="resolve", on=number, reason="mended").content.decode()
    assert "Resolved: shop.Declined." in page
    page = do(admin_client, "error", act="resolve", on=number).content.decode()
    assert "It was resolved already" in page
    page = do(admin_client, "error_change", number, act="reopen", on=number).content.decode()
    assert "Open again: shop.Declined." in page
    page = do(admin_client, "error_change", number, act="ignore", on=number, hours="8").content.decode()
    assert "Ignored for 8 hours: shop.Declined." in page
    until = ErrorGroup.objects.get().ignored_until
    assert timedelta(hours=7.9) < until - clock() < timedelta(hours=8.1)
    acts = list(AuditLog.objects.order_by("pk").values_list("act", "actor"))
    assert acts == [("error.resolve", "admin"), ("error.reopen", "admin"), ("error.ignore", "admin")]


def test_ignoring_asks_for_how_long_and_takes_no_other_answer(admin_client):
    fail()
    number = group().pk
    asked = admin_client.post(where("error"), {"act": "ignore", "on": number}).content.decode()
    assert "Ignore shop.Declined?" in asked
    assert "for 7 days" in asked
    answer = do(admin_client, "error", act="ignore", on=number, hours="1e9")
    assert (answer.status_code, ErrorGroup.objects.get().state) == (409, "open")


def test_all_runs_of_an_error_begin_anew_and_those_of_another_do_not(admin_client):
    mine = [fail() for _ in range(3)]
    other = fail(name="refund")
    number = group(place__endswith="charge").pk
    asked = admin_client.post(where("error"), {"act": "retry_all", "on": number}).content.decode()
    assert "Retry all runs that failed with shop.Declined?" in asked
    page = do(admin_client, "error", act="retry_all", on=number, reason="bank is back").content.decode()
    assert "3 retried, 1 skipped: 1 failed otherwise." in page
    assert set(Run.objects.filter(pk__in=mine).values_list("status", flat=True)) == {"queued"}
    assert Run.objects.get(pk=other).status == "failed"
    done = AuditLog.objects.get(act="bulk.retry")
    assert (done.actor, done.reason, BulkOperation.objects.get().acted) == ("admin", "bank is back", 3)


def test_without_the_permission_acts_are_not_shown_and_are_refused_on_record():
    fail()
    number = group().pk
    reader = staff("view_errorgroup")
    page = read(reader, "error")
    assert "shop.Declined" in page
    assert "card declined" not in page  # a message holds what payloads held
    assert 'name="act"' not in page
    detail = read(reader, "error_change", number)
    assert "card declined" not in detail
    assert "tasks.py&quot;" not in detail
    for act in ("resolve", "ignore", "reopen", "retry_all"):
        assert do(reader, "error", act=act, on=number, hours="1").status_code == 403
    assert (ErrorGroup.objects.get().state, BulkOperation.objects.count()) == ("open", 0)
    assert list(AuditLog.objects.values_list("act", "actor")) == [("refused", "grace")] * 4


def test_without_the_right_to_errors_neither_page_nor_part_is_shown():
    stranger = staff("view_run")
    for query in ({}, {"_part": "errors"}):
        assert stranger.get(where("error"), query).status_code == 403


def test_an_error_that_is_not_there_is_said_to_be_missing(admin_client):
    answer = admin_client.get(where("error_change", 4711))
    assert (answer.status_code, "no group of errors 4711" in answer.content.decode()) == (404, True)
    assert admin_client.get(where("error_change", 10**30)).status_code == 404
    assert do(admin_client, "error", act="resolve", on="x").status_code == 404


def test_what_tasks_leave_behind_is_text_here(admin_client):
    fail(kind=EVIL, message=EVIL, tags=[EVIL[:60]])
    number = group().pk
    assert is_harmless(read(admin_client, "error"))
    assert is_harmless(read(admin_client, "error_change", number))
    asked = admin_client.post(where("error"), {"act": "ignore", "on": number}).content.decode()
    assert is_harmless(asked)


def test_pages_ask_as_much_for_many_as_for_few(admin_client, django_assert_max_num_queries):
    for number in range(12):
        fail(kind=f"shop.E{number}")
    for _ in range(30):
        fail()
    found = group(type="shop.Declined")
    viewer = staff("view_errorgroup", "triage_errorgroup", "view_payload", "view_run")
    for reader in (admin_client, viewer):
        with django_assert_max_num_queries(12):
            read(reader, "error")
        with django_assert_max_num_queries(12):
            read(reader, "error_change", found.pk)
