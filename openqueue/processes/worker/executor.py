"""Runs bodies: sync ones on threads fed by one queue, async ones on an event loop, isolated ones in children."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Sequence
from queue import SimpleQueue

from django.db import connections

from openqueue import registry, signals
from openqueue.processes.worker import body, skew
from openqueue.processes.worker.children.pool import Children
from openqueue.processes.worker.event_loop import EventLoop
from openqueue.processes.worker.job import Job
from openqueue.processes.worker.ledger import Ledger
from openqueue.processes.worker.recorder import Recorder
from openqueue.processes.worker.timekeeper import Timekeeper
from openqueue.types import Outcome

logger = logging.getLogger("openqueue")
Work = Job | Callable[[], None] | None


class Executor:
    """Feeds attempts to bodies and their outcomes to the recorder."""

    def __init__(self, *, ledger: Ledger, recorder: Recorder, timekeeper: Timekeeper) -> None:
        self.ledger = ledger
        self.recorder = recorder
        self.timekeeper = timekeeper
        self.work: SimpleQueue[Work] = SimpleQueue()
        self.threads: list[threading.Thread] = []
        self.loop: EventLoop | None = None
        self.loop_lock = threading.Lock()
        timekeeper.replace_slot = self.add_thread
        self.children = Children(
            most=ledger.slots,
            timekeeper=timekeeper,
            recorder=recorder,
            begins=self.begins,
            report=self.report,
        )

    def start(self, *, queues: Sequence[str]) -> None:
        """Open the slots; have a child ready if a task of these queues will want one."""
        for _ in range(self.ledger.slots):
            self.add_thread()
        if any(task.isolation == "process" and task.options.queue in queues for task in registry.every()):
            self.children.start_ahead()

    def add_thread(self) -> None:
        name = f"openqueue-slot-{len(self.threads)}"
        thread = threading.Thread(target=self.slot, name=name, daemon=True)
        self.threads.append(thread)
        thread.start()

    def submit(self, job: Job) -> None:
        """Have an attempt executed."""
        if job.task.isolation == "process":
            self.children.submit(job)
        elif job.task.is_async:
            self.event_loop().submit(job)
        else:
            self.work.put(job)

    def afterwards(self, act: Callable[[], None]) -> None:
        """Run a hook on a slot."""
        self.work.put(act)

    def stop(self, *, until: float) -> None:
        """Close the slots once their hooks are done, at a monotonic moment at the latest: a body may never end."""
        self.children.stop(until=until)
        for _ in self.threads:
            self.work.put(None)
        for thread in self.threads:
            thread.join(max(0.0, until - time.monotonic()))
        if self.loop is not None:
            self.loop.close()

    # --- threads ------------------------------------------------------------------------------------------------

    def slot(self) -> None:
        me = threading.current_thread()
        while (work := self.work.get()) is not None:
            if isinstance(work, Job):
                self.run(work)
            else:
                with contextlib.suppress(BaseException):  # hooks log their own errors
                    work()
            if getattr(me, "replaced", False):
                break  # another thread has this slot now
        connections.close_all()

    def run(self, job: Job) -> None:
        if not self.begins(job):
            return
        try:
            if job.timeout is None:
                outcome = body.call(job, reporter=self.recorder)
            else:
                outcome = self.timekeeper.watch(job, lambda: body.call(job, reporter=self.recorder))
        except BaseException as error:  # ours, not the body's: the slot must live, and the run must end
            outcome = body.beside(job, error=error)
        self.report(job, outcome)

    def begins(self, job: Job) -> bool:
        """Decide at the start gate; a job that was given back or cancelled meanwhile does not begin."""
        with job.guard:
            if job.ended or self.ledger.stopping:
                return False
            if self.ledger.may_begin(job):
                job.begun_at = time.monotonic()
                job.running = True
        if not job.running:
            job.speak()
            self.ledger.drop(job)
            self.ledger.done(job, took=None, unsettled=False)
            logger.warning("not started: the lease is not sure", extra={"run_id": str(job.attempt.run_id)})
            return False
        if signals.run_started.receivers or job.task.hooks["start"]:
            self.recorder.tell_start(job)
        return True

    def report(self, job: Job, outcome: Outcome) -> None:
        if job.speak():
            self.ledger.done(job, took=job.age, unsettled=True)
            self.recorder.put(skew.deferred(job.attempt, outcome))
        job.running = False

    # --- event loop -----------------------------------------------------------------------------------------------

    def event_loop(self) -> EventLoop:
        with self.loop_lock:
            if self.loop is None:
                self.loop = EventLoop(
                    slots=self.ledger.slots,
                    timekeeper=self.timekeeper,
                    recorder=self.recorder,
                    begins=self.begins,
                    report=self.report,
                    replace=self.forget,
                )
                self.loop.start()
            return self.loop

    def forget(self, loop: EventLoop) -> None:
        """Use this loop no more: a body blocks it."""
        with self.loop_lock:
            if self.loop is loop:
                self.loop = None
