from __future__ import annotations

from datetime import timedelta

import pytest

from openqueue.control import run_context, run_lines, run_watch, runs, tracebacks
from openqueue.control.actor import Actor
from openqueue.control.callers import Caller
from openqueue.control.run_facts import RunFacts
from openqueue.control.search import page, read, tallies, walks
from openqueue.control.search.pages import found
from openqueue.models import Outbox, Run
from openqueue.states import Status
from tests.control.builders import clock, make_run, make_worker

pytestmark = pytest.mark.django_db
EVERYBODY = Caller.operator(Actor(name="ada"))


def facts(run) -> RunFacts:
    return RunFacts.of(runs.read(run))


def test_a_place_in_the_queue_is_by_priority_then_by_time_and_ends_at_a_bound(monkeypatch):
    at = clock()
    made = [make_run(at=at - timedelta(seconds=n)) for n in range(4)]
    Outbox.objects.filter(run_id=made[0]).update(priority=50)
    Run.objects.filter(pk=made[0]).update(priority=50)
    ahead = [run_context.place(facts(run)) for run in made]
    assert [place.ahead for place in ahead] == [0, 3, 2, 1]
    assert ahead[0].queued == 4
    monkeypatch.setattr(run_context, "MOST_AHEAD", 2)
    monkeypatch.setattr(run_context, "MOST_QUEUED", 3)
    last = run_context.place(facts(made[1]))
    assert (last.ahead, last.queued) == (2, 3)


def test_a_place_takes_two_statements_and_what_surrounds_a_run_one(statements):
    run = make_run()
    known = facts(run)
    with statements() as asked:
        run_context.place(known)
    assert len(asked) == 2
    with statements() as asked:
        run_context.read(run, caller=EVERYBODY)
    assert len(asked) == 1


def test_what_runs_has_no_place():
    assert run_context.place(facts(make_run(status="running", worker=make_worker()))) is None


def test_a_queue_is_served_by_a_live_worker_that_has_it():
    run = facts(make_run(queue="mail"))
    make_worker(queues=["default"])
    assert not run_context.is_served(run, clock=clock())
    make_worker(queues=["mail"])
    assert run_context.is_served(run, clock=clock())
    assert not run_context.is_served(run, clock=clock() + timedelta(hours=1))


def test_lines_of_many_runs_take_one_statement(statements):
    made = [facts(make_run(status=status)) for status in ("failed", "queued", "completed") for _ in range(5)]
    with statements() as asked:
        lines = run_lines.read(made, caller=EVERYBODY)
    assert len(asked) == 1
    assert [line.error for line in lines] == ["ValueError: no such order"] * 5 + [""] * 10


@pytest.mark.parametrize("length", [5, 990, 997, 998, 999, 1_000, 5_000])
def test_an_error_is_read_from_its_beginning_wherever_that_is_cut(length):
    run = make_run(status="failed")
    message = 'quote " and \\ and é\n' * length
    Run.objects.filter(pk=run).update(error={"type": "Err", "message": message[:length], "traceback": "x"})
    (line,) = run_lines.read([facts(run)], caller=EVERYBODY)
    assert line.error.startswith("Err: quote")
    assert "traceback" not in line.error
    assert line.error.rstrip("…")[5:] in message


def test_an_open_list_counts_what_came_since_whatever_its_order():
    for text in ("", "status:completed"):
        make_run(status="completed", at=clock() - timedelta(minutes=5))
        shown, sought = page(text), read(text)
        first = shown.runs[0]
        assert run_watch.since(sought, [first.id], mark=shown.mark, caller=EVERYBODY).new == 0
        make_run(status="completed", at=clock() - timedelta(minutes=1))
        now = run_watch.since(sought, [first.id], mark=shown.mark, caller=EVERYBODY)
        assert (now.new, [run.id for run in now.runs]) == (1, [first.id])
        assert run_watch.since(read("queue:other"), [], mark=shown.mark, caller=EVERYBODY).new == 0


@pytest.mark.parametrize("status", ["queued", "scheduled", "running"])
def test_where_the_earliest_comes_first_new_runs_come_behind_the_last(status):
    at = clock() - timedelta(minutes=5)
    for _ in range(3):
        make_run(status=status, at=at)
    sought = read(f"status:{status}")
    first, whole = found(sought, size=2), found(sought, size=3)
    assert (first.mark, bool(first.older)) == ("", True)  # they are on the next page
    make_run(status=status, at=at + timedelta(minutes=1))
    watched = run_watch.since(sought, [run.id for run in whole.runs], mark=whole.mark, caller=EVERYBODY)
    assert watched.new == 1


def test_searches_are_counted_in_one_statement_up_to_a_bound(statements, monkeypatch):
    for status in Status:
        make_run(status=status)
    make_run(status="failed", queue="mail")
    asked_for = [read(f"status:{status}") for status in Status] + [read("queue:mail"), read("tag:none")]
    with statements() as asked:
        found = tallies.each(asked_for)
    assert len(asked) == 1
    numbers = {str(status): one.number for status, one in zip(Status, found, strict=False)}
    assert numbers == {str(status): 2 if status == "failed" else 1 for status in Status}
    assert [one.number for one in found[-2:]] == [1, 0]
    monkeypatch.setattr(tallies, "MOST", 1)
    assert str(tallies.each([read("status:failed")])[0]) == "1+"
    monkeypatch.setattr(walks, "EXAMINED", 1)
    assert tallies.each([read("queue:default")])[0].number == 0


def test_frames_of_the_project_are_told_from_those_of_libraries():
    found = tracebacks.frames(
        "Traceback (most recent call last):\n"
        '  File "/srv/shop/orders.py", line 42, in charge\n    pay(order)\n    ~~~^^^^^^^\n'
        '  File "/venv/lib/python3.13/site-packages/pay.py", line 7, in pay\n    raise Declined\n'
        "pay.Declined: no\n"
    )
    assert found.own == ['File "/srv/shop/orders.py", line 42, in charge\n  pay(order)']
    assert found.libraries == 1
    assert tracebacks.frames("no traceback at all").own == []
