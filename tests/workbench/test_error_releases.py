"""Errors by release on the pages: who failed so, since when which release is there, and what opens again in which."""

from __future__ import annotations

from datetime import timedelta

import pytest

from openqueue.models import AuditLog, ErrorGroup, Release, Worker
from tests.control.builders import clock, make_run, make_worker
from tests.workbench.staff import EVIL, do, is_harmless, read, staff, where
from tests.workbench.test_errors import fail, group

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)


def of(release: str, ago: timedelta = 60 * MINUTE, **facts):
    """Register a worker of a release, which was first seen so long ago."""
    return make_worker(release=release, at=clock() - ago, **facts)


def question(client, act: str, number: int) -> str:
    return client.post(where("error"), {"act": act, "on": number}).content.decode()


def test_one_error_shows_how_often_each_release_failed_so(admin_client):
    old, new = of("1.1", 90 * MINUTE), of("1.2")
    for worker in (old, old, new, None):
        fail(worker=worker)
    page = read(admin_client, "error_change", group().pk)
    table = page.partition('class="oq-data"')[2].partition("</table>")[0]
    assert [name in table for name in ("1.1", "1.2", "No release told", "New release")] == [True] * 4
    assert "1 no release told, 2 1.1, 1 1.2" in page
    assert "Failures per hour, by release" in page
    assert "data-row" in page


def test_without_releases_the_chart_is_of_failures_alone(admin_client):
    fail()
    page = read(admin_client, "error_change", group().pk)
    assert "by release" not in page
    assert "New release" not in page


def test_more_releases_than_can_be_told_apart_are_drawn_as_one(admin_client):
    for number in range(7):
        fail(worker=of(f"1.{number}", (90 - number) * MINUTE))
    page = read(admin_client, "error_change", group().pk)
    legend = page.partition("oq-legend")[2].partition("</ul>")[0]
    assert [f"1.{n}" in legend for n in range(7)] == [False] * 3 + [True] * 4
    assert "3 older releases" in page


def test_first_and_last_release_stand_beside_first_and_last_seen(admin_client):
    fail(worker=of("1.1"), ago=50 * MINUTE)
    fail(worker=of("1.2"), ago=10 * MINUTE)
    page = read(admin_client, "error_change", group().pk)
    facts = page.partition('<dl class="oq-facts">')[2].partition("</dl>")[0]
    assert facts.index("in release 1.1") < facts.index("Last seen") < facts.index("in release 1.2")


@pytest.mark.parametrize(("page", "args"), [("metrics", ()), ("metrics_change", ("app.add",))])
def test_charts_mark_when_a_release_was_first_seen_within_their_window(admin_client, page, args):
    make_run(status="completed", at=clock() - 20 * MINUTE)
    of("0.9", timedelta(days=3))
    of("1.0", 30 * MINUTE)
    group_free = read(admin_client, page, *args)
    assert (
        group_free.count("Release 1.0, first seen") == 2 * 3
    )  # a line and the words of each of three charts
    assert group_free.count("New release") == 3
    assert "0.9" not in group_free
    assert "Release 0.9, first seen" in read(admin_client, page, *args, period="7d")


def test_resolving_asks_for_the_release_and_proposes_those_that_were_seen(admin_client):
    fail(worker=of("1.1"))
    asked = question(admin_client, "resolve", group().pk)
    assert "Resolve shop.Declined?" in asked
    assert '<option value="1.1">' in asked
    assert 'list="oq-known-release"' in asked


@pytest.mark.parametrize(
    ("release", "told"),
    [("", "It opens by itself when it returns."), ("1.1", "in that release or a newer one"),
     ("2.0", "No worker has told that release yet")],
)  # fmt: skip
def test_an_error_is_resolved_in_a_release(admin_client, release, told):
    fail(worker=of("1.1"))
    number = group().pk
    page = do(admin_client, "error_change", number, act="resolve", on=number, release=f" {release} ")
    assert told in page.content.decode()
    assert (ErrorGroup.objects.get().state, ErrorGroup.objects.get().resolved_in) == ("resolved", release)
    assert ("in release 2.0" in page.content.decode()) == (release == "2.0")
    assert AuditLog.objects.get().after == {"state": "resolved"} | ({"release": release} if release else {})
    wrong = do(admin_client, "error", act="resolve", on=number, release="the next one")
    assert (wrong.status_code, ErrorGroup.objects.get().resolved_in) == (409, release)


def test_an_error_is_ignored_unless_it_fails_too_often(admin_client):
    fail()
    number = group().pk
    assert "Unless it fails more than so many times within one hour" in question(
        admin_client, "ignore", number
    )
    page = do(admin_client, "error", act="ignore", on=number, hours="24", above="20").content.decode()
    assert "Ignored for a day, unless it fails more than 20 times within one hour: shop.Declined." in page
    assert "unless more than 20 an hour" in read(admin_client, "error", state="ignored")
    assert ErrorGroup.objects.get().ignored_above == 20
    for wrong in ("-1", "1.5", "many", "9" * 10, "²"):
        assert do(admin_client, "error", act="ignore", on=number, hours="24", above=wrong).status_code == 409
    assert ErrorGroup.objects.get().ignored_above == 20


def test_workers_of_another_release_than_the_newest_of_those_that_live_are_marked(admin_client):
    old, new = of("1.1", 90 * MINUTE, lease=timedelta(hours=9)), of("1.2", lease=timedelta(hours=9))
    silent = of("", lease=timedelta(hours=9))
    page = read(admin_client, "worker")
    assert ("≠ 1.1" in page, "≠ 1.2" in page, "≠ none told" in page) == (True, False, True)
    assert "2 are of other releases of the project than the newest." in page
    assert "(the newest is 1.2)" in read(admin_client, "worker_change", old)
    Worker.objects.filter(pk=silent).update(language="go")
    assert "≠ none told" not in read(admin_client, "worker")
    Worker.objects.filter(pk=new).update(state="lost")  # a step back: 1.2 was newer, and nobody is of it
    assert "≠" not in read(admin_client, "worker")


def test_releases_are_text_here(admin_client):
    name = EVIL[:60]
    Release.objects.create(name=name, first_seen=clock() - MINUTE)
    worker = make_worker()
    Worker.objects.filter(pk=worker).update(release=name)
    fail(worker=worker)
    ErrorGroup.objects.filter(pk=group().pk).update(state="resolved", resolved_in=name, changed_by="ada")
    for page in (
        read(admin_client, "error_change", group().pk), read(admin_client, "error", state="all"),
        read(admin_client, "metrics"), read(admin_client, "worker"), question(admin_client, "resolve", group().pk),
    ):  # fmt: skip
        assert is_harmless(page)


def test_pages_cost_as_much_for_many_releases_as_for_few(django_assert_max_num_queries):
    for number in range(12):
        fail(worker=of(f"1.{number}", lease=timedelta(hours=9)))
    rights = (
        "view_errorgroup",
        "triage_errorgroup",
        "view_payload",
        "view_run",
        "view_worker",
        "control_worker",
    )
    viewer = staff(*rights, "view_queuestate", "view_auditlog")
    number = group().pk
    for page, args in (
        ("error", ()), ("error_change", (number,)), ("worker", ()), ("metrics", ()),
        ("worker_change", (Worker.objects.earliest("pk").pk,)), ("metrics_change", ("app.add",)),
    ):  # fmt: skip
        with django_assert_max_num_queries(12):
            read(viewer, page, *args)
