"""Writes what attempts became: whatever has accumulated since the last commit is one batch.

No timer: an idle system commits at once, a busy one groups by itself (group commit).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, Final
from uuid import UUID

from django.db import DatabaseError, InterfaceError, connections

from openqueue import codec, signals
from openqueue.context import TaskContext
from openqueue.core import post_commit, transitions
from openqueue.processes.worker.job import Job, context_of
from openqueue.processes.worker.ledger import Ledger
from openqueue.states import FINAL, Status
from openqueue.store import store, waking
from openqueue.types import LogLine, Outcome, Progress, Settled

logger = logging.getLogger("openqueue")

BATCH: Final = 500
LINES_A_RUN: Final = 1_000
LINE_LIMIT: Final = 8_192
HIGHEST_LEVEL: Final = 2**15 - 1
"""What the column of a log line's level holds."""
PROGRESS_EVERY: Final = 1.0
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
        self.guard = threading.Lock()
        """Held while deciding which thread's answer counts."""
        self.writer: threading.Thread = self
        self.batch: list[Any] = []
        """What the writer is about to record."""
        self.began_at: float | None = None
        """When the try that runs now began, monotonic."""
        self.turns = 0
        """Tries that came back."""
        self.locked: list[Outcome] = []
        """Outcomes of runs that somebody else has locked: they are tried again, and hold up no other."""

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

    def has_room(self, context: TaskContext) -> bool:
        """Tell whether more lines of this run would be kept."""
        return self.lines.get(context.run_id, 0) <= LINES_A_RUN

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
        with suppress(DatabaseError, InterfaceError):  # now, while there is one: later they may all be taken
            store().connection.ensure_connection()
        me = threading.current_thread()
        while self.writer is me:
            batch = self.batch or self.gather()
            self.batch = batch
            self.persist([item for item in batch if item is not None])
            if None in batch:
                break
        while self.writer is me and self.locked and not self.gave_up.wait(0.2):
            self.persist([])
        connections.close_all()

    def finishes(self) -> bool:
        """Tell whether this thread still speaks for the batch; if so it is through with it."""
        with self.guard:
            if self.writer is not threading.current_thread():
                return False
            self.batch, self.began_at = [], None
            self.turns += 1
            return True

    @property
    def stuck_for(self) -> float:
        """Seconds since the try began that has not come back yet."""
        began = self.began_at
        return 0.0 if began is None else time.monotonic() - began

    def relieve(self) -> None:
        """Have another thread, on a connection of its own, send what this one does not get an answer to.

        The fence makes sending twice harmless; what the thread before hears after all is not listened to.
        """
        with self.guard:
            if self.began_at is None:
                return
            self.began_at = time.monotonic()
            self.writer = threading.Thread(target=self.run, name=self.name, daemon=True)
            self.writer.start()

    def join(self, timeout: float | None = None) -> None:
        """Wait for whichever thread writes."""
        if self.writer is self:
            super().join(timeout)
        else:
            self.writer.join(timeout)

    def gather(self) -> list[Any]:
        """Return what has accumulated; wait for the first."""
        wait = PROGRESS_EVERY if self.newest or self.locked else None
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
        left: list[Outcome] = []
        outcomes = [item for item in items if type(item) is Outcome]
        notes = [item for item in items if type(item) is tuple]
        for item in items:
            if type(item) is Progress:
                self.newest[item.run_id] = item
        while not self.gave_up.is_set():
            self.began_at = time.monotonic()
            try:
                if notes or self.newest:
                    self.note(notes, ending={o.run_id for o in outcomes})
                    notes = []
                freed = self.unlocked()
                outcomes += freed
                self.batch += freed  # whoever relieves this thread has to record them too
                left.clear()
                settled = transitions.settle(self.aged(outcomes), left=left)
            except (DatabaseError, InterfaceError):
                if self.writer is not threading.current_thread():
                    return
                self.began_at = None
                self.turns += 1
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
            except Exception:  # no batch may end the recorder: this one goes back with the next heartbeat
                logger.exception("could not record, given back", extra={"outcomes": len(outcomes)})
                connections.close_all()  # whatever it was, it must not stay with this connection
                settled = []
            self.tell_ended(settled)
            if self.finishes():
                self.locked += left
                waiting = {o.run_id for o in left}
                self.after([o for o in outcomes if o.run_id not in waiting], settled)
            return

    @staticmethod
    def tell_ended(settled: Sequence[Settled]) -> None:
        """Wake whoever waits for these runs in another process, where the database can."""
        if any(s.status in FINAL for s in settled):
            with suppress(DatabaseError, InterfaceError):  # they look from time to time as well
                waking.tell(store())

    def unlocked(self) -> list[Outcome]:
        """Take back the outcomes whose runs nobody holds locked any more."""
        if not self.locked:
            return []
        held = store().locked_runs(o.run_id for o in self.locked)
        free = [o for o in self.locked if o.run_id not in held]
        self.locked = [o for o in self.locked if o.run_id in held]
        return free

    def aged(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Return outcomes with the ages of now: they waited for this batch, and the start is reckoned back from it."""
        found = ((o, self.ledger.find(o.run_id, o.token)) for o in outcomes)
        return [o if job is None or o.age is None else o._replace(age=job.age) for o, job in found]

    def note(self, notes: Sequence[Note], *, ending: set[UUID]) -> None:
        now = time.monotonic()
        due = [
            p
            for p in list(self.newest.values())
            if p.run_id in ending or now - self.progress_at.get(p.run_id, 0.0) >= PROGRESS_EVERY
        ]
        logs = [LogLine(run, attempt, level, text, now - at) for run, attempt, level, text, at in notes]
        if due or logs:
            store().note(progress=due, logs=logs)
        for p in due:
            self.newest.pop(p.run_id, None)  # by now another thread may have written it
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
        if again := [(s.run_id, by_run[s.run_id].delay) for s in settled if s.status is Status.RETRYING]:
            post_commit.announce_ahead(again)
        for s in settled:
            job = jobs.get(s.run_id)
            if job is None:
                continue
            hook = signals.HOOKS.get(s.status, "")
            if heard or job.task.hooks.get(hook) is not None:
                self.tell_settled(job, s, by_run[s.run_id], hook=hook)

    def tell_settled(self, job: Job, settled: Settled, outcome: Outcome, *, hook: str) -> None:
        if settled.status == Status.COMPLETED and job.completion is not None:
            outcome = job.completion  # also when the body was not told that its commit stands
        facts = signals.facts_of_end(
            outcome,
            run_id=settled.run_id,
            attempt=job.attempt.attempt,
            queue=job.attempt.queue,
            status=settled.status,
            duration=job.age,
        )
        arguments = signals.hook_arguments(hook, outcome, error=facts["error"])
        self.afterwards(lambda: tell(job, hook, arguments, signal=signals.run_settled, facts=facts))

    def stop(self) -> None:
        """Write what is there, then end."""
        self.items.put(None)

    def give_up(self) -> None:
        """Stop trying to write: the database is away and the process has to end."""
        self.gave_up.set()


def tell(job: Job, name: str, arguments: tuple[Any, ...], *, signal: Any, facts: dict[str, Any]) -> None:
    """Send a signal and call the task's hook with its context; their errors are logged, the run stands."""
    signals.send(signal, sender=job.task, **facts)
    hook = job.task.hooks.get(name)
    if hook is not None:
        try:
            hook(job.context or context_of(job), *arguments)
        except BaseException:  # SystemExit too: it would end the slot
            logger.exception("a hook failed", extra={"task_id": job.task.id, "hook": name})
