from __future__ import annotations

import re
from datetime import timedelta
from uuid import UUID

import pytest

from openqueue.core import transitions
from openqueue.store import store
from openqueue.types import Progress
from tests.control.builders import clock, log_in, make_run, make_worker
from tests.workbench.conftest import VIEWER, text, to

pytestmark = pytest.mark.django_db
EVIL = '<script>alert(1)</script><img src=x onerror=y oq-get="javascript:z">'


def rows(page: str) -> list[str]:
    return re.findall(r'<tr data-row id="oq-run-([0-9a-f-]{36})"', page)


def part(client, name: str, **query):
    return client.get(to("run"), {"_part": name, **query})


def open_list(page: str) -> str:
    """Return where the rows on show are asked for again."""
    found = re.search(r'<section id="oq-part-rows"[^>]* oq-get="([^"]+)"', page)
    assert found
    return found[1].replace("&amp;", "&")


def test_runs_stand_newest_first_with_what_tells_them_apart(admin_client):
    first = make_run(tags=["nightly"])
    second = make_run(status="failed", seconds=1.5)
    page = text(admin_client.get(to("run")))
    assert rows(page) == [str(second), str(first)]
    assert "ValueError: no such order" in page
    assert "nightly" in page
    assert "1.5 s" in page
    assert to("run_change", second) in page


def test_the_list_is_of_the_last_day_but_what_has_not_ended_stays(admin_client):
    make_run(status="completed", at=clock() - timedelta(days=3))
    waiting = make_run(at=clock() - timedelta(days=3))
    assert rows(text(admin_client.get(to("run")))) == []
    assert rows(text(admin_client.get(to("run"), {"status": "queued"}))) == [str(waiting)]
    assert len(rows(text(admin_client.get(to("run"), {"period": "7d"})))) == 2


def test_the_form_is_a_search_that_the_address_keeps(admin_client):
    wanted = make_run(status="failed", queue="mail")
    make_run(status="failed")
    make_run(status="completed", queue="mail")
    page = text(admin_client.get(to("run"), {"q": "error:ValueError", "queue": "mail", "status": "failed"}))
    assert rows(page) == [str(wanted)]
    assert 'value="error:ValueError"' in page
    assert "<option selected>mail</option>" in page


def test_a_pasted_id_is_the_only_row_whenever_it_was(admin_client):
    wanted = make_run(status="completed", at=clock() - timedelta(days=20))
    make_run()
    assert rows(text(admin_client.get(to("run"), {"q": str(wanted)}))) == [str(wanted)]


def test_what_a_search_gets_wrong_is_said_and_the_list_stays(admin_client):
    run = make_run()
    page = text(admin_client.get(to("run"), {"q": "que:mail since:yesterday"}))
    assert "Unknown field `que:`. Known: status, queue" in page
    assert "write how long ago" in page
    assert rows(page) == [str(run)]


def test_no_run_at_all_and_no_run_that_fits_are_said_apart(admin_client):
    assert "manage.py openqueue_worker" in text(admin_client.get(to("run")))
    page = text(admin_client.get(to("run"), {"status": "failed", "queue": "billing"}))
    assert "No runs match <code>status:failed queue:billing</code> in the last 24 hours." in page
    assert "period=7d" in page
    assert "Clear filters" in page


def test_a_search_that_takes_too_long_says_so(admin_client, monkeypatch):
    from openqueue.control.search import pages

    monkeypatch.setattr(pages, "found", lambda sought, **_: pages.Page(runs=[], stopped=True))
    page = text(admin_client.get(to("run"), {"q": "tag:x"}))
    assert "Stopped after 2 s. Narrow the period or add a queue." in page
    assert 'value="tag:x"' in page


def test_pages_lead_on_and_back(admin_client):
    made = [str(make_run()) for _ in range(60)][::-1]
    first = text(admin_client.get(to("run")))
    assert rows(first) == made[:50]
    older = re.search(r'href="([^"]+)" data-older', first)[1].replace("&amp;", "&")
    second = text(admin_client.get(older))
    assert rows(second) == made[50:]
    newer = re.search(r'href="([^"]+)" data-newer', second)[1].replace("&amp;", "&")
    assert rows(text(admin_client.get(newer))) == made[:50]
    assert "data-newer" not in first
    assert "data-older" not in second


def test_an_open_list_keeps_its_rows_and_counts_what_is_new(admin_client):
    shown = [str(make_run()) for _ in range(3)][::-1]
    asked = open_list(text(admin_client.get(to("run"))))
    assert admin_client.get(asked).status_code == 204
    for _ in range(2):
        make_run()
    page = text(admin_client.get(asked))
    assert rows(page) == shown
    assert "2 new runs" in page
    again = open_list(page)
    assert admin_client.get(again).status_code == 204
    transitions.cancel_waiting([UUID(shown[1])], actor="ada")
    page = text(admin_client.get(again))
    assert rows(page) == shown
    assert "Cancelled" in page


