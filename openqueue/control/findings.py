"""What is wrong, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from openqueue.conf import config
from openqueue.control.queues import QueueFacts
from openqueue.control.workers import Held, WorkerFacts

OVERDUE: Final = 300.0
"""Seconds that the oldest due run of a queue may have waited."""
UNFLIPPED: Final = 10.0
"""Seconds after which rows that fell due should be ready many times over."""
UNANNOUNCED: Final = 30.0
SWEEPLESS: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that needs somebody's attention."""

    id: str
    subject: str
    message: str
    remedy: str


def of_queue(queue: QueueFacts) -> Iterator[Finding]:
    """Judge one queue. A paused one is somebody's decision, not a fault."""
    subject = f"queue {queue.name}"
    if queue.unflipped is not None and queue.unflipped > UNFLIPPED:
        yield Finding(
            id="no_sweep_of_due_rows",
            subject=subject,
            message=f"Runs fell due {queue.unflipped:.0f} s ago and no sweep has made them ready.",
            remedy="Start `openqueue_scheduler`, or a worker without --no-scheduler.",
        )
    if queue.paused:
        return
    if queue.unknown_task:
        yield Finding(
            id="unknown_task",
            subject=subject,
            message=f"{queue.unknown_task} due whose task the workers asked do not know.",
            remedy="Deploy the code that has it, or cancel them: `openqueue_runs list --status queued`.",
        )
    if queue.due and queue.runtime not in config.runtimes:
        yield Finding(
            id="unknown_runtime",
            subject=subject,
            message=f"{queue.due} due on the runtime {queue.runtime!r}, which the settings do not name.",
            remedy=f"Put {queue.runtime!r} back into OPENQUEUE['RUNTIMES'], or cancel them.",
        )
    elif queue.due and not queue.workers:
        yield Finding(
            id="no_worker",
            subject=subject,
            message=f"{queue.due} due, and no live worker serves the queue.",
            remedy=f"Start one: `openqueue_worker --queues {queue.name}`.",
        )
    elif queue.oldest_due is not None and queue.oldest_due > OVERDUE:
        yield Finding(
            id="overdue",
            subject=subject,
            message=f"The oldest due run has waited {queue.oldest_due:.0f} s.",
            remedy="Add workers or slots; see what holds them: `openqueue_runs list --status running`.",
        )
    if queue.oldest_unannounced is not None and queue.oldest_unannounced > UNANNOUNCED:
        yield Finding(
            id="unannounced",
            subject=subject,
            message=f"{queue.unannounced} due and not announced, one for {queue.oldest_unannounced:.0f} s.",
            remedy=f"See that the runtime {queue.runtime!r} answers and that a worker or `openqueue_scheduler` sweeps.",
        )


def of_claims(claims: Sequence[Held], workers: Sequence[WorkerFacts]) -> Iterator[Finding]:
    """Look for claims that a reaper should have returned by now."""
    patience = 2 * (config.heartbeat + config.reap_every).total_seconds()
    watched = {w.id for w in workers if w.is_alive or w.lease_left > -patience}
    stranded = sum(some.count for some in claims if some.worker_id not in watched)
    if stranded:
        yield Finding(
            id="stranded",
            subject="workers",
            message=f"{stranded} running, held by workers whose lease ended more than {patience:.0f} s ago.",
            remedy="Start `openqueue_scheduler`, or a worker without --no-scheduler: its reaper returns them.",
        )


def of_sweeps(
    reaped: float | None, *, workers: Sequence[WorkerFacts], longest_up: float
) -> Iterator[Finding]:
    """Look for a fleet that works while nobody sweeps. ``reaped``: seconds since the reaper last ran, if ever."""
    patience = max(SWEEPLESS, 5 * config.reap_every).total_seconds()
    if any(w.is_alive for w in workers) and longest_up > patience and (reaped is None or reaped > patience):
        since = "ever" if reaped is None else f"for {reaped:.0f} s"
        yield Finding(
            id="no_sweeps",
            subject="sweeps",
            message=f"Workers live, but no process has looked for lost workers {since}.",
            remedy="Start `openqueue_scheduler`, or a worker without --no-scheduler.",
        )
