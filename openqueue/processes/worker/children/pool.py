"""The children of one worker: started ahead, used again, replaced."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Final

from openqueue.conf import config
from openqueue.core import transitions
from openqueue.errors import TaskTimeout
from openqueue.processes.worker import body
from openqueue.processes.worker.children import wire
from openqueue.processes.worker.children.child import Child, Why
from openqueue.processes.worker.children.wire import Broken
from openqueue.processes.worker.job import Job, context_of
from openqueue.processes.worker.recorder import Recorder
from openqueue.processes.worker.timekeeper import Timekeeper
from openqueue.types import Outcome

logger = logging.getLogger("openqueue")

PATIENCE: Final = 1.0
"""Seconds after its timeout, or after a cancel, that a body has to end by itself."""
LOOK_EVERY: Final = 0.1
"""Seconds between looks at the memory of a child whose task has a limit."""
IDLE: Final = 60.0
"""Seconds without work after which a child is sent home, all but the last."""
SPARE_AFTER: Final = 1.0
"""Seconds that a body has to last before a spare child is started. Quick ones cost one only after a loss."""
WARY: Final = 600.0
"""Seconds after the loss of a child in which there is always a spare, so that the next loss keeps nobody waiting."""
BOOTING: Final = max(1, os.cpu_count() or 1)
LONGEST_PAUSE: Final = 30.0


class Children:
    """One thread a child; `submit` is called from any thread."""

    def __init__(
        self,
        *,
        most: int,
        timekeeper: Timekeeper,
        recorder: Recorder,
        begins: Callable[[Job], bool],
        report: Callable[[Job, Outcome], None],
    ) -> None:
        self.most = most
        self.timekeeper = timekeeper
        self.recorder = recorder
        self.begins = begins
        self.report = report
        self.work: SimpleQueue[Job | None] = SimpleQueue()
        self.lock = threading.Lock()
        self.threads: set[threading.Thread] = set()
        self.children: set[Child] = set()
        self.bodies = threading.Semaphore(most)
        """There may be one child more than bodies at one time: the spare that takes the place of a killed one."""
        self.idle = 0
        self.booting = 0
        self.wary_until = 0.0
        self.stopping = threading.Event()

    def start_ahead(self) -> None:
        """Have one child ready before there is work for it."""
        with self.lock:
            if not self.threads:
                self.add()

    def submit(self, job: Job) -> None:
        """Have an attempt executed by the next child that is free."""
        self.work.put(job)
        self.grow()

    def grow(self) -> None:
        """Start children for the work that no idle one will take; not more at once than there are processors."""
        with self.lock:
            missing = self.work.qsize() - self.idle - self.booting
            room = min(self.most - len(self.threads), BOOTING - self.booting)
            for _ in range(min(missing, room)):
                self.add()

    def add(self) -> None:
        self.booting += 1
        thread = threading.Thread(target=self.serve, name="openqueue-child", daemon=True)
        self.threads.add(thread)
        thread.start()

    def stop(self, *, until: float) -> None:
        """Send all children home; kill those that still run a body, which nobody waits for any more."""
        self.stopping.set()
        with self.lock:
            threads, children = list(self.threads), list(self.children)
        for _ in threads:
            self.work.put(None)
        for child in children:
            child.kill_unless_idle()
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))

    def resident(self) -> int:
        """Return the bytes of memory that all children take; where the system does not tell, as each said last."""
        with self.lock:
            children = list(self.children)
        return sum(child.resident() or child.rss for child in children)

    # --- the thread of one child ------------------------------------------------------------------------------------

    def serve(self) -> None:
        child: Child | None = None
        booting = True
        try:
            while not self.stopping.is_set():
                if child is None:
                    child = self.start()
                    with self.lock:
                        self.booting -= booting
                        booting = False
                    self.grow()
                    if child is None:
                        return
                job = self.wait_for_work()
                if job is None:
                    return
                with self.bodies:
                    self.run(job, child)
                if child.killed or child.has_ended() or self.is_worn(child):
                    self.dismiss(child)
                    child = None
        finally:
            if child is not None:
                self.dismiss(child)
            with self.lock:
                self.booting -= booting
                self.threads.discard(threading.current_thread())

    def start(self) -> Child | None:
        """Return a child that is ready; try until there is one, or until the worker stops."""
        pause = 0.5
        while not self.stopping.is_set():
            try:
                child = Child()
            except OSError as error:  # no process, memory or file to be had
                why: dict[str, Any] = {"error": str(error)}
            else:
                with self.lock:
                    self.children.add(child)
                if self.stopping.is_set():
                    child.kill_unless_idle()
                if child.wait_ready():
                    return child
                why = self.dismiss(child)
            if not self.stopping.is_set():
                logger.error("a child could not start, it will be tried again", extra=why)
            self.stopping.wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
        return None

    def dismiss(self, child: Child) -> dict[str, Any]:
        ended = child.end()
        with self.lock:
            self.children.discard(child)
        return ended

    def wait_for_work(self) -> Job | None:
        """Return the next attempt; None when this child should go home."""
        with self.lock:
            self.idle += 1
        while True:
            try:
                job = self.work.get(timeout=IDLE)
            except Empty:
                # Whoever submits counts the idle ones under this lock, after it has put its work.
                with self.lock:
                    if self.idle <= 1 + self.is_wary or not self.work.empty():
                        continue
                    self.idle -= 1
                    return None
            with self.lock:
                self.idle -= 1
            return job

    def run(self, job: Job, child: Child) -> None:
        job.context = context_of(job)  # hears of a cancel, and is what hooks are given
        job.tell_body = partial(self.tell, job, child)
        if not self.begins(job):
            return
        try:
            outcome = self.converse(job, child)
        except BaseException as error:  # ours, not the body's: this thread must live, and the run must end
            logger.exception("could not run a body in a child", extra={"run_id": str(job.attempt.run_id)})
            child.kill(job, Why.UNWANTED)
            outcome = body.beside(job, error=error)
        self.report(job, outcome)

    def converse(self, job: Job, child: Child) -> Outcome:
        attempt = job.attempt
        self.keep_time(job, child)
        try:
            child.begin(job)
        except OSError:
            if child.killed is None:
                why = "its child had ended before it began"
                return transitions.released(attempt.run_id, attempt.token, age=None, own=True, why=why)
        if self.is_wary:
            self.have_spare(job, child=child)
        if job.ended:  # given back while it was on its way
            child.kill(job, Why.UNWANTED)
        try:
            for message in child.messages():
                if "end" in message:
                    child.leave()
                    self.note(job, message)
                    child.rss = int(message.get("rss", child.rss))
                    return wire.outcome_of(message["end"], attempt, age=job.age)
                self.note(job, message)
        except (Broken, KeyError, TypeError, ValueError):
            child.kill(job, Why.BROKEN)
        return self.outcome_without_a_word(job, child)

    def note(self, job: Job, message: dict[str, Any]) -> None:
        """Keep what a body logged and how far it is; the child has masked and clipped it."""
        assert job.context is not None  # noqa: S101  # run made it
        if log := message.get("log"):
            self.recorder.log(job.context, level=int(log[0]), text=str(log[1]))
        if progress := message.get("progress"):
            self.recorder.progress(job.context, percent=progress[0], message=str(progress[1]))

    def outcome_without_a_word(self, job: Job, child: Child) -> Outcome:
        """The child is gone, or goes now; say what became of its attempt. Its body is really over by then."""
        self.wary_until = time.monotonic() + WARY
        child.leave()
        ended = child.bury()
        if child.killed is Why.TIMED_OUT:
            return body.unhappy(job, error=TaskTimeout())
        if child.killed is Why.CANCELLED:
            return transitions.cancelled(job.attempt, age=job.age)
        if child.killed is Why.TOO_LARGE:
            return body.unhappy(job, error=too_large(job, child))
        if child.killed is not Why.UNWANTED:  # else nobody hears what is said here
            facts = {"run_id": str(job.attempt.run_id), "task_id": job.attempt.task_id}
            logger.error("a child was lost", extra=facts | ended)
        most = 1 if job.task.on_worker_lost == "fail" else config.max_crashes
        return transitions.lost(
            job.attempt.run_id,
            job.attempt.token,
            crash_count=job.attempt.crash_count,
            max_crashes=most,
            worker_id=job.attempt.worker_id,
            end=ended,
        )

    @property
    def is_wary(self) -> bool:
        """Whether a child was lost, or killed, lately."""
        return time.monotonic() < self.wary_until

    def is_worn(self, child: Child) -> bool:
        """Tell whether a child has done enough, or has grown too much, to be used again."""
        grown = child.rss > config.child_max_rss and child.rss > 2 * child.first_rss
        return grown or child.runs >= config.child_max_runs

    # --- the timekeeper's thread, and the heartbeat's ---------------------------------------------------------------

    def keep_time(self, job: Job, child: Child) -> None:
        now = time.monotonic()
        self.timekeeper.at(now + SPARE_AFTER, job, partial(self.have_spare, child=child))
        if job.timeout is not None:
            over = now + job.timeout + PATIENCE
            self.timekeeper.at(over, job, lambda job: self.kill(job, child, Why.TIMED_OUT))
        if job.task.memory_limit is not None:
            self.timekeeper.at(now + LOOK_EVERY, job, partial(self.weigh, child=child))

    def tell(self, job: Job, child: Child) -> None:
        """Have a body hear that it should stop, and kill it when it does not; at once when nobody waits for it."""
        if job.ended:
            self.kill(job, child, Why.UNWANTED)
            return
        child.stop(job)
        self.timekeeper.at(time.monotonic() + PATIENCE, job, lambda job: self.kill(job, child, Why.CANCELLED))

    def have_spare(self, job: Job, *, child: Child) -> None:
        """Start a child that could take the place of one that works for long, in case that one must be killed."""
        with self.lock:
            if child.job is job and not self.idle and not self.booting and len(self.threads) <= self.most:
                self.add()

    def weigh(self, job: Job, *, child: Child) -> None:
        if child.job is not job:
            return
        if child.resident() > job.task.memory_limit:
            self.kill(job, child, Why.TOO_LARGE)
        else:
            self.timekeeper.at(time.monotonic() + LOOK_EVERY, job, partial(self.weigh, child=child))

    def kill(self, job: Job, child: Child, why: Why) -> None:
        if child.kill(job, why):
            facts = {"run_id": str(job.attempt.run_id), "task_id": job.attempt.task_id}
            logger.warning("killed a child", extra=facts | {"why": why.value})


def too_large(job: Job, child: Child) -> MemoryError:
    """Return the error of a body that was killed for its memory."""
    said = f"the process took more than memory_limit={job.task.memory_limit:,} bytes, and was killed"
    if child.first_rss > job.task.memory_limit / 2:
        said += f"; before its first body it took {child.first_rss:,}: give it a larger limit"
    return MemoryError(said)
