"""Ends bodies in threads whose time is over.

First their context says so at every checkpoint; two seconds later an exception is thrown into the thread; where
CPython cannot interrupt it (a blocking C call, a body that swallows everything) the attempt ends without it and its
slot is replaced.
"""

from __future__ import annotations

import heapq
import logging
import threading
import time
from collections.abc import Callable
from itertools import count
from typing import Final

from openqueue.errors import TaskCancelled, TaskTimeout
from openqueue.processes.worker import body
from openqueue.processes.worker.job import Job, throw
from openqueue.types import Outcome

logger = logging.getLogger("openqueue")

PATIENCE: Final = 2.0
"""Seconds that a body has to reach a checkpoint before an exception is thrown into it."""
LAST_PATIENCE: Final = 2.0
"""Seconds that the exception has to end the body before its slot is given up."""

CROWD: Final = 1_000
"""Moments kept before those of ended attempts are cleared away."""


class Timekeeper(threading.Thread):
    """One thread with a heap of moments."""

    def __init__(self, *, give_up: Callable[[Job, Outcome], None]) -> None:
        super().__init__(name="openqueue-timekeeper", daemon=True)
        self.give_up = give_up
        self.replace_slot: Callable[[], None] = lambda: None
        self.on_stuck: Callable[[], None] = lambda: None
        self.changed = threading.Condition()
        self.moments: list[tuple[float, int, Job, Callable[[Job], None]]] = []
        self.numbers = count()
        self.crowd = CROWD
        self.stopped = False
        self.stuck = 0
        """Slots that were given up: their threads are still in a body."""

    def watch(self, job: Job, call: Callable[[], Outcome]) -> Outcome:
        """Run a body in this thread; return how it ended, also when that was our exception."""
        job.thread_id = threading.get_ident()
        self.at(time.monotonic() + (job.timeout or 0.0) + PATIENCE, job, self.interrupt)
        try:
            outcome = call()
        except TaskTimeout as error:  # thrown in late, after the body had ended and before the guard below
            outcome = body.unhappy(job, error=error)
        return self.unwatch(job, outcome)

    def unwatch(self, job: Job, outcome: Outcome) -> Outcome:
        """Swallow an exception that was on its way when the body ended."""
        try:
            job.leave_body()
        except TaskTimeout:
            job.running = False
        return outcome

    def at(self, moment: float, job: Job, act: Callable[[Job], None]) -> None:
        """Have something done to a job at a monotonic moment; it finds out itself whether it still should."""
        with self.changed:
            if len(self.moments) > self.crowd:  # those of bodies that ended long before their time was over
                self.moments = [one for one in self.moments if not one[2].ended]
                heapq.heapify(self.moments)
                self.crowd = max(CROWD, 2 * len(self.moments))
            heapq.heappush(self.moments, (moment, next(self.numbers), job, act))
            if self.moments[0][2] is job:
                self.changed.notify()

    def interrupt(self, job: Job) -> None:
        with job.guard:
            if not job.running or job.ended:
                return
            job.interrupted = True
            throw(job.thread_id, TaskTimeout)
        self.at(time.monotonic() + LAST_PATIENCE, job, self.abandon)

    def abandon(self, job: Job) -> None:
        if not job.running:
            return
        for thread in threading.enumerate():
            if thread.ident == job.thread_id:
                thread.replaced = True  # type: ignore[attr-defined]  # read by the slot when the body returns
        if self.abandon_body(job):
            self.replace_slot()

    def abandon_body(self, job: Job) -> bool:
        """End an attempt whose body nothing can end, and have the worker replace itself; tell whether it was open."""
        if not self.end_without(job):
            return False
        self.stuck += 1
        self.on_stuck()
        logger.error(
            "a body cannot be interrupted, its slot was replaced",
            extra={"run_id": str(job.attempt.run_id), "task_id": job.attempt.task_id},
        )
        return True

    def end_without(self, job: Job) -> bool:
        """End an attempt without its body; tell whether it was still open."""
        if not job.speak():
            return False
        error = TaskCancelled() if job.context is not None and job.context.is_cancelled else TaskTimeout()
        self.give_up(job, body.unhappy(job, error=error))
        return True

    def run(self) -> None:
        """Act at each moment as it comes."""
        while True:
            with self.changed:
                if self.stopped:
                    return
                wait = self.moments[0][0] - time.monotonic() if self.moments else None
                if wait is None or wait > 0:
                    self.changed.wait(wait)
                    continue
                _, _, job, act = heapq.heappop(self.moments)
            try:
                act(job)
            except Exception:  # the one clock of all bodies must not stop for the sake of one
                logger.exception("could not end a body", extra={"run_id": str(job.attempt.run_id)})

    def stop(self) -> None:
        with self.changed:
            self.stopped = True
            self.changed.notify()
