"""Keeps the incarnation's lease, learns of cancellations, gives back what this process does not hold."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final

import openqueue
from openqueue import registry
from openqueue.conf import config
from openqueue.core import transitions
from openqueue.processes.worker.job import Job
from openqueue.processes.worker.ledger import Ledger
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
    ) -> None:
        self.ledger = ledger
        self.runtimes = runtimes
        self.queues = queues
        self.settle_cancelled = settle_cancelled
        self.obey = obey
        self.state = RUNNING
        self.registered = False

    def step(self) -> int:
        """Beat once. Nought rows mean "declared lost": take a new incarnation and go on serving."""
        if not self.registered:
            self.register()
        sent_at = time.monotonic()
        beat = store().beat(
            self.ledger.worker_id,
            lease=config.lease.total_seconds(),
            busy=min(self.ledger.busy, self.ledger.slots),
            state=self.state,
        )
        if not beat.alive:
            logger.warning(
                "declared lost, going on as a new incarnation", extra={"worker": str(self.ledger.worker_id)}
            )
            self.registered = False
            self.ledger.reincarnate()  # bodies of the old one go on, fenced by their tokens
            return self.step()
        self.ledger.beaten(sent_at)
        self.cancel([claim for claim in beat.held if claim.cancel_requested])
        self.give_back(self.ledger.strangers(beat.held))
        if beat.command:
            self.obey(beat.command)
        return 0

    def register(self) -> None:
        store().register(
            Incarnation(
                id=self.ledger.worker_id,
                host=socket.gethostname()[:200],
                pid=os.getpid(),
                version=openqueue.__version__,
                runtimes=list(self.runtimes),
                queues=list(self.queues),
                tasks=sorted(registry.index()),
                slots=self.ledger.slots,
            ),
            lease=config.lease,
        )
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
            ]
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
    if job.cancel_async is not None:
        job.cancel_async()


def every() -> float:
    """Return the seconds between heartbeats."""
    return (config.heartbeat or timedelta(seconds=10)).total_seconds()
