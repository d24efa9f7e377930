"""One worker in the test's own thread: claim, body, settle, as every worker does them, one run after the other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from queue import Empty
from typing import Any, Final
from uuid import UUID, uuid4

from asgiref.sync import async_to_sync
from django.db.models import QuerySet

from openqueue import codec, registry
from openqueue.conf import config
from openqueue.core import permits, transitions
from openqueue.errors import TaskCancelled, TaskTimeout
from openqueue.models import Outbox, QueueState, Run
from openqueue.processes.sweeps import reaper
from openqueue.processes.worker import body
from openqueue.processes.worker.capture import LogCapture
from openqueue.processes.worker.job import Job
from openqueue.processes.worker.ledger import Ledger
from openqueue.processes.worker.recorder import Recorder
from openqueue.states import Status
from openqueue.store import permits as permits_of
from openqueue.store import store
from openqueue.testing.borrowed import as_if_alone
from openqueue.testing.faults import Fault, Faults, Loss
from openqueue.types import ClaimRequest, LogLine, Outcome, Progress

BATCH: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One attempt that ``run_all()`` executed, and what became of its run."""

    run_id: UUID
    task_id: str
    attempt: int
    status: str
    """Of the run after it: completed, retrying, failed, cancelled, or queued where its worker was lost."""
    reason: str
    result: Any
    """What the body returned, as JSON has it."""
    error: dict[str, Any] | None
    """As it is stored with the run: type, message, traceback."""
    exception: BaseException | None
    """What left the body."""
    injected: bool
    """The test asked for this end."""
    logs: Sequence[str]
    """What the body logged, as it is kept with the run."""
    progress: dict[str, Any] | None
    """What it told last: percent and message."""

    @property
    def went_wrong(self) -> bool:
        """Tell whether the attempt failed, and not because the test asked for it."""
        return not self.injected and self.status in {Status.FAILED, Status.RETRYING}


