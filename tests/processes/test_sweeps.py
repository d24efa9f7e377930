"""Sweeps: each in its turn, in any number of copies, in bounded chunks."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.db import OperationalError

from openqueue.models import Outbox, Run, RunEvent, RunLog, RuntimeOffset
from openqueue.models import Worker as WorkerRow
from openqueue.processes.sweeps import retention
from openqueue.processes.sweeps.expiry import Expiry
from openqueue.processes.sweeps.reaper import Reaper
from openqueue.processes.sweeps.retention import Retention
from openqueue.processes.sweeps.sweeps import Sweeps, loops
from openqueue.store import store
from openqueue.types import LogLine
from tests.store import fleet
from tests.store.fleet import Clock, FakeWorker

pytestmark = pytest.mark.django_db


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_of_two_processes_one_takes_the_turn(clock: Clock):
    every = timedelta(seconds=5)
    assert store().take_turn("reap", every=every, now=clock.now)
    assert not store().take_turn("reap", every=every, now=clock.now)
    assert store().take_turn("other", every=every, now=clock.now)
    clock.pass_(4.9)
    assert not store().take_turn("reap", every=every, now=clock.now)
    clock.pass_(0.1)
    assert store().take_turn("reap", every=every, now=clock.now)
    assert not store().take_turn("reap", every=every, now=clock.now)


def test_a_clock_that_was_put_back_does_not_stop_the_sweeps(clock: Clock):
    assert store().take_turn("reap", every=timedelta(seconds=5), now=clock.now)
    clock.now -= timedelta(hours=1)
    assert store().take_turn("reap", every=timedelta(seconds=5), now=clock.now)


class Watch:
    """A monotonic clock that a test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000.0
        monkeypatch.setattr("openqueue.processes.sweeps.reaper.time.monotonic", lambda: self.now)


def dead_worker(clock: Clock) -> None:
    fleet.make_run(clock)
    FakeWorker(clock).claim()
    clock.pass_(31)


def test_a_reaper_acts_only_when_it_has_watched_for_two_heartbeats(clock: Clock, monkeypatch):
    watch = Watch(monkeypatch)
    dead_worker(clock)
    reaper = Reaper()
    assert reaper.step(clock.now) == 0
    watch.now += 19.9
    assert reaper.step(clock.now) == 0
    assert WorkerRow.objects.get().state == "running"
    watch.now += 0.2
    assert reaper.step(clock.now) == 1


def test_an_outage_makes_the_reaper_watch_anew(clock: Clock, monkeypatch):
    watch = Watch(monkeypatch)
    dead_worker(clock)
    reaper = Reaper()
    reaper.step(clock.now)
    watch.now += 30
    reaper.interrupted()
    assert reaper.step(clock.now) == 0
    watch.now += 20
    assert reaper.step(clock.now) == 1


def reaper_of(sweeps: Sweeps) -> Reaper:
    (reaper,) = (sweep for sweep in sweeps.sweeps if isinstance(sweep, Reaper))
    return reaper


@pytest.mark.parametrize("fails", ["take_turn", "flip_ready"])
def test_any_failed_contact_of_the_process_counts(clock: Clock, monkeypatch, fails: str):
    sweeps = Sweeps(only=["due", "reap"])
    sweeps.step(clock.now)
    assert reaper_of(sweeps).first_contact is not None

    def away(*_: object, **__: object) -> None:
        raise OperationalError("away")

    monkeypatch.setattr(store(), fails, away)
    sweeps.next_at = dict.fromkeys(sweeps.next_at, 0.0)
    with pytest.raises(OperationalError):
        sweeps.step(clock.now)
    assert reaper_of(sweeps).first_contact is None


def test_a_reaper_watches_also_while_others_take_the_turn(clock: Clock):
    sweeps = Sweeps(only=["reap"])
    assert store().take_turn("reap", every=timedelta(seconds=5), now=clock.now)
    sweeps.step(clock.now)
    assert reaper_of(sweeps).first_contact is not None


def test_sweeps_that_are_not_due_are_not_done(clock: Clock, monkeypatch):
    sweeps = Sweeps(only=["due"])
    done = []
    monkeypatch.setattr(sweeps.sweeps[0], "step", lambda now: done.append(now) or 0)
    sweeps.step(clock.now)
    sweeps.next_at = dict.fromkeys(sweeps.next_at, time.monotonic() + 100)
    sweeps.step(clock.now)
    assert len(done) == 1


def test_rows_fall_due_in_batches(clock: Clock):
    fleet.make_run(clock, runs=5, delay=1)
    clock.pass_(1)
    assert len(store().flip_ready(limit=3, now=clock.now)) == 3
    assert len(store().flip_ready(limit=3, now=clock.now)) == 2
    assert store().flip_ready(limit=3, now=clock.now) == []
    assert Outbox.objects.filter(ready=True).count() == 5


def test_what_was_not_started_in_time_expires(clock: Clock):
    run, other = fleet.make_run(clock, ttl=5), fleet.make_run(clock, ttl=50)
    clock.pass_(5)
    assert Expiry().step(clock.now) == 1
    assert dict(Run.objects.values_list("pk", "status")) == {run: "expired", other: "queued"}


# --- retention ----------------------------------------------------------------------------------------------------


