from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.db import connection

from openqueue.control.run_list import Wanted, find
from openqueue.control.search import read, walks
from openqueue.control.search.orders import Order
from openqueue.states import FINAL, Status
from openqueue.store import store
from tests.app.tasks import add
from tests.control.builders import clock, log_in, make_run

pytestmark = pytest.mark.django_db
STATUSES = [status.value for status in Status if status is not Status.WAITING]
"""Those that a run comes to without a flow."""


def ids(**wanted):
    return [run.id for run in find(Wanted(**wanted)).runs]


@pytest.mark.parametrize("status", STATUSES)
def test_runs_of_a_status_are_found_those_first_that_ended_last_or_are_due_or_started_first(status):
    made = {other: [make_run(status=other), make_run(status=other)] for other in STATUSES}
    found = find(Wanted(status=status))
    assert [run.id for run in found.runs] == made[status][:: -1 if status in FINAL else 1]
    assert {run.status for run in found.runs} == {status}


def test_without_a_status_all_runs_are_found_newest_first():
    made = [make_run(status=status) for status in STATUSES]
    assert ids() == made[::-1]


@pytest.mark.parametrize("status", ["scheduled", "retrying"])
def test_a_run_whose_time_has_come_is_queued_to_the_reader_and_nothing_is_written(status):
    run = make_run(status=status)
    store().flip_ready(limit=10, now=clock() + timedelta(hours=2))
    assert ids(status=status) == []
    assert ids(status="queued") == [run]
    assert [line.status for line in find(Wanted()).runs] == ["queued"]


@pytest.mark.parametrize("status", [None, "queued", "running", "failed"])
def test_queue_task_and_tag_narrow_the_list(status):
    state = status or "queued"
    make_run(status=state)
    wanted = make_run(
        status=state, task=log_in, payload={"user": "ada", "password": "x"}, queue="email", tags=["a", "vip"]
    )
    assert ids(status=status, queue="email") == [wanted]
    assert ids(status=status, task_id="tests.log_in") == [wanted]
    assert ids(status=status, tag="vip") == [wanted]
    assert ids(status=status, queue="email", task_id="tests.log_in", tag="a") == [wanted]
    assert ids(status=status, queue="email", tag="b") == []


@pytest.mark.parametrize("tag", ["VIP", "v", "v%", "v_p", "vi", "ü", 'a"b'])
def test_a_tag_is_found_whole_and_as_it_is_written(tag):
    make_run(tags=["vip", "vüp", 'a"bc'])
    wanted = make_run(tags=["other", tag])
    assert ids(tag=tag) == [wanted]


def test_since_is_a_moment_or_how_long_ago():
    make_run(at=clock() - timedelta(hours=3))
    make_run(at=clock() - timedelta(hours=3), status="running")
    recent = make_run()
    assert ids(since=timedelta(hours=1)) == [recent]
    assert ids(since=clock() - timedelta(hours=1), status="queued") == [recent]
    assert ids(since=timedelta(hours=1), status="running") == []


def test_with_a_final_status_since_is_about_the_end():
    long = make_run(status="completed", at=clock() - timedelta(hours=3), seconds=3 * 3_600 - 5)
    make_run(status="completed", at=clock() - timedelta(hours=3))
    assert ids(since=timedelta(hours=1), status="completed") == [long]


def test_the_limit_keeps_the_newest():
    made = [make_run() for _ in range(3)]
    assert ids(limit=2) == made[:0:-1]


@pytest.mark.parametrize(
    ("status", "number"), [(None, 2), ("queued", 3), ("scheduled", 4), ("running", 2), ("completed", 2)]
)
@pytest.mark.parametrize("size", [1, 20])
def test_a_list_costs_two_statements_or_four_however_long_it_is(status, number, size, statements):
    for _ in range(size):
        make_run(status=status or "running")
    with statements() as sent:
        assert len(find(Wanted(status=status)).runs) == size
    assert len(sent) == number


def test_large_columns_stay_where_they_are(statements):
    make_run(status="completed")
    with statements() as sent:
        find(Wanted(status="completed"))
    assert sent
    assert not [sql for sql in sent if re.search("payload|result", sql)]


@pytest.mark.parametrize("status", [None, "completed"])
def test_a_search_that_no_index_serves_ends_after_so_many_runs_and_says_so(status, monkeypatch):
    monkeypatch.setattr(walks, "EXAMINED", 3)
    old = make_run(status="completed", queue="email")
    newer = [make_run(status="completed") for _ in range(2)]
    found = find(Wanted(status=status, queue="email"))
    assert [run.id for run in found.runs] == [old]
    assert found.searched_all
    newer.append(make_run(status="completed"))
    found = find(Wanted(status=status, queue="email"))
    assert (found.runs, found.searched_all) == ([], False)
    assert len(find(Wanted(status=status, queue="default")).runs) == 3


@pytest.mark.parametrize(
    ("status", "index"),
    [
        ("failed", "openqueue_run_finished"),
        (None, "openqueue_run_pkey|sqlite_autoindex_openqueue_run|PRIMARY"),
    ],
)
def test_history_is_read_through_an_index_in_its_order(status, index):
    (branch,) = walks.branches(read(f"status:{status}" if status else ""))
    rows = branch.rows.order_by(*(f"-{column}" for column in branch.columns))
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:  # the tables are nearly empty here
            cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
            cursor.execute("SET LOCAL enable_sort = off")
    plan = rows.values_list("pk")[:50].explain()
    assert re.search(index, plan)
    # Those that ended at the same instant are put in the order of their ids.
    whole = plan.lower().replace("incremental sort", "").replace("sort key", "").replace("presorted", "")
    assert not re.search(r"sort\b|temp b-tree for order by", whole)


@pytest.mark.parametrize(
    ("status", "place"), [("queued", "outbox"), ("scheduled", "outbox"), ("running", "claim")]
)
def test_what_is_unfinished_is_read_from_the_small_tables_in_the_order_of_their_key(status, place):
    (branch,) = walks.branches(read(f"status:{status}"))
    rows = branch.rows.order_by("-pk")
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:  # the tables are nearly empty here
            cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
            cursor.execute("SET LOCAL enable_sort = off; SET LOCAL enable_hashjoin = off")
    plan = rows.values_list("run_id")[:50].explain()
    assert not re.search("Seq Scan on openqueue_run|SCAN openqueue_run|openqueue_run ALL", plan)
    if connection.vendor != "mysql":  # which sorts the few rows that there are
        assert re.search(f"openqueue_{place}_pkey|sqlite_autoindex_openqueue_{place}", plan)
        assert not re.search("sort|temp b-tree", plan.lower())


def test_what_is_delayed_is_read_in_the_order_of_its_due_time_from_the_index_that_has_it():
    # In an empty outbox every index costs the same: what waits for nothing is not worth walking through.
    add.trigger_many([{"a": number, "b": 2} for number in range(500)])
    free, limited = walks.branches(read("status:scheduled,retrying"), order=Order.DUE)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:  # the tables are nearly empty here
            cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
            cursor.execute("SET LOCAL enable_hashjoin = off")
    for branch, index in ((free, "openqueue_outbox_later"), (limited, "openqueue_outbox_waits")):
        plan = branch.rows.order_by(*branch.columns).values_list("run_id")[:50].explain()
        assert re.search(index, plan), plan
