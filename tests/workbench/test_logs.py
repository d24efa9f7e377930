"""The page of logs: what runs logged within a period."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest

from openqueue.control import logs
from openqueue.control.actor import Actor
from openqueue.control.callers import Caller
from openqueue.models import RunLog
from tests.control.builders import clock, log_in, make_run
from tests.workbench.staff import EVIL, is_harmless, read, staff, where

pytestmark = pytest.mark.django_db
ADA = Caller.operator(Actor(name="ada"))


def log(text="charged", level=logging.INFO, ago=timedelta(minutes=5), **options):
    """Have a run log a line some time ago."""
    run = make_run(**options)
    return RunLog.objects.create(run_id=run, attempt=1, level=level, text=text, at=clock() - ago)


def test_lines_of_a_period_are_listed_newest_first_with_their_runs(admin_client):
    old, line = (
        log("two hours old", ago=timedelta(hours=2)),
        log("first"),
    )
    newer = log("second", ago=timedelta(minutes=1))
    page = read(admin_client, "log")
    assert page.index(f"oq-line-{newer.pk}") < page.index(f"oq-line-{line.pk}")
    assert str(line.run_id) in page
    assert f"oq-line-{old.pk}" not in page
    assert "two hours old" in read(admin_client, "log", period="24h")


def test_lines_are_narrowed_by_level_task_run_and_text(admin_client):
    calm = log("All well")
    bad = log("Provider is DOWN", level=logging.ERROR, task=log_in, payload={"user": "a", "password": "b"})
    for query in (
        {"level": "error"},
        {"task": "tests.log_in"},
        {"run": str(bad.run_id)},
        {"text": "provider is down"},
    ):
        page = read(admin_client, "log", **query)
        assert (f"oq-line-{bad.pk}" in page, f"oq-line-{calm.pk}" in page) == (True, False), query
    assert "No such lines in this period." in read(admin_client, "log", text="100%_")
    assert "Write the whole id of a run" in read(admin_client, "log", run="0199")


def test_how_long_lines_are_kept_is_what_the_settings_say(admin_client, settings):
    assert "Kept for 30 days" in read(admin_client, "log")
    settings.OPENQUEUE = {"RETENTION": {"logs": 7}}
    assert "Kept for 7 days" in read(admin_client, "log")
    settings.OPENQUEUE = {"RETENTION": {"logs": None}}
    assert "Kept for ever" in read(admin_client, "log")


def test_pages_lead_on_by_key_through_lines_of_one_moment(admin_client, monkeypatch):
    monkeypatch.setattr("openqueue_workbench.pages.logs.SIZE", 2)
    lines = [log(f"line {n}") for n in range(5)]
    RunLog.objects.update(at=clock() - timedelta(minutes=5))
    seen, place = [], None
    for _ in range(3):
        found = logs.find(caller=ADA, beyond=place, limit=2)
        seen += [one.id for one in found.lines]
        place = found.older
    assert (seen, place) == ([line.pk for line in lines][::-1], None)
    page = read(admin_client, "log")
    assert ("data-older" in page, "data-every" in page) == (True, True)
    at = page.partition("data-older")[0].rpartition("?at=")[2].partition('"')[0]
    older = admin_client.get(f"{where('log')}?at={at}").content.decode()
    assert (older.count("oq-line-"), "line 2" in older, "data-every" in older) == (2, True, False)


def test_a_period_is_bounded_and_so_is_what_is_looked_at(monkeypatch):
    log(ago=timedelta(days=8))
    assert not logs.find(caller=ADA, period=timedelta(days=30)).lines
    assert not logs.find(caller=ADA, since=clock() - timedelta(days=30)).lines
    monkeypatch.setattr(logs, "EXAMINED", 1)
    for minutes in (5, 4, 3):
        log(f"{minutes}", ago=timedelta(minutes=minutes))
    found = logs.find(caller=ADA, text="5")
    assert (found.lines, found.searched_all) == ([], False)
    assert logs.find(caller=ADA).searched_all


def test_who_may_not_see_what_runs_carry_sees_no_log():
    reader = staff("view_run")
    for query in ({}, {"_part": "lines"}):
        assert reader.get(where("log"), query).status_code == 403


def test_what_runs_log_is_text_here_and_lines_cost_nothing(admin_client, django_assert_max_num_queries):
    for _ in range(20):
        log(EVIL)
    assert is_harmless(read(admin_client, "log", text="alert", task="app.add"))
    for reader in (admin_client, staff("view_payload")):
        with django_assert_max_num_queries(12):
            read(reader, "log", text="alert")
