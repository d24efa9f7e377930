"""What is wrong, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

from openqueue.conf import config
from openqueue.control.queues import QueueFacts
from openqueue.control.workers import Held, WorkerFacts
from openqueue.core.window import WINDOW
from openqueue.wording import say as _

OVERDUE: Final = 300.0
"""Seconds that the oldest due run of a queue may have waited."""
UNFLIPPED: Final = 10.0
"""Seconds after which rows that fell due should be ready many times over."""
UNANNOUNCED: Final = 30.0
BLOCKED_SHOWN: Final = 100
SWEEPLESS: Final = timedelta(minutes=1)
SCHEDULES_LATE: Final = timedelta(seconds=30)


Level = Literal["error", "warning", "info"]
"""Work stands still or data is at risk; it will, or is slow; worth knowing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that needs somebody's attention."""

    id: str
    level: Level = "error"
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
            message=_(
                "Runs fell due {unflipped:.0f} s ago and no sweep has made them ready.",
                unflipped=queue.unflipped,
            ),
            remedy=_("Start `openqueue_scheduler`, or a worker without --no-scheduler."),
        )
    if queue.paused:
        return
    if queue.unknown_task:
        yield Finding(
            id="unknown_task",
            level="warning",
            subject=subject,
            message=_(
                "{unknown_task} due whose task the workers asked do not know.",
                unknown_task=queue.unknown_task,
            ),
            remedy=_("Deploy the code that has it, or cancel them: `openqueue_runs list --status queued`."),
        )
    if queue.due and queue.runtime not in config.runtimes:
        yield Finding(
            id="unknown_runtime",
            subject=subject,
            message=_(
                "{due} due on the runtime {runtime!r}, which the settings do not name.",
                due=queue.due,
                runtime=queue.runtime,
            ),
            remedy=_(
                "Put {runtime!r} back into OPENQUEUE['RUNTIMES'], or cancel them.", runtime=queue.runtime
            ),
        )
    elif queue.due and not queue.workers:
        yield Finding(
            id="no_worker",
            subject=subject,
            message=_("{due} due, and no live worker serves the queue.", due=queue.due),
            remedy=_("Start one: `openqueue_worker --queues {name}`.", name=queue.name),
        )
    elif queue.oldest_due is not None and queue.oldest_due > OVERDUE:
        yield Finding(
            id="overdue",
            level="warning",
            subject=subject,
            message=_("The oldest due run has waited {oldest_due:.0f} s.", oldest_due=queue.oldest_due),
            remedy=_("Add workers or slots; see what holds them: `openqueue_runs list --status running`."),
        )
    is_full = queue.due - queue.unannounced >= WINDOW  # the rest is announced as these are worked off
    if queue.oldest_unannounced is not None and queue.oldest_unannounced > UNANNOUNCED and not is_full:
        yield Finding(
            id="unannounced",
            level="warning",
            subject=subject,
            message=_(
                "{unannounced} due and not announced, one for {oldest_unannounced:.0f} s.",
                unannounced=queue.unannounced,
                oldest_unannounced=queue.oldest_unannounced,
            ),
            remedy=_(
                "See that the runtime {runtime!r} answers and that a worker or `openqueue_scheduler` sweeps.",
                runtime=queue.runtime,
            ),
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
            message=_(
                "{stranded} running, held by workers whose lease ended more than {patience:.0f} s ago.",
                stranded=stranded,
                patience=patience,
            ),
            remedy=_(
                "Start `openqueue_scheduler`, or a worker without --no-scheduler: its reaper returns them."
            ),
        )


def of_flows(blocked: Sequence[str]) -> Iterator[Finding]:
    """Look for flows that wait for an operator: a node failed whose dependents are to wait for that."""
    if blocked:
        more = _(" or more") if len(blocked) >= BLOCKED_SHOWN else ""
        yield Finding(
            id="flows_blocked",
            level="warning",
            subject="flows",
            message=_(
                "{blocked}{more} wait for an operator, since a node failed: {names}.",
                blocked=len(blocked),
                more=more,
                names=", ".join(blocked[:5]),
            ),
            remedy=_("Mend the cause, then retry or cancel each: FlowHandle.get(id).retry(), .cancel()."),
        )


def of_blocked_flows(number: int) -> Iterator[Finding]:
    """Look for such flows where only their number is known."""
    if number:
        yield Finding(
            id="flows_blocked",
            level="warning",
            subject="flows",
            message=_("{number} wait for an operator, since a node failed.", number=number),
            remedy=_("Mend the cause, then retry or cancel each."),
        )


def of_schedules(late: int, *, longest: float) -> Iterator[Finding]:
    """Look for schedules that nobody ticks. longest: seconds by which one of them is late."""
    if late:
        yield Finding(
            id="schedules_late",
            level="warning",
            subject="schedules",
            message=_("{late} due and not triggered, one for {longest:.0f} s.", late=late, longest=longest),
            remedy=_(
                "Start `openqueue_scheduler`, or a worker without --no-scheduler, that knows their tasks."
            ),
        )


def of_sweeps(
    reaped: float | None, *, workers: Sequence[WorkerFacts], longest_up: float
) -> Iterator[Finding]:
    """Look for a fleet that works while nobody sweeps. ``reaped``: seconds since the reaper last ran, if ever."""
    patience = max(SWEEPLESS, 5 * config.reap_every).total_seconds()
    if any(w.is_alive for w in workers) and longest_up > patience and (reaped is None or reaped > patience):
        since = _("ever") if reaped is None else _("for {seconds:.0f} s", seconds=reaped)
        yield Finding(
            id="no_sweeps",
            subject="sweeps",
            message=_("Workers live, but no process has looked for lost workers {since}.", since=since),
            remedy=_("Start `openqueue_scheduler`, or a worker without --no-scheduler."),
        )