def finished(clock: Clock, ending=fleet.completes, *, runs: int = 1) -> None:
    worker = FakeWorker(clock)
    fleet.make_run(clock, runs=runs)
    attempts = worker.claim()
    store().note(progress=[], logs=[LogLine(a.run_id, 1, 20, "hello", 0) for a in attempts], now=clock.now)
    worker.settle(*(ending(attempt) for attempt in attempts))


def test_history_past_its_time_is_deleted_with_all_that_belongs_to_it(clock: Clock):
    finished(clock)
    clock.pass_(29 * 86_400)
    assert Retention().step(clock.now) == 0
    clock.pass_(86_401)
    Retention().step(clock.now)
    assert (Run.objects.count(), RunEvent.objects.count(), RunLog.objects.count()) == (0, 0, 0)


def test_each_outcome_has_its_own_time(clock: Clock):
    finished(clock)
    finished(clock, fleet.fails)
    clock.pass_(31 * 86_400)
    Retention().step(clock.now)
    assert [run.status for run in Run.objects.all()] == ["failed"]
    assert RunLog.objects.count() == 0, "logs have theirs"
    clock.pass_(60 * 86_400)
    Retention().step(clock.now)
    assert not Run.objects.exists()


def test_an_unfinished_run_is_never_deleted(clock: Clock):
    fleet.make_run(clock)
    finished(clock, fleet.retries)
    fleet.make_run(clock, delay=10)
    FakeWorker(clock).claim(1)
    clock.pass_(1_000 * 86_400)
    Retention().step(clock.now)
    assert Run.objects.count() == 3


def test_none_keeps_for_ever(clock: Clock, settings):
    settings.OPENQUEUE = {"RETENTION": {"completed": None, "logs": None}}
    finished(clock)
    clock.pass_(10_000 * 86_400)
    Retention().step(clock.now)
    assert (Run.objects.count(), RunLog.objects.count()) == (1, 1)


def test_deleting_goes_in_chunks(clock: Clock, monkeypatch):
    monkeypatch.setattr(retention, "CHUNK", 4)
    finished(clock, runs=10)
    clock.pass_(31 * 86_400)
    assert store().prune("completed", before=clock.now, limit=4) == 4
    assert Run.objects.count() == 6
    Retention().step(clock.now)
    assert not Run.objects.exists()


def test_workers_that_ended_long_ago_are_forgotten(clock: Clock):
    ended, holding, alive = FakeWorker(clock), FakeWorker(clock), FakeWorker(clock)
    fleet.make_run(clock)
    holding.claim()
    store().resign(ended.id)
    store().declare_lost(holding.id)
    clock.pass_(86_400 + 31)
    Retention().step(clock.now)
    assert set(WorkerRow.objects.values_list("pk", flat=True)) == {holding.id, alive.id}


def test_places_of_replays_go_a_month_after_their_last_one_was_through(clock: Clock):
    def begin(reader: str, source: str) -> RuntimeOffset:
        return RuntimeOffset.objects.create(
            reader=reader, source=source, position="1", until="9", plan={}, tally={}, started_at=clock.now,
            moved_at=clock.now,
        )  # fmt: skip

    through, standing = begin("replay a-1", "runs"), begin("replay b-1", "topic 0")
    begin("replay b-1", "topic 1")
    RuntimeOffset.objects.filter(pk__in=[through.pk, standing.pk]).update(finished_at=clock.now)
    clock.pass_(30 * 86_400)
    Retention().step(clock.now)
    assert RuntimeOffset.objects.count() == 3
    clock.pass_(1)
    Retention().step(clock.now)
    assert set(RuntimeOffset.objects.values_list("reader", "source")) == {
        ("replay b-1", "topic 0"),
        ("replay b-1", "topic 1"),
    }, "one that can be gone on with keeps all its places"
    RuntimeOffset.objects.update(finished_at=clock.now - timedelta(days=31))
    Retention().step(clock.now)
    assert not RuntimeOffset.objects.exists()


def test_a_broker_that_takes_long_to_answer_holds_up_no_other_sweep(settings):
    assert set(loops()) == {"sweeps"}
    settings.OPENQUEUE = {
        "RUNTIMES": {"default": {"BACKEND": "openqueue.runtimes.memory.MemoryRuntime"}},
    }
    assert set(loops()) == {"sweeps", "announce"}
    assert set(loops(only=["announce"])) == {"announce"}
    assert set(loops(only=["reap", "due"])) == {"sweeps"}


def test_an_idle_loop_sleeps_until_the_next_sweep_is_due(clock: Clock):
    sweeps = Sweeps(only=["due", "reap", "expiry"])
    for _ in range(4):
        sweeps.next_at = dict.fromkeys(sweeps.next_at, 0.0)
        sweeps.step(clock.now)
    assert 0.4 < sweeps.pause() <= 0.5
    fleet.make_run(clock, delay=1)
    clock.pass_(1)
    sweeps.next_at = dict.fromkeys(sweeps.next_at, 0.0)
    sweeps.step(clock.now)
    assert sweeps.pause() < 0.15


def test_what_falls_due_rouses_the_announcing_sweep_of_the_process(clock: Clock):
    roused = []
    sweeps = Sweeps(only=["due"], rouse=lambda: roused.append(True))
    fleet.make_run(clock, delay=1)
    sweeps.step(clock.now)
    assert not roused
    clock.pass_(1)
    sweeps.next_at = dict.fromkeys(sweeps.next_at, 0.0)
    sweeps.step(clock.now)
    assert roused
