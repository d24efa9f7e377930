"""Rows whose message was received and whose run was not claimed: when they are tried again, and how often at most."""

from __future__ import annotations

from datetime import timedelta

import pytest

from openqueue.models import Outbox, QueueState
from openqueue.store import store
from openqueue.types import Announcement
from tests.store import fleet
from tests.store.fleet import TASK, Clock, FakeWorker

pytestmark = pytest.mark.django_db


@pytest.fixture
def clock() -> Clock:
    return Clock()


def lease(clock: Clock) -> Announcement:
    """Lease the only row when its time has come."""
    clock.now = max(clock.now, Outbox.objects.get().announce_at)
    ((leased, _, _),) = store().lease_announcements(runtime="broker", rooms={"q": 5}, now=clock.now)
    return leased


def seconds_left(clock: Clock) -> float:
    return (Outbox.objects.get().announce_at - clock.now).total_seconds()


@pytest.mark.parametrize("why", ["no_slot", "paused", "later"])
def test_what_was_put_back_through_no_fault_of_its_own_is_tried_as_if_for_the_first_time(
    clock: Clock, why: str
):
    run = fleet.make_run(clock, runtime="broker", queue="q")
    worker = FakeWorker(clock, full=[TASK] if why == "no_slot" else [])
    for _ in range(12):
        leased = lease(clock)
        if why == "paused":
            QueueState.objects.create(name="q", paused=True)
        if why == "later":
            Outbox.objects.update(ready=False, due_at=clock.now + timedelta(seconds=1))
        worker.claim_named((run, 1))
        QueueState.objects.all().delete()
        Outbox.objects.update(ready=True, due_at=clock.now)
    assert (leased.tries, leased.unheard) == (23, 1)
    assert store().mark_announced([(run, 1, 23, "ref", None, 60.0)], now=clock.now) == 0, (
        "a mark that is too late"
    )
    lease(clock)
    assert seconds_left(clock) == 1, "no back-off of tries that were heard of"
    result = FakeWorker(clock, known=[]).claim_named((run, 1))
    assert ([one.unheard for one in result.deferred], seconds_left(clock)) == ([2], 2)


def test_a_task_that_nobody_knows_is_tried_later_each_time(clock: Clock):
    run = fleet.make_run(clock, runtime="broker", queue="q")
    stranger = FakeWorker(clock, known=[])
    leases, waits = [], []
    for _ in range(4):
        leases.append(lease(clock).unheard)
        stranger.claim_named((run, 1))
        waits.append(seconds_left(clock))
    assert (leases, waits) == ([1, 3, 5, 7], [2, 8, 32, 128])
