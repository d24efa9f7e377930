"""The pages of metrics: how many ended, how long they waited and took."""

from __future__ import annotations

from datetime import timedelta
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest

from openqueue.control import search
from openqueue.core.rollups import advance
from openqueue.models import Run
from tests.control.builders import clock, log_in, make_run
from tests.workbench.staff import EVIL, is_harmless, read, staff, where

pytestmark = pytest.mark.django_db
PERIODS = ("1h", "24h", "7d", "30d")


def ended(status="completed", ago=timedelta(minutes=20), seconds=2.0, **options):
    return make_run(status=status, at=clock() - ago, seconds=seconds, **options)


def roll():
    while advance(minutes=600):
        pass


def links(page: str, start: str = "") -> list[str]:
    """Return the searches that the numbers and bars of a page lead to."""
    found = []
    for part in page.split('href="')[1:]:
        address = urlsplit(unescape(part.partition('"')[0]))
        found += parse_qs(address.query).get("q", [])
    return [text for text in found if text.startswith(start)]


@pytest.mark.parametrize("period", PERIODS)
def test_tasks_are_listed_with_how_they_ended_and_how_long_they_took(admin_client, period):
    for _ in range(3):
        ended()
    ended(status="failed")
    ended(task=log_in, payload={"user": "a", "password": "b"}, seconds=60.0)
    roll()
    page = read(admin_client, "metrics", period=period)
    assert page.count("data-row") == 2
    assert "1 of 4" in page
    assert page.index("tests.log_in") < page.index("app.add")  # most time first
    assert "5 runs ended" in page


def test_every_number_and_bar_leads_to_exactly_what_it_counts(admin_client):
    for minutes in (1, 20, 90, 200):
        ended(ago=timedelta(minutes=minutes))
    ended(status="failed", ago=timedelta(minutes=90))
    ended(status="running")
    roll()
    page = read(admin_client, "metrics")
    bars = [text for text in links(page) if "task:" not in text]
    counts = [search.count(text).number for text in bars]
    assert sum(counts) == 5
    assert all(counts)
    (whole,) = links(page, "status:completed,cancelled,expired,failed since") and [
        text for text in links(page) if "task:app.add" in text and "completed" in text
    ]
    assert search.count(whole).number == 5
    (failed,) = links(page, "status:failed")
    assert search.count(failed).number == 1


def test_one_task_has_its_times_in_buckets(admin_client):
    for seconds in (0.1, 0.1, 5.0):
        ended(seconds=seconds)
    ended(task=log_in, payload={"user": "a", "password": "b"})
    roll()
    page = read(admin_client, "metrics_change", "app.add")
    assert "3 runs by how long they took" in page
    assert 'id="oq-spread"' in page
    assert "tests.log_in" not in page.partition('id="oq-page"')[2]


def test_a_task_without_runs_says_so(admin_client):
    page = read(admin_client, "metrics_change", "app.none")
    assert "0 runs ended" in page
    assert "nothing from" in page


def test_a_period_that_is_not_kept_is_said_so_and_no_error(admin_client, settings):
    settings.OPENQUEUE = {"RETENTION": {"minutes": timedelta(hours=2), "hours": 2, "days": 2}}
    ended()
    roll()
    page = read(admin_client, "metrics", period="7d")
    assert "Ask for less, or for longer steps." in page


def test_who_may_not_see_runs_sees_no_numbers():
    reader = staff("view_errorgroup")
    for query in ({}, {"_part": "numbers"}):
        assert reader.get(where("metrics"), query).status_code == 403
        assert reader.get(where("metrics_change", "app.add"), query).status_code == 403


def test_names_of_tasks_are_text_here(admin_client):
    ended()
    Run.objects.update(task_id=EVIL.replace("/", "")[:150])
    roll()
    assert is_harmless(read(admin_client, "metrics"))
    assert is_harmless(read(admin_client, "metrics_change", EVIL.replace("/", "")))


def test_pages_ask_as_much_for_many_tasks_as_for_few(admin_client, django_assert_max_num_queries):
    for number in range(12):
        run = ended()
        Run.objects.filter(pk=run).update(task_id=f"app.task{number}")
    roll()
    for reader in (admin_client, staff("view_run")):
        for period in PERIODS:
            with django_assert_max_num_queries(12):
                read(reader, "metrics", period=period)
        with django_assert_max_num_queries(12):
            read(reader, "metrics_change", "app.task1")
