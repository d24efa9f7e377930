"""Inside a child: takes one attempt at a time, runs its body in the main thread, tells the outcome."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import signal
import sys
import threading
import time
from importlib import import_module
from typing import Any, Final
from uuid import UUID

from openqueue import codec, registry
from openqueue.context import TaskContext
from openqueue.core import transitions
from openqueue.errors import UnknownTask
from openqueue.processes.worker import body, coroutine
from openqueue.processes.worker.capture import LogCapture
from openqueue.processes.worker.children import memory, wire
from openqueue.processes.worker.children.wire import Lines
from openqueue.processes.worker.heartbeat import interrupt
from openqueue.processes.worker.job import Job
from openqueue.processes.worker.recorder import LINE_LIMIT, LINES_A_RUN
from openqueue.states import Reason
from openqueue.types import Claimed, Outcome

logger = logging.getLogger("openqueue")

PROGRESS_EVERY: Final = 0.2
WEIGH_EVERY: Final = 0.01
"""Seconds between two looks at one's own memory: after every body that is not the quickest."""
KEPT_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)


class Inside:
    """The child's whole life."""

    def __init__(self, orders: Lines, control: Lines) -> None:
        self.orders = orders
        self.control = control
        self.job: Job | None = None
        self.reporter = ChildReporter(orders)
        self.pid = os.getpid()
        self.home = os.getcwd()
        self.weigh_at = 0.0
        self.handlers = {number: signal.getsignal(number) for number in KEPT_SIGNALS}

    def serve(self) -> None:
        """Work until the parent closes the socket."""
        threading.Thread(target=self.hear, name="openqueue-control", daemon=True).start()
        for stream in (sys.stdout, sys.stderr):  # line by line, as a console: it may be killed at any moment
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(line_buffering=True)
        LogCapture(self.reporter).install()
        registry.index()
        self.orders.send(ready=memory.resident(self.pid))
        while (order := self.orders.receive()) is not None:
            outcome = self.execute(wire.attempt_of(order["attempt"]), module=order["module"])
            if os.getpid() != self.pid:
                os._exit(0)  # the body forked, and this copy of us came back from it
            told: dict[str, Any] = {"end": wire.outcome_to_json(outcome)}
            if newest := self.reporter.take_newest():
                told["progress"] = newest
            if time.monotonic() >= self.weigh_at:
                told["rss"] = memory.resident(self.pid)
                self.weigh_at = time.monotonic() + WEIGH_EVERY
            self.orders.send(**told)
            self.tidy()

    def execute(self, attempt: Claimed, *, module: str) -> Outcome:
        """Run the body of one attempt; never raises."""
        try:
            task = find(attempt.task_id, module=module)
        except Exception as error:  # importing a project's module may raise anything
            return transitions.failed(attempt, reason=Reason.ERROR, error=codec.describe(error), age=None)
        job = self.job = BoundedJob(attempt, task)
        job.begun_at = time.monotonic()
        self.reporter.begin(attempt.run_id)
        if task.memory_limit is not None:
            memory.limit(task.memory_limit)
        try:
            if task.is_async:
                return asyncio.run(coroutine.acall(job, reporter=self.reporter, clean_every=0.0))
            return body.call(job, reporter=self.reporter)
        except BaseException as error:  # ours, or what memory was left for
            job.leave_body()
            return body.beside(job, error=error)
        finally:
            job.leave_body()
            self.job = None

    def hear(self) -> None:
        """Tell the body when nobody wants it any more; end when the parent is gone."""
        while (told := self.control.receive()) is not None:
            job = self.job
            if job is not None and str(job.attempt.token) == told.get("stop"):
                interrupt(job)
        if self.job is not None:  # in a body for which nobody waits any more
            os.killpg(0, signal.SIGKILL)

    def tidy(self) -> None:
        """Undo what a body may have changed of the whole process."""
        if os.getcwd() != self.home:
            os.chdir(self.home)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self.handlers.items():
            if signal.getsignal(number) is not handler:
                signal.signal(number, handler)


class BoundedJob(Job):
    """Its memory limit is lifted as soon as the body is left: describing what went wrong takes some itself."""

    __slots__ = ()

    def leave_body(self) -> None:
        """Leave the body."""
        if self.task.memory_limit is not None:
            memory.limit(None)


class ChildReporter:
    """Sends what a body says to the parent. Bounded here already: a flood does not cross the pipe."""

    def __init__(self, orders: Lines) -> None:
        self.orders = orders
        self.pid = os.getpid()
        self.newest: list[Any] | None = None
        self.told_at = float("-inf")
        self.lines = 0
        self.run_id: UUID | None = None

    def begin(self, run_id: UUID) -> None:
        self.run_id, self.lines, self.newest, self.told_at = run_id, 0, None, float("-inf")

    def progress(self, context: TaskContext, *, percent: float | None, message: str) -> None:
        """Keep the newest, and send one now and then."""
        if not self.is_mine(context):
            return
        message = context.mask(str(message)) if context.mask else str(message)
        self.newest = [percent, codec.clip(message, limit=1_000)]
        if time.monotonic() - self.told_at >= PROGRESS_EVERY:
            self.told_at = time.monotonic()
            self.orders.send(progress=self.take_newest())

    def take_newest(self) -> list[Any] | None:
        newest, self.newest = self.newest, None
        return newest

    def has_room(self, context: TaskContext) -> bool:
        return self.is_mine(context) and self.lines <= LINES_A_RUN

    def log(self, context: TaskContext, *, level: int, text: str) -> None:
        """Send a line, while the run has some left."""
        if not self.has_room(context):
            return
        self.lines += 1
        if context.mask:
            text = context.mask(text)
        self.orders.send(log=[level, codec.clip(text, limit=LINE_LIMIT)])

    def is_mine(self, context: TaskContext) -> bool:
        """Tell a body's own words from those of a thread or process that it left behind."""
        return context.run_id == self.run_id and os.getpid() == self.pid


def find(task_id: str, *, module: str) -> Any:
    """Return the task of an id; one that is declared outside of a tasks.py is there once its module is imported."""
    if task_id in registry.index():
        return registry.get(task_id)
    for value in vars(import_module(module)).values():
        if getattr(value, "given_id", None) == task_id or (
            hasattr(value, "signature") and getattr(value, "id", None) == task_id
        ):
            return value
    raise UnknownTask(task_id)
