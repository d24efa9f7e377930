"""Runs bodies: sync ones on a pool of threads fed by one queue, async ones on one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Final

from asgiref.sync import sync_to_async
from django.db import connections

from openqueue import signals
from openqueue.context import current
from openqueue.errors import TaskCancelled, TaskTimeout
from openqueue.processes.worker import body
from openqueue.processes.worker.job import Job, context_of
from openqueue.processes.worker.ledger import Ledger
from openqueue.processes.worker.recorder import Recorder
from openqueue.processes.worker.timekeeper import Timekeeper
from openqueue.telemetry import otel
from openqueue.types import Outcome

logger = logging.getLogger("openqueue")
CLEAN_EVERY: Final = 1.0
Work = Job | Callable[[], None] | None


class Executor:
    """Feeds attempts to bodies and their outcomes to the recorder."""

    def __init__(self, *, ledger: Ledger, recorder: Recorder, timekeeper: Timekeeper) -> None:
        self.ledger = ledger
        self.recorder = recorder
        self.timekeeper = timekeeper
        self.work: SimpleQueue[Work] = SimpleQueue()
        self.threads: list[threading.Thread] = []
        self.loop: asyncio.AbstractEventLoop | None = None
        self.loop_lock = threading.Lock()
        self.async_slots = asyncio.Semaphore(ledger.slots)
        self.stopped = False
        self.cleaned_at = 0.0
        timekeeper.replace_slot = self.add_thread

    def start(self) -> None:
        """Open the slots."""
        for _ in range(self.ledger.slots):
            self.add_thread()

    def add_thread(self) -> None:
        name = f"openqueue-slot-{len(self.threads)}"
        thread = threading.Thread(target=self.slot, name=name, daemon=True)
        self.threads.append(thread)
        thread.start()

    def submit(self, job: Job) -> None:
        """Have an attempt executed."""
        if job.task.is_async:
            asyncio.run_coroutine_threadsafe(self.coroutine(job), self.event_loop())
        else:
            self.work.put(job)

    def afterwards(self, act: Callable[[], None]) -> None:
        """Run a hook on a slot."""
        self.work.put(act)

    def stop(self, *, until: float) -> None:
        """Close the slots once their hooks are done, at a monotonic moment at the latest: a body may never end."""
        self.stopped = True
        for _ in self.threads:
            self.work.put(None)
        for thread in self.threads:
            thread.join(max(0.0, until - time.monotonic()))
        if self.loop is not None:
            self.loop.call_soon_threadsafe(self.loop.stop)

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
            self.recorder.put(outcome)
        job.running = False

    # --- event loop -----------------------------------------------------------------------------------------------

    def event_loop(self) -> asyncio.AbstractEventLoop:
        with self.loop_lock:
            if self.loop is None:
                loop = asyncio.new_event_loop()
                threading.Thread(
                    target=self.run_loop, args=[loop], name="openqueue-loop", daemon=True
                ).start()
                self.loop = loop
            return self.loop

    def run_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        while not self.stopped:
            with contextlib.suppress(SystemExit, KeyboardInterrupt):  # asyncio lets those of a body through
                loop.run_forever()
        for left in asyncio.all_tasks(loop):
            left.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()

    async def coroutine(self, job: Job) -> None:
        async with self.async_slots:  # the runway waits here, as it does in front of the threads
            if not self.begins(job):
                return
            try:
                outcome = await self.acall(job)
            except BaseException as error:  # as in `run`
                outcome = body.beside(job, error=error)
            self.report(job, outcome)

    async def acall(self, job: Job) -> Outcome:
        with otel.consumer_span(
            job.attempt.traceparent, name=job.attempt.task_id, facts=lambda: body.span_facts(job)
        ) as span:
            try:
                kwargs = body.arguments(job)
            except Exception as error:  # as in body.call
                return body.refused(job, error=error)
            context = job.context = context_of(job, reporter=self.recorder)
            current.set(context)  # this coroutine's own context: nothing to reset
            function = job.task.function
            args = (context,) if job.task.signature.takes_context else ()
            inner = asyncio.ensure_future(function(*args, **kwargs))
            job.cancel_async = lambda: self.cancel_soon(inner)
            try:
                async with asyncio.timeout(job.timeout):
                    result = await inner
            except TimeoutError as error:
                expired = job.timeout is not None and (job.age or 0) >= job.timeout
                return body.unhappy(job, error=TaskTimeout() if expired else error)
            except asyncio.CancelledError as error:
                if context.is_cancelled:
                    return body.unhappy(job, error=TaskCancelled())
                return body.unhappy(job, error=error)
            except BaseException as error:  # as in body.call
                otel.record(span, error)
                return body.unhappy(job, error=error)
            finally:
                await self.clean_async_connections()
            return body.happy(job, result=result)

    def cancel_soon(self, inner: asyncio.Future[object]) -> None:
        if self.loop is not None:
            self.loop.call_soon_threadsafe(inner.cancel)

    async def clean_async_connections(self) -> None:
        """Async bodies share the connections of one thread of asgiref's; look at them now and then."""
        if time.monotonic() - self.cleaned_at >= CLEAN_EVERY:
            self.cleaned_at = time.monotonic()
            await sync_to_async(body.clean_connections)()
