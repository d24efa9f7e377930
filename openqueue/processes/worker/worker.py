"""A worker: its parts put together, started, and stopped in order."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from typing import Final

from django.db import DatabaseError, InterfaceError, connections

from openqueue import registry, signals
from openqueue.conf import config
from openqueue.core import transitions
from openqueue.models import Outbox
from openqueue.processes.loop import Loop
from openqueue.processes.sweeps import Sweeps
from openqueue.processes.worker import heartbeat
from openqueue.processes.worker.capture import LogCapture
from openqueue.processes.worker.executor import Executor
from openqueue.processes.worker.heartbeat import Heartbeat
from openqueue.processes.worker.intake import RESERVED, open_intakes, serving
from openqueue.processes.worker.job import Job
from openqueue.processes.worker.ledger import Ledger
from openqueue.processes.worker.recorder import Recorder
from openqueue.processes.worker.timekeeper import Timekeeper
from openqueue.store import store
from openqueue.types import Outcome

logger = logging.getLogger("openqueue")

WATCH: Final = 0.8
"""Seconds between looks at paused queues; also how often the main thread wakes."""
LAST_WRITE, LAST_HOOKS, LAST_STEP, FAREWELL = 3.0, 3.5, 4.5, 5.0
"""Seconds after the grace at which each part is no longer waited for: no part that hangs may hold the process."""


class Worker:
    """One operating-system process that executes runs."""

    def __init__(
        self,
        *,
        queues: Sequence[str] | None = None,
        runtime: str | None = None,
        slots: int = 10,
        sweeps: bool = True,
        drain: bool = False,
        once: bool = False,
    ) -> None:
        self.by_runtime = serving(queues, runtime=runtime)
        self.queues = sorted(queue for some in self.by_runtime.values() for queue in some)
        self.drain, self.once = drain, once
        self.discovers = queues is None
        self.ledger = Ledger(slots=slots, lease=config.lease.total_seconds())
        self.recorder = Recorder(ledger=self.ledger)
        self.timekeeper = Timekeeper(give_up=self.give_up)
        self.executor = Executor(ledger=self.ledger, recorder=self.recorder, timekeeper=self.timekeeper)
        self.recorder.afterwards = self.executor.afterwards
        self.intakes = open_intakes(
            self.by_runtime, ledger=self.ledger, submit=self.executor.submit, discovers=self.discovers
        )
        for intake in self.intakes:
            intake.once = once
        self.heartbeat = Heartbeat(
            ledger=self.ledger,
            runtimes=list(self.by_runtime),
            queues=self.queues,
            settle_cancelled=self.give_up,
            obey=self.obey,
        )
        self.capture = LogCapture(self.recorder)
        self.wishes: SimpleQueue[str] = SimpleQueue()
        """What asks the main thread to stop. Its put() may interrupt itself, as a signal handler does; an Event's
        set() may not."""
        self.loops: dict[str, Loop] = {
            # After an outage it is back sooner than a reaper that watches for two heartbeats acts.
            "heartbeat": Loop(
                "heartbeat", self.heartbeat.step, every=heartbeat.every(), longest_backoff=heartbeat.every()
            )
        }
        self.loops["watch"] = Loop("watch", self.watch, every=WATCH)
        for intake in self.intakes:
            self.loops[f"intake-{intake.runtime.alias}"] = Loop(
                f"intake-{intake.runtime.alias}", intake.step, every=0.0
            )
        if sweeps:
            self.sweeps = Sweeps()
            self.loops["sweeps"] = Loop("sweeps", self.sweeps.step, every=self.sweeps.every, greedy=False)

    # --- the main thread ------------------------------------------------------------------------------------------

    def run(self) -> int:
        """Serve until `stop`; return the exit code: 0, or 75 when a body could not be interrupted."""
        self.start()
        while not self.hears_stop(0.05 if self.drain or self.once else WATCH):
            if self.timekeeper.stuck or self.is_through():
                break
        self.finish()
        return 75 if self.timekeeper.stuck else 0

    def start(self) -> None:
        """Start every part."""
        registry.index()
        self.capture.install()
        for part in (self.recorder, self.timekeeper):
            part.start()
        self.executor.start()
        for loop in self.loops.values():
            loop.start()
        signals.worker_started.send_robust(sender=self, worker_id=self.ledger.worker_id)

    def stop(self) -> None:
        """Ask for a graceful stop; asked again, running bodies are given back at once. Safe in a signal handler."""
        self.wishes.put("stop")

    def hears_stop(self, timeout: float) -> bool:
        try:
            self.wishes.get(timeout=timeout)
        except Empty:
            return False
        return True

    def finish(self) -> None:
        """Claim no more, let running bodies end within the grace, give back the rest."""
        self.heartbeat.state = heartbeat.STOPPING
        self.ledger.stopping = True
        for intake in self.intakes:
            intake.close()
        self.release(self.ledger.not_begun(), why="worker stops")
        until = time.monotonic() + config.shutdown_grace.total_seconds()
        while not self.ledger.empty and time.monotonic() < until and not self.hears_stop(0.02):
            self.release(self.ledger.not_begun(), why="worker stops")
        self.release(self.ledger.unfinished(), why="worker stops, the grace is over")
        over = time.monotonic()
        self.recorder.stop()
        self.recorder.join(LAST_WRITE)
        self.recorder.give_up()
        self.executor.stop(until=over + LAST_HOOKS)
        for loop in self.loops.values():
            loop.stop()
        self.timekeeper.stop()
        self.capture.remove()
        for loop in self.loops.values():  # a heartbeat after the farewell would be a new incarnation's first
            loop.join(max(0.0, over + LAST_STEP - time.monotonic()))
        for intake in self.intakes:
            if intake.consumer is not None:
                intake.consumer.close()
        farewell = threading.Thread(target=self.resign, name="openqueue-farewell", daemon=True)
        farewell.start()
        farewell.join(max(0.0, over + FAREWELL - time.monotonic()))
        signals.worker_stopped.send_robust(sender=self, worker_id=self.ledger.worker_id)

    def resign(self) -> None:
        try:
            self.heartbeat.stop()
        except Exception:
            # The database is away: the lease ends by itself and the reaper returns what is left.
            logger.warning("could not sign off", exc_info=True)
        finally:
            connections.close_all()

    # --- what the parts call ---------------------------------------------------------------------------------------

    def give_up(self, job: Job, outcome: Outcome) -> None:
        """Somebody else than the body spoke for an attempt."""
        self.ledger.done(job, took=None, unsettled=True)
        self.recorder.put(outcome)

    def release(self, jobs: Sequence[Job], *, why: str) -> None:
        for job in jobs:
            if job.speak():
                self.give_up(
                    job,
                    transitions.released(
                        job.attempt.run_id, job.attempt.token, age=job.age, own=True, why=why
                    ),
                )
                heartbeat.interrupt(job)

    def watch(self) -> int:
        """Heed paused queues: their runway goes back at once."""
        paused = store().paused()
        for intake in self.intakes:
            intake.heed(paused)
        if paused:
            self.release(
                [job for job in self.ledger.not_begun() if job.attempt.queue in paused], why="queue paused"
            )
        return 0

    def obey(self, command: str) -> None:
        if command == "stop":
            self.stop()
        elif command == "quiet":
            for intake in self.intakes:
                intake.close()

    def is_through(self) -> bool:
        """Tell whether a worker that drains, or serves once, has nothing left to do."""
        try:
            return (self.drain and self.is_drained()) or (self.once and self.is_once_done())
        except (DatabaseError, InterfaceError):
            connections.close_all()  # the database is away: look again when it is back
            return False

    def is_drained(self) -> bool:
        """Nothing that we could run is due, and nothing is open."""
        if not self.ledger.sure or not self.ledger.empty:
            return False
        due = Outbox.objects.using(config.database).filter(
            ready=True, task_id__in=list(registry.index()), runtime__in=list(self.by_runtime)
        )
        due = due.exclude(expires_at__lte=store().clock(None))
        due = due.exclude(queue__startswith=RESERVED) if self.discovers else due.filter(queue__in=self.queues)
        return not due.exclude(queue__in=store().paused()).exists() and self.ledger.empty

    def is_once_done(self) -> bool:
        claimed = any(intake.claims for intake in self.intakes)
        if claimed:
            for intake in self.intakes:
                intake.close()
        return self.ledger.empty and (claimed or self.is_drained())
