"""Twenty seconds of everything at once; its seed is printed, and OPENQUEUE_TEST_SEED repeats it."""

from __future__ import annotations

import os
import random
import threading
import time

import pytest
from django.db import connections, transaction

from openqueue.models import Run
from tests.app.crash_tasks import quick
from tests.crash.invariants import check
from tests.crash.stage import LEASE, Gates, Stage, WorkerProcess
from tests.eventually import eventually

pytestmark = [pytest.mark.crash, pytest.mark.postgresql]

RUNS, SECONDS = 300, 20.0


class Undone(Exception):
    pass


class Client(threading.Thread):
    """Triggers runs of all kinds over the whole time; some are rolled back, some cancelled."""

    def __init__(self, dice: random.Random) -> None:
        super().__init__()
        self.dice = dice
        self.confirmed: set = set()
        self.undone: set = set()

    def run(self) -> None:
        while len(self.confirmed) < RUNS:
            failures, longest = self.dice.choice([0, 0, 1, 2, 3]), self.dice.choice([0, 0.05, 1.0])
            order = quick.using(delay=self.dice.choice([None, None, 1]), priority=self.dice.randint(-1, 1))
            many = self.dice.randint(1, 5)
            try:
                with transaction.atomic():
                    runs = order.trigger_many([{"failures": failures, "longest": longest}] * many)
                    if self.dice.random() < 0.1:
                        raise Undone
            except Undone:
                self.undone.update(run.id for run in runs)
            else:
                self.confirmed.update(run.id for run in runs)
                if self.dice.random() < 0.1:
                    runs[0].cancel()
            time.sleep(SECONDS / RUNS * many)
        connections.close_all()


class Nemesis:
    """Kills a worker and starts another, or puts one to sleep for up to two leases."""

    def __init__(self, stage: Stage, dice: random.Random) -> None:
        self.stage = stage
        self.dice = dice
        self.living = [stage.worker(), stage.worker()]
        self.asleep: list[tuple[float, WorkerProcess]] = []
        self.deeds: list[str] = []

    def act(self) -> None:
        for until, sleeper in list(self.asleep):
            if until <= time.monotonic():
                sleeper.go_on()
                self.asleep.remove((until, sleeper))
        victim = self.dice.choice(self.living)
        if any(victim is sleeper for _, sleeper in self.asleep):
            return
        if self.dice.random() < 0.5:
            self.deeds.append(f"kill {victim.pid}")
            victim.kill()
            self.living.remove(victim)
            self.living.append(self.stage.worker(wait=False))
        else:
            seconds = self.dice.uniform(0.3, 2) * LEASE
            self.deeds.append(f"stop {victim.pid} for {seconds:.1f} s")
            victim.ready().stop()
            self.asleep.append((time.monotonic() + seconds, victim))

    def rest(self) -> None:
        for _, sleeper in self.asleep:
            sleeper.go_on()


def test_nothing_is_lost_nothing_counts_twice_and_every_history_makes_sense(stage: Stage, gates: Gates):
    seed = int(os.environ.get("OPENQUEUE_TEST_SEED", random.randrange(10**6)))
    print(f"OPENQUEUE_TEST_SEED={seed}")
    dice = random.Random(seed)
    # Whatever is lost here was killed on purpose, again and again: that alone must not fail a run.
    stage.settings["MAX_CRASHES"] = 100
    nemesis = Nemesis(stage, random.Random(dice.random()))
    client = Client(random.Random(dice.random()))
    client.start()
    while client.is_alive():
        nemesis.act()
        client.join(dice.uniform(0.5, 2.5))
    nemesis.rest()
    print("; ".join(nemesis.deeds))
    eventually(lambda: not Run.objects.filter(outcome__isnull=True).exists(), within=60, every=0.1)
    stage.close()
    check(gates, expected=client.confirmed, quiet=True)
    assert not Run.objects.filter(pk__in=client.undone).exists()
    ended = {(row.status, row.reason) for row in Run.objects.all()}
    assert ended <= {("completed", ""), ("failed", "error"), ("cancelled", "by_user")}
    for row in Run.objects.filter(status="failed"):
        assert row.attempt - row.crash_count == row.max_attempts
