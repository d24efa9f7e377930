"""Keeps the incarnation's lease, learns of cancellations, gives back what this process does not hold."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

import openqueue
from openqueue import registry
from openqueue.conf import config
from openqueue.core import transitions
from openqueue.processes.loop import is_abandoned
from openqueue.processes.worker.job import Job
from openqueue.processes.worker.lag import Lag
from openqueue.processes.worker.ledger import Ledger
from openqueue.processes.worker.usage import Usage
from openqueue.states import Status
from openqueue.store import store
from openqueue.types import Held, Incarnation, Outcome

logger = logging.getLogger("openqueue")

RUNNING: Final = "running"
STOPPING: Final = "stopping"


class Heartbeat:
    """`step` is one heartbeat, on a connection of its own thread."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        runtimes: Sequence[str],
        queues: Sequence[str],
        settle_cancelled: Callable[[Job, Outcome], None],
        obey: Callable[[str], None],
        lag: Lag,
        usage: Usage,
        introduce: Callable[[UUID], None] = lambda worker_id: None,
    ) -> None:
        self.ledger = ledger
        self.runtimes = runtimes
        self.queues = queues
        self.settle_cancelled = settle_cancelled
        self.obey = obey
        self.lag = lag
        self.usage = usage
        self.told_lag = 0.0
        self.introduce = introduce
        """Told of each incarnation before anybody else hears of it."""
        self.state = RUNNING
        self.command = ""
        """What the process follows now."""
        self.registered = False

    def step(self) -> int:
        """Beat once. Nought rows mean "declared lost": take a new incarnation and go on serving."""
        if not self.registered:
            self.register()
        sent_at = time.monotonic()
        worker_id = self.ledger.worker_id
        beat = store().beat(
            worker_id,
            lease=config.lease.total_seconds(),
            busy=min(self.ledger.busy, self.ledger.slots),
            state=self.state,
            memory=self.usage.look(),
        )
        if is_abandoned():
            return 0  # another thread beats by now, and knows better
        if not beat.alive:
            logger.warning("declared lost, going on as a new incarnation", extra={"worker": str(worker_id)})
            self.registered = False
            self.ledger.reincarnate()  # bodies of the old one go on, fenced by their tokens
            return self.step()
        self.ledger.beaten(sent_at)
        self.tell_lag(worker_id)
        self.cancel([claim for claim in beat.held if claim.cancel_requested])
        self.give_back(self.ledger.strangers(beat.held))
        if beat.command:
            self.obey(beat.command)
        return 0

    def tell_lag(self, worker_id: UUID) -> None:
        """Let operators see that this worker is overloaded, and that it no longer is."""
        seconds = self.lag.seconds if self.lag.is_overloaded else 0.0
        if seconds or self.told_lag:
            store().note_lag(worker_id, seconds=seconds)
            self.told_lag = seconds

    def register(self) -> None:
        self.introduce(self.ledger.worker_id)
        store().register(
            Incarnation(
                id=self.ledger.worker_id,
                host=socket.gethostname()[:200],
                pid=os.getpid(),
                version=openqueue.__version__,
                release=config.release,
                runtimes=list(self.runtimes),
                queues=list(self.queues),
                tasks=sorted(registry.index()),
                slots=self.ledger.slots,
                command=self.command,
            ),
            lease=config.lease,
        )
        self.usage.forget_told()
        self.registered = True

    def cancel(self, claims: Sequence[Held]) -> None:
        for claim in claims:
            job = self.ledger.find(claim.run_id, claim.token)
            if job is None:
                continue
            if job.begun_at is None and job.speak():
                self.settle_cancelled(job, transitions.cancelled(job.attempt, age=None))
            else:
                interrupt(job)

    def give_back(self, strangers: Sequence[Held]) -> None:
        """Claims that a late statement or a failover left with us: nobody here runs them."""
        if not strangers:
            return
        logger.warning("gave back claims that are not held", extra={"count": len(strangers)})
        settled = transitions.settle(
            [
                transitions.released(
                    claim.run_id, claim.token, age=None, own=False, why="not held by its worker"
                )
                for claim in strangers
            ],
            left=[],  # what is locked is a stranger still with the next heartbeat
        )
        assert all(s.status in {Status.QUEUED, Status.CANCELLED} for s in settled)  # noqa: S101  # the arrow

    def stop(self) -> None:
        """Say that this incarnation ended in order."""
        if self.registered:
            store().resign(self.ledger.worker_id)


def interrupt(job: Job) -> None:
    """Tell a running body that nobody wants its result any more."""
    if job.context is not None:
        job.context.ask_to_stop()
    if job.tell_body is not None:
        job.tell_body()


def every() -> float:
    """Return the seconds between heartbeats."""
    return (config.heartbeat or timedelta(seconds=10)).total_seconds()
