"""Pages in both directions, by places in the order and never by counting rows."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import OperationalError, connection

from openqueue.control.search import count, counts, orders, page, pages, read, walks
from openqueue.control.search.orders import Order
from openqueue.control.search.pages import found
from openqueue.models import Outbox, Run
from openqueue.states import FINAL
from openqueue.store import store
from tests.control.builders import clock, make_run

pytestmark = pytest.mark.django_db
EVERY = ["queued", "scheduled", "running", "retrying", "completed", "failed", "cancelled", "expired"]


def ids(one):
    return [run.id for run in one.runs]


@pytest.mark.parametrize(
    "text",
    ["", "status:queued", "status:scheduled", "status:running", "status:scheduled,retrying,queued",
     "status:completed", "status:completed,failed,cancelled,expired",
     "status:queued,running,failed", "status:scheduled,retrying,queued,running", "-status:completed", "queue:default"],
)  # fmt: skip
@pytest.mark.parametrize("size", [1, 2, 5])
def test_pages_lead_through_everything_and_back(text, size):
    at = clock() - timedelta(hours=1)
    for _ in range(2):
        for status in EVERY:
            make_run(status=status, at=at)  # many end at the same instant
    whole = ids(found(read(text), size=100))
    assert len(whole) == Run.objects.filter(walks.conditions.in_status(read(text).statuses)).count() >= 2
    down = [found(read(text), size=size)]
    while down[-1].older:
        down.append(found(read(text), size=size, at=down[-1].older))
    assert [run for one in down for run in ids(one)] == whole
    assert down[0].newer is None
    up = [down[-1]]
    while up[-1].newer:
        up.append(found(read(text), size=size, at=up[-1].newer))
    assert [run for one in reversed(up) for run in ids(one)] == whole


def test_several_statuses_are_merged_newest_first_and_ended_ones_by_their_end():
    at = clock() - timedelta(hours=1)
    slow = make_run(status="failed", at=at, seconds=300)
    quick = make_run(status="completed", at=at, seconds=5)
    assert ids(page("status:failed,completed")) == [slow, quick]
    assert ids(page("")) == [quick, slow]
    waiting = make_run()
    assert ids(page("status:queued,failed")) == [waiting, slow]


@pytest.mark.parametrize("others", ["", ",running", ",failed"])
def test_what_waits_at_a_limit_is_queued_once_its_time_has_come_wherever_it_is_looked_for(others):
    due, later = make_run(status="scheduled"), make_run(status="scheduled")
    Outbox.objects.update(waits_for="customer:7")
    Outbox.objects.filter(run_id=due).update(due_at=clock() - timedelta(seconds=5))
    for text, wanted in ((f"status:queued{others}", due), (f"status:scheduled{others}", later)):
        assert ids(page(text)) == [wanted]
        assert count(text).number == 1
        assert [run.status for run in page(text).runs] == [text[7:].partition(",")[0]]
        # among all of history, where a row of the outbox is joined
        assert ids(page(f"{text} id:{due},{later}")) == [wanted]
        assert count(f"{text} id:{due},{later}").number == 1


def test_rows_that_arrive_meanwhile_shift_no_page():
    made = [make_run() for _ in range(4)]
    first = found(read(""), size=2)
    make_run()
    assert ids(found(read(""), size=2, at=first.older)) == made[1::-1]


@pytest.mark.parametrize("cursor", ["", "x", "a:b", "[]:x", "\0" * 40, "é", "a" * 10_000])
def test_a_cursor_that_is_none_gives_the_first_page(cursor):
    made = [make_run() for _ in range(3)]
    assert ids(found(read(""), size=2, at=cursor)) == made[:0:-1]


def test_a_cursor_of_another_search_gives_the_first_page():
    made = [make_run() for _ in range(3)]
    cursor = found(read("queue:default"), size=2).older
    assert cursor
    assert ids(found(read("queue:default"), size=2, at=cursor)) == made[:1]
    assert ids(found(read('queue:"default"'), size=2, at=cursor)) == made[:1]  # the same in another spelling
    assert ids(found(read("queue:default status:queued"), size=2, at=cursor)) == made[:2]


def test_a_cursor_of_another_order_gives_the_first_page(monkeypatch):
    made = [make_run() for _ in range(3)]
    sought = read("status:queued")
    with monkeypatch.context() as patch:
        patch.setattr(orders, "of", lambda _: Order.NEWEST)
        cursor = found(sought, size=2).older
        assert ids(found(sought, size=2, at=cursor)) == made[:1]
    assert ids(found(sought, size=2, at=cursor)) == made[:2]


def test_what_is_queued_comes_by_its_due_time_wherever_it_waits_and_whenever_it_was_made():
    at = clock() - timedelta(hours=1)
    late, early, delayed = make_run(), make_run(at=at), make_run(status="scheduled", at=at, delay=60)
    waits = make_run(status="scheduled")
    Outbox.objects.filter(run_id=waits).update(waits_for="customer:7", due_at=at - timedelta(hours=1))
    assert ids(page("status:queued")) == [waits, early, late]
    store().flip_ready(limit=10)
    assert ids(page("status:queued")) == [waits, early, delayed, late]


def test_what_is_delayed_comes_by_its_due_time_whatever_it_is_delayed_for():
    at = clock()
    far, near = (
        make_run(status="scheduled", at=at, delay=7_200),
        make_run(status="scheduled", at=at, delay=600),
    )
    again, limited = make_run(status="retrying", at=at), make_run(status="scheduled", at=at, delay=900)
    Outbox.objects.filter(run_id=again).update(due_at=at + timedelta(seconds=60))
    Outbox.objects.filter(run_id=limited).update(waits_for="customer:7")
    assert ids(page("status:scheduled,retrying")) == [again, near, limited, far]
    assert ids(page("status:scheduled")) == [near, limited, far]
    due = make_run(at=at)
    assert ids(page("status:retrying,scheduled,queued")) == [due, again, near, limited, far]
    assert ids(page("status:retrying,running")) == [again]
    assert ids(page("status:retrying,scheduled,failed")) == [limited, again, near, far]


def test_what_runs_comes_by_its_start_the_one_that_runs_for_longest_first():
    at = clock() - timedelta(hours=1)
    earlier, later = make_run(status="running", at=at), make_run(status="running")
    assert ids(page("status:running")) == [earlier, later]
    assert ids(page(f"status:running id:{earlier},{later}")) == [later, earlier]


def test_of_many_queued_runs_those_triggered_first_are_looked_at_and_it_says_so(monkeypatch):
    monkeypatch.setattr(walks, "EXAMINED", 3)
    made = [make_run() for _ in range(3)]
    assert page("status:queued").searched_all
    make_run()
    assert (ids(page("status:queued")), page("status:queued").searched_all) == (made, False)
    assert len(page("status:queued queue:default").runs) == 4
    assert count("status:queued").number == 4


def test_every_status_that_is_narrowed_is_cut_in_one_statement(statements, monkeypatch):
    monkeypatch.setattr(walks, "EXAMINED", 2)
    for status in FINAL:
        for tags in (["x"], [], []):
            make_run(status=status, tags=tags, at=clock() - timedelta(hours=1))
    text = "status:failed,completed,cancelled,expired tag:x"
    with statements() as sent:
        cut = page(text)
    assert (ids(cut), cut.searched_all, len(sent)) == ([], False, 5)
    monkeypatch.setattr(walks, "EXAMINED", 3)
    with statements() as sent:
        whole = page(text)
    assert (len(whole.runs), whole.searched_all, len(sent)) == (4, True, 6)


@pytest.mark.parametrize(("asked", "given"), [(1, 25), (25, 25), (30, 30), (10_000, 200)])
def test_a_page_has_25_to_200_runs(asked, given, monkeypatch):
    sizes = []
    monkeypatch.setattr(pages, "found", lambda sought, *, size, at: sizes.append(size))
    page("", size=asked)
    assert sizes == [given]


@pytest.mark.parametrize(
    ("text", "most"),
    [("", 2), ("status:failed", 2), ("status:queued,failed", 4), ("status:failed,completed", 3), ("-status:failed", 7),
     ("queue:default", 3), ("boom since:1h", 4), ("status:queued", 3), ("status:retrying", 4), ("status:running", 2),
     ("status:queued,retrying,scheduled", 5), ("-status:queued tag:x", 7)],
)  # fmt: skip
@pytest.mark.parametrize("size", [1, 40])
def test_a_page_costs_the_same_statements_however_long_it_is(text, most, size, statements):
    for n in range(size):
        make_run(status=EVERY[n % len(EVERY)])
    with statements() as sent:
        page(text)
    assert len(sent) <= most
    assert not [
        sql
        for sql in sent
        if "payload" in sql or (" OFFSET " in sql and f"OFFSET {walks.EXAMINED}" not in sql)
    ]


def test_a_search_that_takes_too_long_says_so(monkeypatch):
    if connection.vendor == "postgresql":
        monkeypatch.setattr(pages, "LIMIT", timedelta(milliseconds=50))
        slow = lambda *_, **__: connection.cursor().execute("SELECT pg_sleep(2)")  # noqa: E731
    else:

        def slow(*_, **__):
            raise OperationalError(1969, "Query execution was interrupted (max_statement_time exceeded)")

    make_run()
    with monkeypatch.context() as patch:
        patch.setattr(walks, "keys", slow)
        one = page("queue:default")
    assert (one.runs, one.stopped, one.text) == ([], True, "queue:default")
    assert len(page("").runs) == 1  # and the connection goes on


def test_another_refusal_of_the_database_is_no_slow_search(monkeypatch):
    def gone(*_, **__):
        raise OperationalError("the server is gone")

    monkeypatch.setattr(walks, "keys", gone)
    with pytest.raises(OperationalError):
        page("")


def test_a_text_is_sought_among_the_newest_so_many_and_it_says_so(monkeypatch):
    monkeypatch.setattr(walks, "EXAMINED", 3)
    old = make_run(queue="mail")
    for _ in range(2):
        make_run()
    assert (ids(page("queue:mail")), page("queue:mail").searched_all) == ([old], True)
    make_run()
    assert (ids(page("queue:mail")), page("queue:mail").searched_all) == ([], False)
    assert ids(page("status:queued queue:mail")) == [old]  # the outbox is small
    assert page(f"id:{old} queue:mail").searched_all


def test_unfinished_runs_are_counted_exactly_and_finished_ones_up_to_a_bound(monkeypatch):
    for status in EVERY:
        for _ in range(3):
            make_run(status=status)
    assert [str(count(f"status:{status}")) for status in EVERY] == ["3"] * 8
    assert str(count("")) == "24"
    assert str(count("status:queued,running,failed")) == "9"
    monkeypatch.setattr(counts, "MOST", 2)
    assert str(count("status:queued")) == "3"
    assert str(count("status:failed")) == "2+"
    assert count("status:queued,failed").or_more
    assert str(count("tag:none")) == "0"


def test_a_count_that_takes_too_long_is_not_known(monkeypatch):
    @contextmanager
    def bounded(limit):
        with store().atomic():
            raise OperationalError(1969, "Query execution was interrupted (max_statement_time exceeded)")
            yield

    monkeypatch.setattr(type(store()), "bounded", lambda self, limit, **_: bounded(limit))
    assert str(count("boom")) == "-"
