"""Writes what attempts became: whatever has accumulated since the last commit is one batch.

No timer: an idle system commits at once, a busy one groups by itself (group commit).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any, Final
from uuid import UUID

from django.db import DatabaseError, InterfaceError, connections

from openqueue import codec, signals
from openqueue.context import TaskContext
from openqueue.core import transitions
from openqueue.processes.worker.job import Job, context_of
from openqueue.processes.worker.ledger import Ledger
from openqueue.states import Status
from openqueue.store import store
from openqueue.types import LogLine, Outcome, Progress, Settled

logger = logging.getLogger("openqueue")

BATCH: Final = 500
LINES_A_RUN: Final = 1_000
LINE_LIMIT: Final = 8_192
HIGHEST_LEVEL: Final = 2**15 - 1
"""What the column of a log line's level holds."""
PROGRESS_EVERY: Final = 1.0
HOOKS: Final = {
    Status.COMPLETED: "success",
    Status.RETRYING: "retry",
    Status.FAILED: "failure",
    Status.CANCELLED: "cancel",
}
Note = tuple[UUID, int, int, str, float]
Item = Outcome | LogLine | Progress | None


class Recorder(threading.Thread):
    """One thread with its own database connection."""

    def __init__(self, *, ledger: Ledger, stop_after: Callable[[], bool] = lambda: False) -> None:
        super().__init__(name="openqueue-recorder", daemon=True)
        self.ledger = ledger
        self.items: SimpleQueue[Any] = SimpleQueue()
        self.lines: dict[UUID, int] = {}
        self.progress_at: dict[UUID, float] = {}
        self.newest: dict[UUID, Progress] = {}
        self.afterwards: Callable[[Callable[[], None]], None] = lambda act: act()
        self.gave_up = threading.Event()

    # --- what the bodies' threads call ------------------------------------------------------------------------

    def put(self, outcome: Outcome) -> None:
        """Have an attempt settled."""
        self.items.put(outcome)

    def progress(self, context: TaskContext, *, percent: float | None, message: str) -> None:
        """Keep the newest progress; at most one a second is written."""
        message = context.mask(str(message)) if context.mask else str(message)
        data = codec.encode(
            {"percent": percent, "message": codec.clip(message, limit=1_000)},
            what="progress",
            limit=10_000,
        )
        self.items.put(Progress(context.run_id, context.attempt, data))

    def log(self, context: TaskContext, *, level: int, text: str) -> None:
        """Keep a log line of a run: 8 KiB each, 1,000 a run."""
        count = self.lines.get(context.run_id, 0)
        if count > LINES_A_RUN:
            return
        self.lines[context.run_id] = count + 1
        if context.mask:
            text = context.mask(text)
        if count == LINES_A_RUN:
            text = f"more than {LINES_A_RUN} lines: the rest was left out"
        line = codec.clip(text, limit=LINE_LIMIT)
        level = min(level, HIGHEST_LEVEL)
        self.items.put((context.run_id, context.attempt, level, line, time.monotonic()))

    def tell_start(self, job: Job) -> None:
        """Tell whoever listens of the start: on the slot itself, so that it is told before the end, or for a
        coroutine on another, so that a slow listener does not hold the loop.
        """
        attempt = job.attempt
        facts = {"run_id": attempt.run_id, "attempt": attempt.attempt, "queue": attempt.queue}
        if job.task.is_async:
            self.afterwards(lambda: tell(job, "start", (), signal=signals.run_started, facts=facts))
        else:
            tell(job, "start", (), signal=signals.run_started, facts=facts)

    # --- the thread -----------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Write batches until `stop`; what cannot be written is tried again until it can, or until `give_up`."""
        store().pin_plans()
        while True:
            batch = self.gather()
            ending = None in batch
            self.persist([item for item in batch if item is not None])
            if ending:
                break
        connections.close_all()

    def gather(self) -> list[Any]:
        """Return what has accumulated; wait for the first."""
        wait = PROGRESS_EVERY if self.newest else None
        try:
            batch = [self.items.get(timeout=wait)]
        except Empty:
            return []
        while len(batch) < BATCH:
            try:
                batch.append(self.items.get_nowait())
            except Empty:
                break
        return batch

    def persist(self, items: Sequence[Any]) -> None:
        failures = 0
        outcomes = [item for item in items if type(item) is Outcome]
        notes = [item for item in items if type(item) is tuple]
        for item in items:
            if type(item) is Progress:
                self.newest[item.run_id] = item
        while not self.gave_up.is_set():
            try:
                if notes or self.newest:
                    self.note(notes, ending={o.run_id for o in outcomes})
                    notes = []
                settled = transitions.settle(self.aged(outcomes)) if outcomes else []
            except (DatabaseError, InterfaceError):
                # Outcome unknown, or nothing reached the database: send the same again on a fresh connection.
                failures += 1
                logger.warning(
                    "could not record, trying again",
                    extra={"outcomes": len(outcomes)},
                    exc_info=failures == 1,
                )
                connections.close_all()
                self.gave_up.wait(min(2.0, 0.05 * 2 ** min(failures, 6)))
                continue
            except Exception:
                # Nothing that one batch holds may end the recorder: what it held goes back with the next heartbeat.
                logger.exception("could not record, given back", extra={"outcomes": len(outcomes)})
                settled = []
            self.after(outcomes, settled)
            return

    def aged(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Return outcomes with the ages of now: they waited for this batch, and the start is reckoned back from it."""
        found = ((o, self.ledger.find(o.run_id, o.token)) for o in outcomes)
        return [o if job is None or o.age is None else o._replace(age=job.age) for o, job in found]

    def note(self, notes: Sequence[Note], *, ending: set[UUID]) -> None:
        now = time.monotonic()
        due = [
            p
            for p in self.newest.values()
            if p.run_id in ending or now - self.progress_at.get(p.run_id, 0.0) >= PROGRESS_EVERY
        ]
        logs = [LogLine(run, attempt, level, text, now - at) for run, attempt, level, text, at in notes]
        if due or logs:
            store().note(progress=due, logs=logs)
        for p in due:
            del self.newest[p.run_id]
            self.progress_at[p.run_id] = now

    def after(self, outcomes: Sequence[Outcome], settled: Sequence[Settled]) -> None:
        if not outcomes:
            return
        jobs = {s.run_id: job for s in settled if (job := self.ledger.find(s.run_id, s.token)) is not None}
        self.ledger.settled(((o.run_id, o.token) for o in outcomes), outcomes=len(outcomes))
        for o in outcomes:
            self.lines.pop(o.run_id, None)
            self.progress_at.pop(o.run_id, None)
        heard = bool(signals.run_settled.receivers)
        by_run = {o.run_id: o for o in outcomes}
        for s in settled:
            job = jobs.get(s.run_id)
            if job is None:
                continue
            hook = HOOKS.get(s.status, "")
            if heard or job.task.hooks.get(hook) is not None:
                self.tell_settled(job, s, by_run[s.run_id], hook=hook)

    def tell_settled(self, job: Job, settled: Settled, outcome: Outcome, *, hook: str) -> None:
        facts = {
            "run_id": settled.run_id,
            "attempt": job.attempt.attempt,
            "queue": job.attempt.queue,
            "status": settled.status.value,
            "reason": outcome.reason.value,
            "duration": job.age,
            "error": codec.decode(outcome.error) if outcome.error else None,
        }
        arguments: tuple[Any, ...] = ()
        if hook == "success":
            arguments = (codec.decode(outcome.result) if outcome.result else None,)
        elif hook in {"retry", "failure"}:
            arguments = (facts["error"],)
        self.afterwards(lambda: tell(job, hook, arguments, signal=signals.run_settled, facts=facts))

    def stop(self) -> None:
        """Write what is there, then end."""
        self.items.put(None)

    def give_up(self) -> None:
        """Stop trying to write: the database is away and the process has to end."""
        self.gave_up.set()


def tell(job: Job, name: str, arguments: tuple[Any, ...], *, signal: Any, facts: dict[str, Any]) -> None:
    """Send a signal and call the task's hook with its context; their errors are logged, the run stands."""
    for receiver, answer in signal.send_robust(sender=job.task, **facts):
        if isinstance(answer, Exception):
            logger.error("a signal receiver failed", extra={"receiver": repr(receiver)}, exc_info=answer)
    hook = job.task.hooks.get(name)
    if hook is not None:
        try:
            hook(job.context or context_of(job), *arguments)
        except BaseException:  # SystemExit too: it would end the slot
            logger.exception("a hook failed", extra={"task_id": job.task.id, "hook": name})
