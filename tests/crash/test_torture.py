"""A while of everything at once; its seed is printed, and OPENQUEUE_TEST_SEED repeats it."""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter, deque

import pytest
from django.db import connections, transaction

from openqueue.models import Claim, Run, RunEvent, Worker
from tests.app.crash_tasks import quick
from tests.broker.broker import Broker
from tests.crash.invariants import check
from tests.crash.stage import LEASE, Gates, Stage, WorkerProcess
from tests.eventually import eventually

pytestmark = [pytest.mark.crash, pytest.mark.mariadb_too]

RUNS, SECONDS = 200, 12.0


class Undone(Exception):
    pass


class Client(threading.Thread):
    """Triggers runs of all kinds over the whole time; some are rolled back, some cancelled."""

    def __init__(self, dice: random.Random) -> None:
        super().__init__()
        self.dice = dice
        self.confirmed: set = set()
        self.lately: deque = deque(maxlen=40)
        self.undone: set = set()

    def run(self) -> None:
        while len(self.confirmed) < RUNS:
            failures, longest = (
                self.dice.choice([0, 0, 1, 2, 3]),
                self.dice.choice([0, 0.05, 0.05, 1.5 * LEASE]),
            )
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
                self.lately += runs
                if self.dice.random() < 0.2:
                    self.dice.choice(self.lately).cancel()
            time.sleep(SECONDS / RUNS * many)
        connections.close_all()


class Nemesis:
    """Kills a worker and starts another, or puts one to sleep until the others take it for dead and beyond.

    A broker forgets now and then what it was told.
    """

    def __init__(self, stage: Stage, dice: random.Random, broker: Broker | None) -> None:
        self.stage = stage
        self.dice = dice
        self.broker = broker
        self.victims: set[int] = set()
        """Processes that were killed or put to sleep: they alone may be taken for dead."""
        self.living = [stage.worker("--concurrency", "20") for _ in range(3)]
        self.asleep: WorkerProcess | None = None
        self.wakes_at = 0.0
        self.incarnations: list = []
        self.held: list = []
        """Runs of the sleeper: it may wake at the worst time, when another has one of them."""
        self.deeds: list[str] = []

    def look(self) -> None:
        """Wake the sleeper when its time has come."""
        others = Claim.objects.filter(run_id__in=self.held).exclude(worker_id__in=self.incarnations)
        if self.asleep is not None and (self.wakes_at <= time.monotonic() or others.exists()):
            self.wake()

    def act(self) -> None:
        if self.held:
            return  # the others must live to take its runs
        if self.broker is not None and self.dice.random() < 0.4:
            self.deeds.append(f"the broker forgets {self.broker.flush()}")
        busy = [worker for worker in self.living if worker is not self.asleep and self.is_busy(worker)]
        if not busy:
            return
        victim = self.dice.choice(busy)
        self.victims.add(victim.pid)
        if self.asleep is not None:
            self.deeds.append(f"kill {victim.pid}")
            victim.kill()
            self.living.remove(victim)
            self.living.append(self.stage.worker("--concurrency", "20", wait=False))
        else:
            self.put_to_sleep(victim, rudely=self.dice.random() < 0.6)

    @staticmethod
    def is_busy(worker: WorkerProcess) -> bool:
        return Claim.objects.filter(worker_id__in=worker.incarnations).exists()

    def put_to_sleep(self, victim: WorkerProcess, *, rudely: bool) -> None:
        victim.stop()
        seconds = 4 * LEASE if rudely else self.dice.uniform(0.3, 2.5) * LEASE
        self.deeds.append(f"stop {victim.pid} for {'its runs to go on' if rudely else f'{seconds:.1f} s'}")
        self.asleep, self.wakes_at, self.incarnations = (
            victim,
            time.monotonic() + seconds,
            victim.incarnations,
        )
        claims = Claim.objects.filter(worker_id__in=self.incarnations) if rudely else Claim.objects.none()
        self.held = list(claims.values_list("run_id", flat=True))

    def wake(self) -> None:
        if self.asleep is not None:
            self.asleep.go_on()
            self.asleep, self.held = None, []


def test_nothing_is_lost_nothing_counts_twice_and_every_history_makes_sense(
    request: pytest.FixtureRequest, runtime: str, stage: Stage, gates: Gates
):
    seed = int(os.environ.get("OPENQUEUE_TEST_SEED", random.randrange(10**6)))
    print(f"OPENQUEUE_TEST_SEED={seed}")
    dice = random.Random(seed)
    # Whatever is lost here was killed on purpose, again and again: that alone must not fail a run.
    stage.settings["MAX_CRASHES"] = 100
    broker = request.getfixturevalue("broker") if runtime == "broker" else None
    nemesis = Nemesis(stage, random.Random(dice.random()), broker)
    client = Client(random.Random(dice.random()))
    client.start()
    acts_at = 0.0
    while client.is_alive():
        nemesis.look()
        if acts_at <= time.monotonic():
            nemesis.act()
            acts_at = time.monotonic() + dice.uniform(0.5, 3)
        client.join(0.1)
    nemesis.wake()
    eventually(lambda: not Run.objects.filter(outcome__isnull=True).exists(), within=60, every=0.1)
    stage.close()
    print("; ".join(nemesis.deeds), Counter(RunEvent.objects.values_list("kind", flat=True)))
    check(gates, expected=client.confirmed, quiet=True)
    assert not Run.objects.filter(pk__in=client.undone).exists()
    lost = Worker.objects.filter(state="lost").values_list("pid", flat=True)
    assert set(lost) <= nemesis.victims, "somebody was taken for dead who was awake all the time"
    ended = {(row.status, row.reason) for row in Run.objects.all()}
    assert ended <= {("completed", ""), ("failed", "error"), ("cancelled", "by_user")}
    for row in Run.objects.filter(status="failed"):
        assert row.attempt - row.crash_count == row.max_attempts
