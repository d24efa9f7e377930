"""Rows that wait: what a mark hits, what ends them, and how a new cycle begins."""

from __future__ import annotations

import pytest

from openqueue.core import transitions
from openqueue.models import Outbox, Run, RunEvent
from openqueue.states import Reason
from openqueue.store import store
from tests.store import fleet
from tests.store.fleet import Clock, FakeWorker

pytestmark = pytest.mark.django_db


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.mark.parametrize(("seq", "tries"), [(1, 1), (2, 0)], ids=["leased since", "changed since"])
def test_a_mark_of_another_announcement_hits_nothing(clock: Clock, seq: int, tries: int):
    run = fleet.make_run(clock)
    before = Outbox.objects.values().get()
    assert store().mark_announced([(run, seq, tries, "ref", None, 60.0)], now=clock.now) == 0
    assert Outbox.objects.values().get() == before
    assert store().mark_announced([(run, 1, 0, "ref", None, 60.0)], now=clock.now) == 1
    row = Outbox.objects.get()
    assert (row.announced_at, row.broker_ref) == (clock.now, "ref")


def test_a_row_that_changed_since_it_was_looked_at_is_not_ended(clock: Clock):
    run = fleet.make_run(clock)
    facts = {"reason": Reason.UNKNOWN_TASK, "message": "who?", "now": clock.now}
    assert transitions.refuse([(run, 2)], **facts) == []
    assert Run.objects.get().status == "queued"
    assert transitions.refuse([(run, 1)], **facts) == [run]
    assert not Outbox.objects.exists()


def test_a_retry_by_an_operator_begins_anew(clock: Clock):
    run = fleet.make_run(clock)
    Run.objects.update(crash_count=2)
    worker = FakeWorker(clock)
    (attempt,) = worker.claim()
    worker.settle(fleet.fails(attempt))
    assert [row[0] for row in transitions.requeue([run], actor="me", head_start=0.0, now=clock.now)] == [run]
    row = Run.objects.get()
    assert (row.status, row.cycle, row.attempt, row.crash_count) == ("queued", 2, 0, 0)
    assert (row.error, row.outcome, row.started_at, row.finished_at) == (None, None, None, None)
    assert RunEvent.objects.get(kind="requeued").data["status"] == "failed"
    assert Outbox.objects.get().attempt == 1