class Stage:
    """Executes what is due at the moments of ``clock``."""

    def __init__(self, *, clock: Callable[[], datetime], faults: Faults) -> None:
        self.clock = clock
        self.faults = faults
        self.ledger = Ledger(slots=1, lease=config.lease.total_seconds())
        self.recorder = Recorder(ledger=self.ledger)
        self.capture = LogCapture(self.recorder)

    @contextmanager
    def hearing(self) -> Iterator[None]:
        """Keep what bodies log."""
        self.capture.install()
        try:
            yield
        finally:
            self.capture.remove()

    # --- what is due ------------------------------------------------------------------------------------------

    def waiting(self, **narrowed: Any) -> QuerySet[Outbox]:
        """Return outbox rows that could be executed here: of known tasks, in queues that are not paused."""
        alias = store().alias
        paused = QueueState.objects.using(alias).filter(paused=True).values("name")
        rows = Outbox.objects.using(alias).filter(task_id__in=list(registry.index()), **narrowed)
        return rows.exclude(queue__in=paused)

    def next(self) -> Outbox | None:
        """Return the row to execute next: the highest priority first, then the longest due."""
        while True:
            now = self.clock()
            ready = self.waiting(ready=True, due_at__lte=now).exclude(expires_at__lte=now)
            row = ready.order_by("-priority", "due_at", "run_id").first()
            if row is not None:
                return row
            expired = transitions.expire(limit=BATCH, now=now)
            flipped = store().flip_ready(limit=BATCH, now=now)
            if not self.admit() and not flipped and not expired:
                return None

    def admit(self) -> int:
        """Let through whoever the fleet's limits have room for."""
        names = permits_of.waited_for(store(), limit=BATCH)
        return len(permits.admit(names, now=self.clock())) if names else 0

    def next_due_at(self) -> datetime | None:
        """Return when the next row falls due that is not due yet, or a rate has room that rows wait for."""
        now = self.clock()
        later = self.waiting(ready=False, due_at__gt=now).order_by("due_at")
        moments = [later.values_list("due_at", flat=True).first(), permits_of.next_at(store(), now=now)]
        return min((moment for moment in moments if moment is not None), default=None)

    # --- one attempt --------------------------------------------------------------------------------------------

    def execute(self, row: Outbox) -> Execution | None:
        """Execute one attempt; None when the row could not be claimed."""
        token = uuid4()
        request = ClaimRequest(worker_id=self.ledger.worker_id, token=token, known=[row.task_id])
        self.ledger.expect(token)
        claimed = transitions.claim_named(
            request, announcements=[(row.run_id, row.seq)], now=self.clock()
        ).claimed
        jobs = [Job(attempt, registry.get(attempt.task_id)) for attempt in claimed]
        self.ledger.take(token, jobs)
        for job in jobs:
            return self.play(job)
        return None

    def play(self, job: Job) -> Execution:
        attempt = job.attempt
        fault = self.faults.of(task_id=attempt.task_id, run_id=attempt.run_id, attempt=attempt.attempt)
        performance = Performance(job, fault)
        job.begun_at, job.running = time.monotonic(), True
        self.recorder.tell_start(job)
        outcome = None if fault.loss is Loss.BEFORE else self.outcome(job, performance)
        self.ledger.done(job, took=None, unsettled=outcome is not None)
        if fault.loss is not None:
            reaper.give_back(
                [(attempt.run_id, attempt.token, attempt.task_id, attempt.crash_count, attempt.worker_id)],
                now=self.clock(),
            )
        logs, progress = self.record(outcome)
        if outcome is None:
            self.ledger.drop(job)
        run = (
            Run.objects.using(store().alias)
            .only("status", "reason", "result", "error")
            .get(pk=attempt.run_id)
        )
        return Execution(
            run_id=attempt.run_id,
            task_id=attempt.task_id,
            attempt=attempt.attempt,
            status=run.status,
            reason=run.reason,
            result=run.result,
            error=run.error if run.status != Status.COMPLETED else None,
            exception=performance.exception,
            injected=performance.injected,
            logs=logs,
            progress=progress,
        )

    def outcome(self, job: Job, performance: Performance) -> Outcome:
        with as_if_alone() as commit:
            job.function = performance.of(job.task.function, commit)
            return body.call(job, reporter=self.recorder, clean=lambda: None)

    def record(self, outcome: Outcome | None) -> tuple[list[str], dict[str, Any] | None]:
        """Write what the recorder was told, in one batch as it would; return log lines and the newest progress."""
        now, lines, progress = self.clock(), [], None
        try:
            while True:
                item = self.recorder.items.get_nowait()
                if type(item) is tuple:
                    run_id, attempt, level, text, at = item
                    lines.append(LogLine(run_id, attempt, level, text, time.monotonic() - at))
                elif type(item) is Progress:
                    progress = item
        except Empty:
            pass
        if lines or progress:
            store().note(progress=[progress] if progress else [], logs=lines, now=now)
        if outcome is not None:
            outcomes = self.recorder.aged([outcome])
            self.recorder.after(outcomes, transitions.settle(outcomes, now=now))
        return [line.text for line in lines], codec.decode(progress.data) if progress else None


class Performance:
    """A body with its fault: what leaves it is remembered, so that the test can be shown it."""

    def __init__(self, job: Job, fault: Fault) -> None:
        self.job = job
        self.fault = fault
        self.exception: BaseException | None = None
        self.injected = fault.loss is not None

    def of(self, inner: Callable[..., Any], commit: Callable[[], None]) -> Callable[..., Any]:
        """Return the body as it is to be called: in this thread, whatever it is."""

        def performed(*args: Any, **kwargs: Any) -> Any:
            try:
                self.open()
                try:
                    if self.job.task.is_async:
                        return async_to_sync(self.awaited)(inner(*args, **kwargs))
                    return inner(*args, **kwargs)
                finally:
                    commit()
            except BaseException as error:
                self.exception = error
                self.injected |= self.fault.cancel and isinstance(error, TaskCancelled)
                raise

        return performed

    def open(self) -> None:
        """Do what happens in front of the body."""
        if self.fault.cancel:
            store().request_cancel([self.job.attempt.run_id], actor="")
            assert self.job.context is not None
            self.job.context.ask_to_stop()
        if self.fault.error is not None:
            self.injected = True
            raise self.fault.error

    async def awaited(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Await a coroutine as the worker's loop does: its timeout, and a cancellation, come at an await."""
        inner = asyncio.ensure_future(coroutine)
        if self.fault.cancel:
            asyncio.get_running_loop().call_soon(inner.cancel)
        try:
            async with asyncio.timeout(self.job.timeout):
                return await inner
        except TimeoutError as error:
            if self.job.timeout is not None and (self.job.age or 0) >= self.job.timeout:
                raise TaskTimeout from error
            raise
        except asyncio.CancelledError as error:
            if self.fault.cancel:
                raise TaskCancelled from error
            raise
