"""Runs that wait are made due, or get another priority; what was announced of them before is gone."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from openqueue.core import permits, precedence, transitions
from openqueue.models import Outbox, Run, RunEvent
from openqueue.store import store
from tests.store import fleet, history
from tests.store.fleet import START, Clock, FakeWorker

pytestmark = pytest.mark.django_db


@pytest.fixture
def clock() -> Clock:
    return Clock()


def statements(captured: CaptureQueriesContext) -> int:
    return sum(not (q["sql"] or "").startswith(("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE")) for q in captured)


def test_a_promoted_run_is_due_at_once(clock):
    run = fleet.make_run(clock, delay=3_600)
    clock.pass_(10)
    assert precedence.promote([run], actor="ada", now=clock.now) == [run]
    row = Run.objects.get()
    assert (row.status, row.scheduled_for) == ("queued", clock.now)
    place = Outbox.objects.get()
    assert (place.due_at, place.ready, place.seq, place.announce_at) == (clock.now, True, 2, clock.now)
    event = RunEvent.objects.last()
    due = (START + timedelta(hours=1)).isoformat()
    assert (event.kind, event.actor, event.data) == ("promoted", "ada", {"due_at": due})
    history.verify()
    assert [attempt.run_id for attempt in FakeWorker(clock).claim()] == [run]


def test_a_run_between_two_attempts_is_promoted_to_its_next_one(clock):
    run = fleet.make_run(clock)
    worker = FakeWorker(clock)
    worker.settle(fleet.retries(*worker.claim(), 3_600))
    assert precedence.promote([run], actor="ada", now=clock.now) == [run]
    assert Run.objects.get().status == "retrying"
    (attempt,) = worker.claim()
    assert attempt.attempt == 2
    history.verify()


def test_what_is_left_of_a_time_to_live_is_left_from_the_promotion_on(clock):
    fleet.make_run(clock, delay=3_600, ttl=60)
    (run,) = Run.objects.all()
    clock.pass_(10)
    precedence.promote([run.pk], actor="ada", now=clock.now)
    run.refresh_from_db()
    place = Outbox.objects.get()
    assert run.expires_at == place.expires_at == clock.now + timedelta(seconds=60)


def test_what_does_not_wait_for_a_moment_is_not_promoted(clock):
    due = fleet.make_run(clock)
    running = fleet.make_run(clock)
    worker = FakeWorker(clock)
    worker.claim_named((running, 1))
    assert precedence.promote([due, running, uuid4()], actor="ada", now=clock.now) == []
    assert Outbox.objects.get().seq == 1
    assert not RunEvent.objects.filter(kind="promoted").exists()


def test_a_run_that_was_let_wait_for_a_permit_is_promoted_to_waiting_for_it(clock):
    run = fleet.make_run(clock, delay=3_600, concurrency_key="customer:7")
    precedence.promote([run], actor="ada", now=clock.now)
    place = Outbox.objects.get()
    assert (place.due_at, place.ready, place.waits_for) == (clock.now, False, "customer:7")
    assert [row.run_id for row in permits.admit(["customer:7"], now=clock.now)] == [run]
    assert Outbox.objects.get().ready


def test_a_new_priority_decides_who_is_claimed_first(clock):
    first, second = fleet.make_run(clock, runs=2)
    assert precedence.prioritise([second], priority=9, actor="ada", now=clock.now) == [second]
    assert Run.objects.get(pk=second).priority == 9
    event = RunEvent.objects.last()
    assert (event.kind, event.actor, event.data) == ("prioritised", "ada", {"from": 0, "to": 9})
    history.verify()
    worker = FakeWorker(clock)
    assert [attempt.run_id for attempt in worker.claim(1)] == [second]
    assert [attempt.run_id for attempt in worker.claim(1)] == [first]


def test_who_has_the_priority_already_is_left_alone(clock):
    run = fleet.make_run(clock, priority=5)
    assert precedence.prioritise([run], priority=5, actor="ada", now=clock.now) == []
    assert Outbox.objects.get().seq == 1


def test_a_delayed_run_of_another_priority_stays_delayed(clock):
    run = fleet.make_run(clock, delay=60)
    precedence.prioritise([run], priority=5, actor="ada", now=clock.now)
    place = Outbox.objects.get()
    due = START + timedelta(seconds=60)
    assert (place.due_at, place.announce_at, place.ready, place.priority) == (due, due, False, 5)
    assert Run.objects.get().status == "scheduled"


def test_turns_at_a_limit_follow_the_priority_and_turns_in_an_order_do_not(clock):
    limited = fleet.make_run(clock, concurrency_key="customer:7")
    ordered = fleet.make_run(clock, ordering_key="cart:1", concurrency_key="customer:7")
    precedence.prioritise([limited, ordered], priority=5, actor="ada", now=clock.now)
    turns = {row.run_id: (row.turn, row.ready) for row in Outbox.objects.all()}
    assert turns == {limited: (-5, False), ordered: (0, False)}


def test_one_that_was_let_through_its_limit_needs_no_second_permit(clock):
    run = fleet.make_run(clock, concurrency_key="customer:7")
    permits.admit(["customer:7"], now=clock.now)
    precedence.prioritise([run], priority=5, actor="ada", now=clock.now)
    place = Outbox.objects.get()
    assert (place.ready, place.waits_for, place.turn) == (True, None, None)


@pytest.mark.parametrize("act", ["promote", "prioritise"])
def test_what_was_announced_before_is_gone(clock, act):
    run = fleet.make_run(clock, delay=1)
    clock.pass_(2)
    store().flip_ready(limit=9, now=clock.now)
    worker = FakeWorker(clock)
    if act == "promote":
        worker.settle(fleet.retries(*worker.claim(), 60))
        precedence.promote([run], actor="ada", now=clock.now)
    else:
        precedence.prioritise([run], priority=1, actor="ada", now=clock.now)
    seq = Outbox.objects.get().seq
    assert worker.claim_named((run, seq - 1)).answers == {(run, seq - 1): "gone"}
    assert worker.claim_named((run, seq)).answers == {(run, seq): "claimed"}


def test_a_mark_of_the_announcement_before_hits_nothing(clock):
    run = fleet.make_run(clock)
    precedence.prioritise([run], priority=1, actor="ada", now=clock.now)
    store().mark_announced([(run, 1, 0, "ref", None, 60.0)], now=clock.now)
    assert Outbox.objects.get().announced_at is None


def test_a_run_on_a_runtime_that_keeps_no_priorities_keeps_its_own(clock, settings):
    settings.OPENQUEUE = {
        "RUNTIMES": {
            "default": {"BACKEND": "openqueue.runtimes.database.DatabaseRuntime"},
            "plain": {"BACKEND": "tests.store.plain.PlainRuntime"},
        }
    }
    there = fleet.make_run(clock, runtime="plain")
    assert precedence.prioritise([there], priority=5, actor="ada", now=clock.now) == []
    assert Outbox.objects.get().priority == 0
    here = fleet.make_run(clock)
    assert precedence.prioritise([there, here], priority=5, actor="ada", now=clock.now) == [here]


@pytest.mark.parametrize("act", ["promote", "prioritise"])
def test_a_thousand_cost_a_fixed_number_of_statements(clock, act):
    def acted(runs: int) -> int:
        made = fleet.make_run(clock, runs=runs, delay=60, ttl=60)
        made = made if runs > 1 else [made]
        with CaptureQueriesContext(connection) as captured:
            if act == "promote":
                assert len(precedence.promote(made, actor="ada", now=clock.now)) == runs
            else:
                assert len(precedence.prioritise(made, priority=5, actor="ada", now=clock.now)) == runs
        return statements(captured)

    few, many = acted(1), acted(1_000)
    # Beyond those of one: values of their own go to 500 rows a statement, on SQLite to as many as it takes parameters.
    assert few <= 9
    assert many <= few + {"sqlite": 40}.get(connection.vendor, 2)


def test_the_retry_of_a_promoted_run_starts_like_any_other(clock):
    run = fleet.make_run(clock, delay=60)
    precedence.promote([run], actor="ada", now=clock.now)
    worker = FakeWorker(clock)
    worker.settle(fleet.fails(*worker.claim()))
    transitions.requeue([run], actor="ada", head_start=0, now=clock.now)
    assert Run.objects.get().status == "queued"
    history.verify()
