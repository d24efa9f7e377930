from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from openqueue.models import Claim, Outbox, Run, RunEvent
from openqueue.store import store
from tests.store.fleet import Clock, FakeWorker, events, make_run, retries, story

pytestmark = pytest.mark.django_db


@pytest.fixture
def clock() -> Clock:
    return Clock()


def move(clock: Clock, queue: str = "default", *, to: str = "new") -> tuple[int, int]:
    return store().move(queue, runtime=to, actor="ada", now=clock.now)


def place(run: Any) -> dict[str, Any]:
    return Outbox.objects.filter(run_id=run).values().get()


def test_what_waits_is_a_new_announcement_on_the_other_runtime(clock):
    run = make_run(clock, priority=5)
    Outbox.objects.update(
        announced_at=clock.now, broker_ref="1-0", tries=3, last_error="refused",
        announce_at=clock.now + timedelta(seconds=60),
    )  # fmt: skip
    clock.pass_(10)
    assert move(clock) == (1, 0)
    row = place(run)
    assert (row["runtime"], row["seq"], row["ready"], row["priority"]) == ("new", 2, True, 5)
    assert (row["announced_at"], row["broker_ref"], row["tries"], row["last_error"]) == (None, None, 0, None)
    assert row["announce_at"] == clock.now
    made = Run.objects.get(pk=run)
    assert (made.runtime, made.version, made.status) == ("new", 2, "queued")
    (event,) = events(run, "moved")
    assert (event.version, event.actor, event.data) == (2, "ada", {"from": "default", "to": "new"})
    assert event.at == clock.now


def test_the_message_of_before_is_gone_and_the_new_one_is_claimed(clock):
    run, worker = make_run(clock), FakeWorker(clock)
    move(clock)
    assert worker.claim_named((run, 1)).answers == {(run, 1): "gone"}
    assert worker.claim_named((run, 2)).answers == {(run, 2): "claimed"}
    assert story(run) == ["triggered", "moved", "started"]


def test_what_is_due_later_stays_due_then_and_what_fell_due_meanwhile_is_ready(clock):
    late, soon = make_run(clock, delay=100.0), make_run(clock, delay=5.0)
    due_at = place(late)["due_at"]
    clock.pass_(10)
    move(clock)
    assert (place(late)["ready"], place(late)["announce_at"]) == (False, due_at)
    assert (place(soon)["ready"], place(soon)["announce_at"]) == (True, clock.now)
    assert Run.objects.get(pk=late).status == "scheduled"


def test_what_runs_keeps_its_claim_and_waits_for_its_next_attempt_there(clock):
    run, worker = make_run(clock), FakeWorker(clock)
    (attempt,) = worker.claim()
    assert move(clock) == (0, 1)
    assert Claim.objects.get().token == attempt.token
    assert worker.settle(retries(attempt)) == ["retrying"]
    assert place(run)["runtime"] == "new"
    assert story(run) == ["triggered", "started", "retrying"]


def test_other_queues_and_finished_runs_stay_where_they_are(clock):
    other, gone = make_run(clock, queue="other"), make_run(clock)
    Outbox.objects.filter(run_id=gone).delete()
    before = RunEvent.objects.count()
    assert move(clock) == (0, 0)
    assert {Run.objects.get(pk=run).runtime for run in (other, gone)} == {"default"}
    assert RunEvent.objects.count() == before


def test_moved_again_nothing_changes(clock):
    run = make_run(clock)
    move(clock)
    assert move(clock) == (0, 0)
    assert place(run)["seq"] == 2
    assert move(clock, to="default") == (1, 0)
    assert place(run)["seq"] == 3


def test_what_has_a_time_to_live_keeps_it(clock):
    run = make_run(clock, ttl=60.0)
    before = place(run)["expires_at"]
    move(clock)
    assert place(run)["expires_at"] == before


@pytest.mark.parametrize("size", [1, 100])
def test_a_move_costs_the_same_whatever_waits(size, clock, django_assert_num_queries):
    make_run(clock, runs=size + 1)
    FakeWorker(clock).claim(1)
    savepoint = 2
    with django_assert_num_queries(1 if connection.vendor == "postgresql" else savepoint + 7):
        assert move(clock) == (size, 1)
