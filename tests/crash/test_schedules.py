"""Schedulers that are killed, frozen, cut off and misled: each moment of each schedule still becomes one run."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from openqueue.models import Run, Schedule, ScheduleTick
from openqueue.processes.sweeps.schedules import Schedules
from openqueue.store import store
from tests.app.crash_tasks import quick
from tests.crash.clock import WallClock
from tests.crash.stage import Stage
from tests.eventually import eventually
from tests.proxy.proxy import Proxy

pytestmark = [pytest.mark.crash, pytest.mark.postgresql]

DAY, SECOND = 86_400, timedelta(seconds=1)
Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start(stage: Stage, tmp_path: Path) -> Iterator[Start]:
    """Start a scheduler that does nothing but ticks."""
    logs = (tmp_path / "schedulers.log").open("ab")

    def start(port: int | None = None, **environment: str) -> subprocess.Popen[bytes]:
        surroundings = stage.surroundings() | environment
        if port is not None:
            url = surroundings["OPENQUEUE_TEST_SERVER"]
            surroundings["OPENQUEUE_TEST_SERVER"] = f"{url.rpartition(':')[0]}:{port}/"
        made.append(
            subprocess.Popen(
                [sys.executable, "-m", "django", "openqueue_scheduler", "--only", "schedules"],
                env=surroundings, stdout=logs, stderr=logs,
            )
        )  # fmt: skip
        return made[-1]

    yield start
    end()
    logs.close()
    print((tmp_path / "schedulers.log").read_text()[-5_000:])


made: list[subprocess.Popen[bytes]] = []


def end() -> None:
    """Kill all schedulers of the test."""
    while made:
        process = made.pop()
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)
            process.kill()
        process.wait(10)


def each_second(count: int) -> list[Any]:
    return [quick.schedules.create(every=1, key=f"{n}", misfire="run_all") for n in range(count)]


def assert_each_tick_once(schedules: list[Any]) -> None:
    """Each second from the first to the last that was dealt with has one run. The schedulers end first."""
    end()
    runs = Run.objects.filter(schedule_id__isnull=False).values_list("schedule_id", "scheduled_for")
    counted = Counter(runs)
    assert set(counted.values()) == {1}
    for schedule in schedules:
        ticks = sorted(tick for pk, tick in counted if pk == schedule.row.pk)
        count = (schedule.refresh().last_tick - schedule.anchor) // SECOND
        assert ticks == [schedule.anchor + n * SECOND for n in range(1, count + 1)]
    assert ScheduleTick.objects.filter(outcome="run").count() == len(counted)
    assert not ScheduleTick.objects.exclude(outcome="run").exists()


def lives_for(process: subprocess.Popen[bytes], seconds: float) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(seconds)


def ticked(schedules: list[Any], times: int) -> Callable[[], bool]:
    rows = ScheduleTick.objects.filter(schedule_id__in=[schedule.row.pk for schedule in schedules])
    return lambda: rows.count() >= times * len(schedules)


def test_a_scheduler_killed_again_and_again_makes_each_tick_once(start: Start):
    schedules = each_second(200)
    for _ in range(5):
        process = start()
        before = ScheduleTick.objects.count()
        eventually(lambda before=before: ScheduleTick.objects.count() > before, within=120)
        lives_for(process, random.uniform(0, 1.2))  # somewhere in the middle of what it does
        process.kill()
        process.wait(10)
    start()
    now = timezone.now()
    eventually(lambda: not Schedule.objects.filter(last_tick__lt=now).exists(), within=120)
    assert_each_tick_once(schedules)


@pytest.mark.parametrize("count", [2, 6])
def test_several_schedulers_at_once_make_each_tick_once(start: Start, count: int):
    schedules = each_second(20)
    for _ in range(count):
        start()
    eventually(ticked(schedules, 12), within=120)
    assert_each_tick_once(schedules)


def test_a_scheduler_that_froze_and_goes_on_repeats_nothing(start: Start):
    schedules = each_second(20)
    frozen, _ = start(), start()
    eventually(ticked(schedules, 3), within=120)
    frozen.send_signal(signal.SIGSTOP)
    eventually(ticked(schedules, 10), within=120)
    frozen.send_signal(signal.SIGCONT)
    eventually(ticked(schedules, 14), within=120)
    assert_each_tick_once(schedules)


def test_the_clock_of_a_scheduler_decides_nothing(start: Start, tmp_path: Path):
    schedules = each_second(10)
    clock = WallClock(tmp_path / "clock").set(-300)
    start(**clock.environment)
    start(**WallClock(tmp_path / "other").set(30).environment)
    eventually(ticked(schedules, 3), within=120)
    for jump in (DAY, 0, -DAY, 600):
        clock.set(jump)
        before = ScheduleTick.objects.count() // len(schedules)
        eventually(ticked(schedules, before + 3), within=120)
    assert_each_tick_once(schedules)
    late = timezone.now() + 2 * SECOND
    assert not Run.objects.filter(scheduled_for__gt=late).exists()


def test_a_database_out_of_reach_costs_no_tick(start: Start, proxy: Proxy):
    schedules = each_second(10)
    process = start(port=proxy.port)
    eventually(ticked(schedules, 3), within=120)
    proxy.refuse()
    lives_for(process, 4)
    proxy.pass_on()
    before = ScheduleTick.objects.count() // len(schedules)
    eventually(ticked(schedules, before + 7), within=120)
    assert_each_tick_once(schedules)


@pytest.mark.django_db(transaction=True)
def test_no_run_is_made_of_an_old_definition_after_its_change_was_committed():
    """Sweeps in threads race with edits; each run's own payload says which definition made it."""
    schedule = quick.schedules.create(every=1, key="a", payload={"failures": 0})
    runs = Run.objects.filter(schedule_id__isnull=False)
    over = threading.Event()

    def sweep() -> None:
        sweep = Schedules()
        while not over.is_set():
            sweep.step(store().clock(None) + timedelta(seconds=random.uniform(0, 1_000)))
        connections.close_all()

    threads = [threading.Thread(target=sweep) for _ in range(3)]
    for thread in threads:
        thread.start()
    older = {}
    try:
        for version in range(1, 60):
            schedule.update(payload={"failures": version})
            older[version] = runs.exclude(payload={"failures": version}).count()
            eventually(runs.filter(payload={"failures": version}).exists, every=0.001)
    finally:
        over.set()
        for thread in threads:
            thread.join(20)
    made = [payload["failures"] for payload in runs.values_list("payload", flat=True)]
    assert older == {version: sum(by < version for by in made) for version in older}
