"""The overview and the queues: numbers that agree with each other and with what they lead to."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client

from openqueue.control import queue_acts, search
from openqueue.control.actor import Actor
from openqueue.models import Alert
from tests.control.builders import clock, make_run, make_worker
from tests.workbench.conftest import text, to

pytestmark = pytest.mark.django_db
ROW = re.compile(r'<tr data-row id="oq-queue-default-(\w+)">(.*?)</tr>', re.DOTALL)
LINK = re.compile(r'<a href="([^"]*/run/[^"]*)">(.*?)</a>', re.DOTALL)


def rows(page: str) -> dict[str, list[tuple[str, str]]]:
    return {name: links_of(row) for name, row in ROW.findall(page)}


def links_of(page: str) -> list[tuple[str, str]]:
    return [(unescape(address), re.sub("<[^>]+>", "", shown)) for address, shown in LINK.findall(page)]


def part(client: Client, name: str) -> str:
    return text(client.get(to("overview"), {"_part": name}))


def counted(address: str) -> int:
    (sought,) = parse_qs(urlsplit(address).query)["q"]
    return search.count(sought, sees_payloads=True).number


@pytest.fixture
def work() -> None:
    """Something of everything, that ended some minutes ago."""
    worker, at = make_worker(), clock() - timedelta(minutes=5)
    for status, number in (
        ("queued", 3), ("scheduled", 2), ("retrying", 1), ("running", 2), ("failed", 4), ("completed", 5),
        ("cancelled", 1), ("expired", 1),
    ):  # fmt: skip
        for _ in range(number):
            make_run(status=status, at=at, worker=worker)
    make_run(status="failed", at=clock() - timedelta(hours=3))


@pytest.mark.parametrize("place", ["overview", "queue"])
def test_every_number_of_a_queue_leads_to_exactly_what_it_counts(
    admin_client: Client, work: None, place: str
):
    found = rows(text(admin_client.get(to(place))))["default"]
    ready, held, later, running, failed = found
    assert (ready[1], held[1], later[1], failed[1]) == ("3", "0", "3", "4")
    assert running[1].startswith("2 / ")
    for address, number in (ready, later, running, failed):
        assert counted(address) == int(re.match(r"\d+", number)[0])  # type: ignore[index]


def test_the_cards_agree_with_the_rows_and_with_the_runs(admin_client: Client, work: None):
    page = part(admin_client, "cards")
    assert "4 of 11 finished" in page
    (failed, percent), (running, number) = links_of(page)
    assert (counted(failed), percent) == (4, "36.4 %")
    assert counted(running) == int(number) == 2


def test_what_a_paused_queue_holds_is_held_everywhere(admin_client: Client, work: None):
    queue_acts.pause(["default"], actor=Actor(name="ben"), reason="why not")
    for place in ("overview", "queue"):
        page = text(admin_client.get(to(place)))
        ready, held, *_rest = rows(page)["default"]
        assert (ready[1], held[1]) == ("0", "3"), place
        assert "by ben" in page
    assert "Paused, and holds 3 runs." in part(admin_client, "attention")


def test_an_alert_that_is_open_needs_attention_and_leads_to_the_alerts(admin_client: Client):
    now = clock()
    Alert.objects.create(
        rule_name="<b>slow</b>", kind="backlog", severity="critical", subject="queue mail", value=1.0, text="",
        standing=1, began_at=now, opened_at=now,
    )  # fmt: skip
    page = part(admin_client, "attention")
    assert "1 alert is open." in page
    assert "&lt;b&gt;slow&lt;/b&gt;" in page
    assert f'href="{to("alert")}?severity=critical"' in page


def test_without_anything_the_overview_says_how_to_begin(admin_client: Client):
    page = text(admin_client.get(to("overview")))
    assert "No runs yet." in page
    assert "openqueue_worker" in page
    assert "Nothing needs attention." in page


def test_a_queue_that_nothing_names_is_not_found_and_a_hostile_name_is_text(admin_client: Client):
    for name in ("nothing-names-it", "<script>alert(1)</script>", "a/b"):
        answer = admin_client.get(to("queue_change", name))
        assert answer.status_code == 404
        assert "<script>alert" not in answer.content.decode()
