"""When a run is due, and when it is too late (docs: faults, S13, S14, F17)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from openqueue import RunExpired
from openqueue.core import transitions
from openqueue.models import Outbox, Run
from openqueue.processes.sweeps.due import Due
from openqueue.processes.sweeps.expiry import Expiry
from tests.app.tasks import add
from tests.store import fleet
from tests.store.fleet import START, Clock, FakeWorker, releases, retries, story

pytestmark = pytest.mark.django_db(transaction=True)
EAST = timezone(timedelta(hours=7))
SOON = START + timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("options", "status", "due"),
    [
        ({"run_at": datetime(1999, 1, 1, tzinfo=UTC)}, "queued", START),
        ({"run_at": START}, "queued", START),
        ({"run_at": SOON}, "scheduled", SOON),
        ({"run_at": datetime(9999, 12, 31, 12, tzinfo=UTC)}, "scheduled", datetime(9999, 12, 31, 12, tzinfo=UTC)),
        ({"delay": -5}, "queued", START),
        ({"delay": 0.001}, "scheduled", SOON),
        ({"delay": timedelta(days=365 * 99)}, "scheduled", START + timedelta(days=365 * 99)),
        # Of another zone; and naive, which is read in TIME_ZONE (Europe/Berlin here), as Django reads it.
        ({"run_at": datetime(2030, 1, 1, 9, tzinfo=EAST)}, "scheduled", START + timedelta(hours=2)),
        ({"run_at": datetime(2030, 7, 1, 12)}, "scheduled", datetime(2030, 7, 1, 10, tzinfo=UTC)),  # noqa: DTZ001
    ],
)  # fmt: skip
def test_a_run_is_due_when_it_was_told(clock: Clock, options: dict[str, Any], status: str, due: datetime):
    add.using(**options).trigger(1, 2)
    run, place = Run.objects.get(), Outbox.objects.get()
    assert (run.status, run.scheduled_for, place.due_at, place.ready) == (
        status,
        due,
        due,
        status == "queued",
    )


def test_a_time_to_live_without_end_and_a_due_time_without_end_go_together(clock: Clock):
    add.using(run_at=datetime(9999, 1, 1, tzinfo=UTC), ttl=3600).trigger(1, 2)
    assert Run.objects.get().expires_at == datetime(9999, 1, 1, 1, tzinfo=UTC)


def test_thousands_that_are_due_in_the_same_instant_are_all_found(clock: Clock, worker: FakeWorker):
    runs = fleet.make_run(clock, runs=3_000, task_id=add.id, delay=60.0)
    clock.pass_(60)
    due = Due(rouse=lambda: None)
    while due.step(clock.now):
        pass
    found: list[Any] = []
    while batch := worker.claim(500):
        found += [attempt.run_id for attempt in batch]
    assert sorted(found) == sorted(runs)
    assert len(set(found)) == 3_000


@pytest.mark.parametrize("passed", [5, 5.001, 3_600])
def test_a_run_that_is_too_late_is_never_begun_and_ends_expired(
    clock: Clock, worker: FakeWorker, passed: float
):
    handle = add.using(ttl=5).trigger(1, 2)
    clock.pass_(passed)
    assert worker.claim() == []
    assert worker.claim_named((handle.id, 1)).answers == {(handle.id, 1): "gone"}
    assert Expiry().step(clock.now) == 1
    assert (handle.refresh().status, story(handle.id)) == ("expired", ["triggered", "expired"])
    assert not Outbox.objects.exists()
    with pytest.raises(RunExpired):
        handle.wait(1)


def test_until_then_it_is_begun(clock: Clock, worker: FakeWorker):
    add.using(ttl=5).trigger(1, 2)
    clock.pass_(4.999)
    assert Expiry().step(clock.now) == 0
    assert len(worker.claim()) == 1


def test_its_time_begins_when_it_is_due_and_goes_on_while_it_is_given_back(clock: Clock, worker: FakeWorker):
    add.using(ttl=5, delay=60).trigger(1, 2)
    Due(rouse=lambda: None).step(clock.pass_(64))
    assert worker.settle(*map(releases, worker.claim())) == ["queued"]
    clock.pass_(1)
    assert worker.claim() == []
    assert transitions.expire(limit=9, now=clock.now) == [Run.objects.get().pk]


def test_what_has_begun_does_not_expire_between_its_attempts(clock: Clock, worker: FakeWorker):
    add.using(ttl=5).trigger(1, 2)
    worker.settle(*(retries(attempt, 60) for attempt in worker.claim()))
    Due(rouse=lambda: None).step(clock.pass_(60))
    assert transitions.expire(limit=9, now=clock.now) == []
    assert len(worker.claim()) == 1