def test_more_than_a_hundred_new_runs_are_100_and_more(admin_client):
    make_run()
    asked = open_list(text(admin_client.get(to("run"))))
    for _ in range(102):
        make_run()
    assert "100+ new runs" in text(admin_client.get(asked))


def test_a_list_by_the_end_counts_what_ended_since(admin_client):
    first = make_run(status="completed", at=clock() - timedelta(minutes=2))
    asked = open_list(text(admin_client.get(to("run"), {"status": "completed"})))
    make_run(status="completed", at=clock() - timedelta(minutes=1))
    page = text(admin_client.get(asked))
    assert rows(page) == [str(first)]
    assert "1 new run:" in page


def test_tabs_count_each_status_in_one_statement(admin_client, statements):
    make_run(status="failed")
    make_run(status="failed")
    make_run()
    with statements() as asked:
        page = text(part(admin_client, "tabs"))
    assert len([one for one in asked if "openqueue_run" in one]) == 1
    counts = dict(re.findall(r'>(\w+) <span class="oq-counted">([^<]+)<', page))
    assert counts == {
        "Running": "0", "Queued": "1", "Retrying": "0", "Scheduled": "0", "Waiting": "0", "Failed": "2",
        "Completed": "0", "Cancelled": "0", "Expired": "0",
    }  # fmt: skip


def test_the_strip_leads_to_what_each_bar_counts(admin_client):
    run = make_run(status="failed", at=clock() - timedelta(seconds=10))
    make_run(status="failed", at=clock() - timedelta(hours=5))
    page = text(part(admin_client, "activity"))
    links = re.findall(r'<a href="([^"]+)"', page)
    assert len(links) == 2
    assert rows(text(admin_client.get(links[-1].replace("&amp;", "&")))) == [str(run)]


def test_a_running_run_shows_how_far_it_is(admin_client):
    run = make_run(status="running", worker=make_worker())
    store().note(progress=[Progress(run, 1, '{"percent":40,"message":"page 4 of 10"}')], logs=[])
    page = text(admin_client.get(to("run")))
    assert '<progress max="100" value="40.0"' in page
    assert "page 4 of 10" in page
    assert "web-1:4711" in page


def test_who_may_not_see_what_runs_carry_sees_no_errors(staff):
    make_run(status="failed")
    client = staff("view_run")
    page = text(client.get(to("run")))
    assert "no such order" not in page
    assert "Errors are searched only by those who may see payloads" in text(
        client.get(to("run"), {"q": "error:ValueError"})
    )


def test_without_the_permission_there_is_no_list_and_no_part_of_it(staff):
    client = staff("view_queuestate")
    assert client.get(to("run")).status_code == 403
    assert part(client, "rows").status_code == 403


def test_planted_markup_is_text(admin_client):
    make_run(status="failed", tags=[EVIL])
    make_run(task=log_in, payload={"user": EVIL, "password": "hunter22"}, queue="default")
    for query in ({}, {"q": EVIL}, {"q": "x", "since": EVIL, "task": EVIL, "queue": EVIL}):
        page = text(admin_client.get(to("run"), query))
        assert EVIL not in page
        assert "<script>alert" not in page
        assert "<img" not in page


@pytest.mark.parametrize(
    "query",
    [{}, {"status": "failed"}, {"status": "queued"}, {"q": "ValueError"}, {"q": "status:failed,completed"}],
)
def test_a_page_takes_twelve_statements_at_most_whatever_the_rows(
    query, staff, django_assert_max_num_queries
):
    worker = make_worker()
    for _ in range(12):
        for status in ("failed", "queued", "completed", "running"):
            make_run(status=status, **({"worker": worker} if status == "running" else {}))
    client = staff(*VIEWER, "retry_run", "view_errorgroup")
    with django_assert_max_num_queries(12):
        page = text(client.get(to("run"), query))
    with django_assert_max_num_queries(12):
        client.get(open_list(page))
    for name in ("tabs", "activity"):
        with django_assert_max_num_queries(12):
            text(part(client, name, **query))


def test_a_run_with_very_many_tags_has_a_line_like_any_other(admin_client):
    run = make_run(tags=[f"tag-{number}" for number in range(15)])
    page = text(admin_client.get(to("run")))
    assert page.count('<span class="oq-tag"') == 4
    assert "+12" in page
    assert "tag-14" in text(admin_client.get(to("run_change", run)))


def test_each_status_is_listed_in_its_own_order_which_the_page_and_its_ways_on_say(admin_client):
    at = clock() - timedelta(hours=1)
    for status, said, on in (
        ("queued", "Due first comes first.", "Due later"),
        ("scheduled", "Due first comes first.", "Due later"),
        ("running", "What runs for longest comes first.", "Started later"),
        ("failed", "Ended last comes first.", "Older"),
    ):
        made = [str(make_run(status=status, at=at + timedelta(seconds=n))) for n in range(51)]
        page = text(admin_client.get(to("run"), {"status": status}))
        assert said in page
        assert f"data-older>{on} " in page
        assert rows(page) == (made[:0:-1] if status == "failed" else made[:50])
