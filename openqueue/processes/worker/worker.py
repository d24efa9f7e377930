"""A worker: its parts put together, started, and stopped in order."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from queue import Empty, SimpleQueue
from typing import Final

from django.db import DatabaseError, InterfaceError, connections
from django.db.models import Q

from openqueue import registry, signals
from openqueue.conf import config
from openqueue.core import transitions
from openqueue.errors import UnsupportedCapability
from openqueue.models import Outbox
from openqueue.processes import sweeps as sweeping
from openqueue.processes.loop import Loop
from openqueue.processes.pulse import Condition, Pulse
from openqueue.processes.tether import AGAIN
from openqueue.processes.worker import heartbeat, watchdog
from openqueue.processes.worker.capture import LogCapture
from openqueue.processes.worker.executor import Executor
from openqueue.processes.worker.heartbeat import Heartbeat
from openqueue.processes.worker.intake import RESERVED, open_intakes, serving
from openqueue.processes.worker.job import Job
from openqueue.processes.worker.lag import Lag
from openqueue.processes.worker.ledger import MARGIN, Ledger
from openqueue.processes.worker.order import Order
from openqueue.processes.worker.recorder import Recorder
from openqueue.processes.worker.recycling import Recycling
from openqueue.processes.worker.timekeeper import Timekeeper
from openqueue.processes.worker.usage import Usage
from openqueue.processes.worker.watchdog import Part, Watchdog
from openqueue.store import store, wishes
from openqueue.types import Outcome

logger = logging.getLogger("openqueue")

STOP, RELOAD = "stop", "reload"
WATCH: Final = 0.8
"""Seconds between looks at paused queues; also how often the main thread wakes."""
LAST_CLAIM, LAST_WRITE, LAST_HOOKS, LAST_STEP, FAREWELL = 1.0, 3.0, 3.5, 4.5, 5.0
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
        pulse: Pulse | None = None,
        recycling: Recycling = Recycling(),  # noqa: B008  # a frozen value
    ) -> None:
        self.pulse = pulse or Pulse()
        self.recycling = recycling
        self.lag = Lag()
        self.by_runtime = serving(queues, runtime=runtime)
        self.queues = sorted(queue for some in self.by_runtime.values() for queue in some)
        self.drain, self.once = drain, once
        self.weights: Mapping[str, int] | None = None
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
            lag=self.lag,
            usage=Usage(children=self.executor.children.resident),
            introduce=self.pulse.introduce,
        )
        self.capture = LogCapture(self.recorder)
        self.wishes: SimpleQueue[str] = SimpleQueue()
        """STOP and RELOAD, for the main thread. Its put() may interrupt itself, as a signal handler does; an Event's
        set() may not."""
        self.told_to_stop = False
        self.obeying = threading.Lock()
        self.timekeeper.on_stuck = lambda: self.wishes.put(
            "hand over"
        )  # wakes the main thread, which sees it
        self.loops: dict[str, Loop] = {}
        self.watchdog = Watchdog(self.parts(sweeps=sweeps))

    def keep_order(self, *, weights: Mapping[str, int] | None = None) -> None:
        """Serve the queues of each runtime by weights, or strictly in the order in which they were named.

        Raises:
            UnsupportedCapability: a runtime cannot receive in an order.
        """
        self.weights = weights
        for intake in self.intakes:
            alias = intake.runtime.alias
            if not intake.runtime.capabilities.queue_order:
                raise UnsupportedCapability(f"the runtime {alias!r} cannot take queues in an order")
            intake.order = Order(intake.queues, weights=weights)

    def parts(self, *, sweeps: bool) -> list[Part]:
        """Make the loops; return what the watchdog watches."""
        lease = self.ledger.lease
        limit = watchdog.limit(lease)
        # A second heartbeat must have time to renew the lease while the first is stuck.
        parts = [
            self.part("heartbeat", self.beating, limit=max((lease - MARGIN) / 2, 2.0)),
            self.part("watch", lambda: Loop("watch", self.watch, every=WATCH), limit=limit),
            Part("recorder", now=lambda: self.recorder, relieve=self.recorder.relieve, limit=limit),
        ]
        for number, intake in enumerate(self.intakes):
            parts.append(
                self.part(f"intake-{intake.runtime.alias}", partial(self.taking_in, number), limit=limit)
            )
        if sweeps:
            parts += [self.part(name, make, limit=limit) for name, make in sweeping.makers().items()]
        return parts

    def part(self, name: str, make: Callable[[], Loop], *, limit: float) -> Part:
        """Make a loop that another one can take over from."""

        def relieve() -> None:
            self.loops[name].abandon()
            self.loops[name] = make()
            self.loops[name].start()

        self.loops[name] = make()
        return Part(name, now=lambda: self.loops[name], relieve=relieve, limit=limit)

    def beating(self) -> Loop:
        # After an outage it is back sooner than a reaper that watches for two heartbeats acts.
        every = heartbeat.every()
        return Loop("heartbeat", self.heartbeat.step, every=every, longest_backoff=every)

    def taking_in(self, number: int) -> Loop:
        intake = self.intakes[number]
        name = f"intake-{intake.runtime.alias}"
        if name in self.loops:
            intake = self.intakes[number] = intake.successor()
        return Loop(name, intake.step, every=0.0, ending=intake.leave)

    # --- the main thread ------------------------------------------------------------------------------------------

    def run(self) -> int:
        """Serve until `stop`; return the exit code: 0, or 75 when a fresh process should go on."""
        self.start()
        code, through = 0, False
        pause = 0.05 if self.drain or self.once else WATCH
        while (wish := self.hears(pause)) != STOP:
            self.attend()
            if self.timekeeper.stuck or wish == RELOAD:
                code = AGAIN
                break
            if through := self.is_through():
                break
            if why := self.recycling.due(runs=self.ledger.settled_total) or self.helpless():
                code = self.retire(why=why)
                break
        self.finish()
        if self.timekeeper.stuck:
            code = AGAIN
        self.pulse.end(through=through or self.heartbeat.command == STOP, again=code == AGAIN)
        return code

    def attend(self) -> None:
        """Look after the parts, and show how the worker is."""
        self.watchdog.look()
        self.ledger.open_slots = self.lag.slots(self.ledger.slots)
        stalled = self.watchdog.stalled
        notes = [f"stalled: {', '.join(stalled)}"] if stalled else []
        notes += ["overloaded"] if self.lag.is_overloaded else []
        notes += ["quiet"] if self.heartbeat.command else []
        notes += ["stopping"] if self.heartbeat.state == heartbeat.STOPPING else []
        self.pulse.beat(
            Condition(
                sure=self.ledger.sure,
                busy=self.ledger.busy,
                slots=self.ledger.slots,
                stalled=bool(stalled),
                note=", ".join(notes),
            )
        )

    def helpless(self) -> str:
        """Return why only a new process can help. While the database does not answer, that would not either."""
        if not (self.watchdog.is_helpless and self.ledger.sure):
            return ""
        return f"no progress of {', '.join(self.watchdog.stalled)}"

    def retire(self, *, why: str) -> int:
        """Let every running body end, however long it takes, so that a fresh process can follow; return its code."""
        logger.warning("makes room for a fresh process once its bodies have ended", extra={"why": why})
        self.quiesce()
        while (
            self.ledger.busy and not self.timekeeper.stuck
        ):  # what is not yet recorded has the grace, as always
            if self.hears(0.05) == STOP:
                return 0
            self.attend()
            self.release(self.ledger.not_begun(), why="worker is replaced")
        return AGAIN

    def start(self) -> None:
        """Start every part."""
        registry.index()
        self.pulse.on_alone(self.stop)
        self.capture.install()
        for part in (self.recorder, self.timekeeper):
            part.start()
        self.executor.start(queues=self.queues)
        for loop in self.loops.values():
            loop.start()
        signals.worker_started.send_robust(sender=self, worker_id=self.ledger.worker_id)

    def stop(self) -> None:
        """Ask for a graceful stop; asked again, running bodies are given back at once. Safe in a signal handler."""
        self.told_to_stop = True
        self.wishes.put(STOP)

    def stop_at_once(self) -> None:
        """Ask for a stop without a grace: running bodies are given back at once. Safe in a signal handler."""
        self.stop()
        self.stop()

    def reload(self) -> None:
        """Ask for a graceful stop after which a fresh process goes on."""
        self.wishes.put(RELOAD)

    def hears(self, timeout: float) -> str:
        """Wait for a wish; note how late the wait ended."""
        until = time.monotonic() + timeout
        try:
            return self.wishes.get(timeout=timeout)
        except Empty:
            self.lag.note(time.monotonic() - until, after=timeout)
            return ""

    def quiesce(self) -> None:
        """Claim no more, and let nothing begin that has not begun."""
        self.heartbeat.state = heartbeat.STOPPING
        self.ledger.stopping = True
        for intake in self.intakes:
            intake.close()
        self.release(self.ledger.not_begun(), why="worker stops")

    def finish(self) -> None:
        """Claim no more, let running bodies end within the grace, give back the rest."""
        self.pulse.stopping()
        self.quiesce()
        until = time.monotonic() + config.shutdown_grace.total_seconds()
        attend_at = 0.0
        while not self.ledger.empty and time.monotonic() < until and self.hears(0.02) != STOP:
            self.release(self.ledger.not_begun(), why="worker stops")
            if time.monotonic() >= attend_at:
                attend_at = time.monotonic() + WATCH
                self.attend()
        self.release(self.ledger.unfinished(), why="worker stops, the grace is over")
        over = time.monotonic()
        self.await_claims(until=over + LAST_CLAIM)
        self.recorder.stop()
        self.recorder.join(max(0.0, over + LAST_WRITE - time.monotonic()))
        self.recorder.give_up()
        self.executor.stop(until=over + LAST_HOOKS)
        for loop in self.loops.values():
            loop.stop()
        self.timekeeper.stop()
        self.capture.remove()
        for loop in self.loops.values():  # a heartbeat after the farewell would be a new incarnation's first
            loop.join(max(0.0, over + LAST_STEP - time.monotonic()))
        farewell = threading.Thread(target=self.resign, name="openqueue-farewell", daemon=True)
        farewell.start()
        farewell.join(max(0.0, over + FAREWELL - time.monotonic()))
        signals.worker_stopped.send_robust(sender=self, worker_id=self.ledger.worker_id)

    def await_claims(self, *, until: float) -> None:
        """Give back also what a claim brings that was under way when its intake was closed."""
        intakes = [loop for name, loop in self.loops.items() if name.startswith("intake-")]
        begun = [(loop, loop.turns) for loop in intakes if loop.began_at is not None]
        while any(loop.turns == turns for loop, turns in begun) and time.monotonic() < until:
            self.hears(0.01)
        self.release(self.ledger.not_begun(), why="worker stops")

    def resign(self) -> None:
        try:
            self.heartbeat.stop()
        except (
            Exception
        ):  # the database is away: the lease ends by itself and the reaper returns what is left
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
        """Heed what operators decided: the runway of paused queues goes back at once."""
        worker_id = self.ledger.worker_id
        paused, told = wishes.heard(store(), worker_id)
        for intake in self.intakes:
            intake.heed(paused)
        if paused:
            self.release(
                [job for job in self.ledger.not_begun() if job.attempt.queue in paused], why="queue paused"
            )
        if told is not None and worker_id == self.ledger.worker_id:
            self.obey(told.command)
            if told.shown != self.heartbeat.command:
                wishes.show(store(), worker_id, command=self.heartbeat.command)
        return 0

    def obey(self, command: str) -> None:
        """Follow what an operator wants; told again, do nothing again. Who stops does not begin anew."""
        with self.obeying:
            if command == self.heartbeat.command or self.heartbeat.command == STOP:
                return
            self.heartbeat.command = command
        logger.warning("told by an operator", extra={"command": command or "resume"})
        for intake in self.intakes:
            (intake.quiet.set if command else intake.quiet.clear)()
            intake.wake()
        if command:
            self.release(self.ledger.not_begun(), why="worker is told to be quiet")
        if command == STOP:
            self.stop()

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
        now = store().clock(None)
        due = Outbox.objects.using(config.database).filter(
            Q(ready=True) | Q(waits_for__isnull=False, due_at__lte=now),
            task_id__in=list(registry.index()),
            runtime__in=list(self.by_runtime),
        )
        due = due.exclude(expires_at__lte=now)
        due = due.exclude(queue__startswith=RESERVED) if self.discovers else due.filter(queue__in=self.queues)
        return not due.exclude(queue__in=store().paused()).exists() and self.ledger.empty

    def is_once_done(self) -> bool:
        claimed = any(intake.claims for intake in self.intakes)
        if claimed:
            for intake in self.intakes:
                intake.close()
        return self.ledger.empty and (claimed or self.is_drained())
