"""A reaper trusts nobody's silence that may have been its own: outages that raise no error."""

from __future__ import annotations

import time

import pytest
from django.db import OperationalError

from openqueue.models import Worker
from openqueue.processes.loop import Loop
from openqueue.processes.sweeps.reaper import Reaper
from openqueue.processes.sweeps.sweeps import Sweeps
from openqueue.store import store
from tests.store import fleet
from tests.store.fleet import Clock, FakeWorker

pytestmark = pytest.mark.django_db


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    fleet.make_run(clock)
    FakeWorker(clock).claim()
    clock.pass_(31)
    return clock


@pytest.fixture
def watch(monkeypatch) -> list[float]:
    """A monotonic clock that a test moves."""
    now = [1_000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_an_answer_that_took_longer_than_a_heartbeat_is_no_good_contact(clock: Clock, watch, monkeypatch):
    reaper = Reaper()
    reaper.step(clock.now)
    watch[0] += 30
    orphans = store().orphans

    def slowly(**limits: int):
        watch[0] += 11
        return orphans(**limits)

    monkeypatch.setattr(store(), "orphans", slowly)
    assert reaper.step(clock.now) == 0
    monkeypatch.setattr(store(), "orphans", orphans)
    watch[0] += 21
    assert reaper.step(clock.now) == 1


@pytest.mark.parametrize(("what", "every"), [("flip_ready", 1), ("take_turn", 5)])
def test_any_answer_that_took_longer_than_a_heartbeat_makes_the_reaper_watch_anew(
    clock: Clock, watch, monkeypatch, settings, what: str, every: int
):
    """A network that swallowed packets for a while: nothing failed, and no heartbeat came through."""
    settings.OPENQUEUE = {"REAP_EVERY": every}
    sweeps = Sweeps(only=["due", "reap"])
    clock.pass_(30)
    sweeps.step(clock.now)
    answer = getattr(store(), what)

    def slowly(*given, **more):
        watch[0] += 11
        sweeps.looked_at -= 11
        return answer(*given, **more)

    clock.pass_(30)
    watch[0] += 30
    monkeypatch.setattr(store(), what, slowly)
    assert sweeps.step(clock.now) == 0
    monkeypatch.setattr(store(), what, answer)
    clock.pass_(21)
    watch[0] += 21
    assert sweeps.step(clock.now) == 1


def test_a_reaper_that_waited_for_its_locks_declares_nobody_lost(clock: Clock, watch, monkeypatch):
    reaper = Reaper()
    reaper.step(clock.now)
    watch[0] += 30
    locked = store().locked

    def slowly(rows):
        watch[0] += 11
        return locked(rows)

    monkeypatch.setattr(store(), "locked", slowly)
    assert reaper.step(clock.now) == 0
    assert Worker.objects.get().state == "running"


def test_a_database_that_can_only_be_read_is_no_good_contact(clock: Clock, watch, monkeypatch):
    """SQLite while somebody holds its lock, a standby: no heartbeat gets through, though every look does."""
    reaper = Reaper()
    reaper.step(clock.now)
    watch[0] += 30
    locked = store().locked

    def away(rows):
        raise OperationalError("database is locked")

    for seconds in (0, 21):
        watch[0] += seconds
        monkeypatch.setattr(store(), "locked", away)
        with pytest.raises(OperationalError):
            reaper.step(clock.now)
        reaper.interrupted()  # as the sweeps do it
    monkeypatch.setattr(store(), "locked", locked)
    assert reaper.step(clock.now) == 0
    watch[0] += 21
    assert reaper.step(clock.now) == 1


def test_a_process_that_slept_watches_anew_before_it_takes_others_for_dead(clock: Clock, watch):
    sweeps = Sweeps(only=["reap"])
    for seconds, slept, returned in ((0, 0, 0), (30, 30, 0), (21, 0, 1)):
        clock.pass_(seconds)
        watch[0] += seconds
        sweeps.looked_at -= slept
        assert sweeps.step(clock.now) == returned


def test_a_heartbeat_is_back_before_a_reaper_acts():
    def away() -> int:
        raise OSError("away")

    loop = Loop("heartbeat", away, every=1.0, longest_backoff=1.0)
    assert max(loop.turn() for _ in range(10)) <= 1.0
