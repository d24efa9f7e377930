"""Workers, the outbox, the log of acts and runtimes, for a caller from outside; acts are answered as it is now."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from openqueue.control import outbox, worker_acts
from openqueue.control import workers as fleet
from openqueue.control.callers import Caller
from openqueue.control.outbox import OutboxCounts, OutboxPage
from openqueue.control.workers import ListedWorker
from openqueue.errors import UnclearQueue, WorkerGone
from openqueue.wording import say as _

Tell = Callable[..., Mapping[UUID, str]]
ACTS: Final[Mapping[str, Tell]] = {
    "quiet": worker_acts.quiet,
    "resume": worker_acts.resume,
    "stop": worker_acts.stop,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerAnswer:
    """What came of an act, and the worker as it is now."""

    outcome: str
    """asked, already asked, not quiet, or stopping."""
    worker: ListedWorker | None
    """Its state shows when it has heard: within a second. None: it signed off meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxAnswer:
    """One page of what waits, and how each runtime stands."""

    page: OutboxPage
    runtimes: Sequence[OutboxCounts]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flushed:
    """What a flush did."""

    flushed: int
    """Runs that are announced at once."""


def tell(worker: UUID, act: str, *, caller: Caller, reason: str = "") -> WorkerAnswer:
    """Tell one worker to be quiet, to resume or to stop.

    Raises:
        WorkerGone: its process has ended or was lost, or nobody knows such a worker.
    """
    outcome = ACTS[act]([worker], actor=caller.actor, reason=reason)[worker]
    if outcome == worker_acts.GONE:
        raise WorkerGone(worker)
    return WorkerAnswer(outcome=outcome, worker=next((w for w in fleet.listing() if w.id == worker), None))


def waiting(
    *,
    state: str | None = None,
    queue: str | None = None,
    runtime: str | None = None,
    after: UUID | None = None,
    limit: int = outbox.USUAL,
    caller: Caller,
) -> OutboxAnswer:
    """Return what waits in the queues that the caller sees.

    Raises:
        UnclearQueue: the caller does not see that one.
    """
    _check(queue, caller=caller)
    page = outbox.find(
        state=state, queue=queue, runtime=runtime, queues=caller.queues, after=after, limit=limit
    )
    return OutboxAnswer(page=page, runtimes=outbox.counts(queues=caller.queues))


def flush(
    *,
    queue: str | None = None,
    runtime: str | None = None,
    announced: bool = False,
    caller: Caller,
    reason: str = "",
) -> Flushed:
    """Have what waits in the queues that the caller sees announced at once.

    Raises:
        UnclearQueue: the caller does not see that one.
    """
    _check(queue, caller=caller)
    flushed = outbox.flush(
        queue=queue,
        runtime=runtime,
        announced=announced,
        queues=caller.queues,
        actor=caller.actor,
        reason=reason,
    )
    return Flushed(flushed=flushed)


def _check(queue: str | None, *, caller: Caller) -> None:
    if queue is not None and not caller.sees(queue):
        raise UnclearQueue(_("There is no queue {queue!r}.", queue=queue))
