"""What this process holds: its incarnation, its attempts, and how many more it may claim."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final
from uuid import UUID, uuid4

from openqueue.conf import config
from openqueue.processes.worker.job import Job
from openqueue.types import Held

RUNWAY_WINDOW: Final = 0.1
LONGEST_RUNWAY: Final = 200
SLOW_BODY: Final = 0.05
"""Seconds; a task whose usual run is longer gets no runway."""
UNSETTLED_MOST: Final = 2_000
MARGIN: Final = 2.0
"""Seconds before the lease ends at which bodies no longer begin."""


class Ledger:
    """Shared by intake, executor, recorder and heartbeat; every method is safe from any thread."""

    def __init__(self, *, slots: int, lease: float) -> None:
        self.slots = slots
        self.open_slots = slots
        """How many of them should be filled: fewer while the worker is overloaded."""
        self.lease = lease
        self.lock = threading.Lock()
        self.room_changed = threading.Event()
        self.wakers: list[Callable[[], None]] = []
        """What to call when a task or queue with a limit of its own has room again."""
        self.worker_id = uuid4()
        self.beaten_at = float("-inf")
        """When the last successful heartbeat was sent, monotonic."""
        self.pending: set[UUID] = set()
        """Tokens of claims whose answer is not yet here."""
        self.jobs: dict[UUID, Job] = {}
        """Held attempts by run, until settled or given up."""
        self.open = 0
        """Attempts claimed and not yet ended by the executor."""
        self.by_task: Counter[str] = Counter()
        self.by_queue: Counter[str] = Counter()
        self.unsettled = 0
        self.settled_lately: deque[tuple[float, int]] = deque()
        self.usual: dict[str, float] = {}
        """The usual duration of each task's bodies, a decaying mean in seconds."""
        self.backlog = False
        """The last claim was answered in full: there is more."""
        self.settled_total = 0
        self.stopping = False
        """No body begins any more; what has not begun is given back."""

    # --- what may be claimed ---------------------------------------------------------------------------------

    def room(self) -> int:
        """Return how many attempts may be claimed now: free slots, and the runway while there is a backlog."""
        with self.lock:
            if self.unsettled >= UNSETTLED_MOST:
                return 0
            runs_up = self.backlog and self.open_slots == self.slots
            capacity = self.open_slots + (self.runway() if runs_up else 0)
            room = capacity - self.open
            # With enough at hand, wait for half the runway: bigger batches, fewer round trips.
            if self.open > self.slots and room * 2 < capacity - self.slots:
                return 0
            return max(0, room)

    def runway(self) -> int:
        since = time.monotonic() - RUNWAY_WINDOW
        while self.settled_lately and self.settled_lately[0][0] < since:
            self.settled_lately.popleft()
        if any(self.usual.get(task, 0.0) > SLOW_BODY for task, count in self.by_task.items() if count):
            return 0
        return min(LONGEST_RUNWAY, sum(count for _, count in self.settled_lately))

    # --- the life of an attempt here --------------------------------------------------------------------------

    def expect(self, token: UUID) -> None:
        with self.lock:
            self.pending.add(token)

    def take(self, token: UUID, jobs: Sequence[Job]) -> bool:
        """A claim was answered: these attempts are ours, unless nobody waits for the answer any more."""
        with self.lock:
            if token not in self.pending:
                return False
            self.pending.discard(token)
            for job in jobs:
                self.jobs[job.attempt.run_id] = job
                self.by_task[job.attempt.task_id] += 1
                self.by_queue[job.attempt.queue] += 1
            self.open += len(jobs)
            return True

    def forget(self, token: UUID) -> None:
        """Wait for this answer no longer: what it brings all the same goes back with the next heartbeat."""
        with self.lock:
            self.pending.discard(token)

    def may_begin(self, job: Job) -> bool:
        """The start gate: the claim's incarnation is ours, and its lease surely stands."""
        fresh = time.monotonic() - self.beaten_at < self.lease - MARGIN
        return fresh and job.attempt.worker_id == self.worker_id

    def done(self, job: Job, *, took: float | None, unsettled: bool) -> None:
        """The executor is through with an attempt; ``unsettled``: an outcome is on its way to the recorder."""
        with self.lock:
            self.open -= 1
            self.by_task[job.attempt.task_id] -= 1
            self.by_queue[job.attempt.queue] -= 1
            self.unsettled += unsettled
            if took is not None:
                task = job.attempt.task_id
                self.usual[task] = self.usual.get(task, took) * 0.9 + took * 0.1
            ready = self.open <= self.slots or self.open % 32 == 0
        if ready:
            self.room_changed.set()
        if job.task.concurrency is not None or config.queue(job.attempt.queue).concurrency is not None:
            for wake in self.wakers:  # an intake may wait for messages of others while this had no room
                wake()

    def settled(self, runs: Iterable[tuple[UUID, UUID]], *, outcomes: int) -> None:
        """The recorder is through with these outcomes; whatever they were, they are no longer held."""
        with self.lock:
            for run_id, token in runs:
                job = self.jobs.get(run_id)
                if job is not None and job.attempt.token == token:
                    del self.jobs[run_id]
            self.unsettled -= outcomes
            self.settled_total += outcomes
            self.settled_lately.append((time.monotonic(), outcomes))
        self.room_changed.set()

    def drop(self, job: Job) -> None:
        """Give an attempt up without a word: the heartbeat or the reaper returns it."""
        with self.lock:
            if self.jobs.get(job.attempt.run_id) is job:
                del self.jobs[job.attempt.run_id]

    # --- the incarnation ----------------------------------------------------------------------------------------

    def beaten(self, sent_at: float) -> None:
        self.beaten_at = sent_at

    def reincarnate(self) -> UUID:
        """The old incarnation was declared lost: go on under a new name."""
        with self.lock:
            self.worker_id = uuid4()
            self.beaten_at = float("-inf")
            return self.worker_id

    def strangers(self, held: Sequence[Held]) -> list[Held]:
        """Return the claims that the database ascribes to us and that we do not hold."""
        with self.lock:
            return [
                claim
                for claim in held
                if claim.token not in self.pending
                and ((job := self.jobs.get(claim.run_id)) is None or job.attempt.token != claim.token)
            ]

    def find(self, run_id: UUID, token: UUID) -> Job | None:
        with self.lock:
            job = self.jobs.get(run_id)
        return job if job is not None and job.attempt.token == token else None

    def not_begun(self) -> list[Job]:
        """Return the runway: held attempts whose body has not begun."""
        with self.lock:
            return [job for job in self.jobs.values() if job.begun_at is None and not job.ended]

    def unfinished(self) -> list[Job]:
        with self.lock:
            return [job for job in self.jobs.values() if not job.ended]

    @property
    def busy(self) -> int:
        return self.open

    @property
    def empty(self) -> bool:
        """Nothing is claimed, running, or waiting to be settled."""
        with self.lock:
            return self.open == 0 and self.unsettled == 0 and not self.pending

    @property
    def sure(self) -> bool:
        """Whether a body claimed now would be allowed to begin."""
        return time.monotonic() - self.beaten_at < self.lease - MARGIN
