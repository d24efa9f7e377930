"""Runs coroutine bodies on one thread, and gets over a body that blocks it.

A body that awaits ends at its timeout. One that does not is interrupted in its thread; where that does not help (a
blocking C call, a body that swallows everything) the loop is given up: the attempt of the body that blocks ends
without it, the others on the loop are given back, and a new loop takes its place until the worker replaces itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Any, Final

from openqueue.core import transitions
from openqueue.errors import TaskTimeout
from openqueue.processes.worker import body, coroutine, timekeeper
from openqueue.processes.worker.heartbeat import interrupt
from openqueue.processes.worker.job import Job, throw
from openqueue.processes.worker.recorder import Recorder
from openqueue.processes.worker.timekeeper import Timekeeper
from openqueue.types import Outcome

logger = logging.getLogger("openqueue")

CLEAN_EVERY: Final = 1.0
ANSWER: Final = 0.2
"""Seconds in which a loop that is not blocked says so."""

whose: ContextVar[Job | None] = ContextVar("openqueue_whose", default=None)
"""The attempt whose body this is, also in the tasks that the body starts."""


class EventLoop(threading.Thread):
    """One loop on one thread. What is called from elsewhere: `submit`, `close`, and the timekeeper's acts."""

    def __init__(
        self,
        *,
        slots: int,
        timekeeper: Timekeeper,
        recorder: Recorder,
        begins: Callable[[Job], bool],
        report: Callable[[Job, Outcome], None],
        replace: Callable[[EventLoop], None],
    ) -> None:
        super().__init__(name="openqueue-loop", daemon=True)
        self.loop = asyncio.new_event_loop()
        self.loop.set_task_factory(self.make_task)
        self.slots = asyncio.Semaphore(slots)
        self.timekeeper = timekeeper
        self.recorder = recorder
        self.begins = begins
        self.report = report
        self.replace = replace
        self.bodies: set[Job] = set()
        """What has begun here and has not ended."""
        self.guard = threading.Lock()
        """Held while deciding which body is inside, and while an exception is thrown into it."""
        self.inside: Job | None = None
        """Whose code runs at this moment, between two awaits."""
        self.interrupted = False
        self.closed = False

    # --- its own thread ---------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until `close`."""
        asyncio.set_event_loop(self.loop)
        while not self.closed:
            # asyncio lets the first two of a body through; the third is ours, should it miss the body it was meant for.
            with contextlib.suppress(SystemExit, KeyboardInterrupt, TaskTimeout):
                self.loop.run_forever()
        for left in asyncio.all_tasks(self.loop):
            left.cancel()
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()

    async def serve(self, job: Job) -> None:
        async with self.slots:  # the runway waits here, as it does in front of the threads
            if self.closed or not self.begins(job):
                return
            whose.set(job)  # of this coroutine's own context
            self.bodies.add(job)
            if job.timeout is not None:
                moment = time.monotonic() + job.timeout + timekeeper.PATIENCE
                self.timekeeper.at(moment, job, self.ask)
            try:
                outcome = await coroutine.acall(job, reporter=self.recorder, clean_every=CLEAN_EVERY)
            except BaseException as error:  # as in Executor.run
                outcome = body.beside(job, error=error)
            self.bodies.discard(job)
            self.report(job, outcome)

    def make_task(
        self, loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Any], **options: Any
    ) -> asyncio.Task[Any]:
        job = whose.get()
        return asyncio.Task(coro if job is None else Steps(coro, job=job, home=self), loop=loop, **options)

    # --- any thread -------------------------------------------------------------------------------------------------

    def submit(self, job: Job) -> None:
        """Have an attempt executed."""
        asyncio.run_coroutine_threadsafe(self.serve(job), self.loop)

    def close(self) -> None:
        """End the loop: now, or when it is free again."""
        self.closed = True
        with contextlib.suppress(RuntimeError):  # it is closed
            self.loop.call_soon_threadsafe(self.loop.stop)

    # --- the timekeeper's thread ------------------------------------------------------------------------------------

    def ask(self, job: Job, *, interrupted: bool = False) -> None:
        """A body has outlived its time: ask the loop for a sign of life, and decide when it had time to give it."""
        if job not in self.bodies:
            return
        alive = threading.Event()
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(alive.set)
        self.timekeeper.at(
            time.monotonic() + ANSWER, job, lambda job: self.judge(job, alive, interrupted=interrupted)
        )

    def judge(self, job: Job, alive: threading.Event, *, interrupted: bool) -> None:
        if job not in self.bodies:
            return
        inside = None if alive.is_set() else self.inside
        if not alive.is_set() and inside is not job:
            # Another body holds the loop, by a right of its own until its time is over: this one ends without a word.
            logger.warning(
                "the event loop is blocked",
                extra={"by": inside.attempt.task_id if inside else "", "task_id": job.attempt.task_id},
            )
            self.timekeeper.end_without(job)
        elif not interrupted:
            self.interrupt(job) if inside is job else interrupt_again(job)
            self.timekeeper.at(
                time.monotonic() + timekeeper.LAST_PATIENCE, job, lambda job: self.ask(job, interrupted=True)
            )
        elif self.timekeeper.abandon_body(job) and inside is job:
            self.give_up()

    def interrupt(self, job: Job) -> None:
        with self.guard:
            if self.inside is job:
                self.interrupted = True
                throw(self.ident or 0, TaskTimeout)

    def give_up(self) -> None:
        """Give back what else runs here; a body that goes on when the loop is free again is a zombie, and cancelled."""
        self.replace(self)
        for job in list(self.bodies):
            attempt = job.attempt
            self.report(
                job,
                transitions.released(
                    attempt.run_id, attempt.token, age=job.age, own=True, why="the event loop was blocked"
                ),
            )
            interrupt(job)
        self.close()


class Steps(Coroutine[Any, Any, Any]):
    """A body's coroutine that tells its loop when its code runs."""

    __slots__ = ("coro", "home", "job")

    def __init__(self, coro: Coroutine[Any, Any, Any], *, job: Job, home: EventLoop) -> None:
        self.coro = coro
        self.job = job
        self.home = home

    def send(self, value: Any) -> Any:
        """Go on to the next await."""
        return self.step(self.coro.send, value)

    def throw(self, *error: Any) -> Any:
        """Go on with an error, to the next await."""
        return self.step(self.coro.throw, *error)

    def close(self) -> None:
        """End."""
        self.coro.close()

    def __await__(self) -> Any:
        return self.coro.__await__()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.coro, name)  # cr_frame and the like, for whoever prints a stack

    def step(self, act: Callable[..., Any], *given: Any) -> Any:
        home = self.home
        with home.guard:
            home.inside = self.job
        try:
            return act(*given)
        finally:
            with home.guard:
                home.inside = None
                if home.interrupted:  # what is on its way must not hit the next
                    home.interrupted = False
                    throw(home.ident or 0, None)


def interrupt_again(job: Job) -> None:
    """Cancel a coroutine that swallowed its timeout."""
    if job.tell_body is not None:
        job.tell_body()
