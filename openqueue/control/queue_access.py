"""Queues and workers, for a caller from outside: within what the caller sees, answered as they are now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from openqueue import registry
from openqueue.conf import DEFAULT_QUEUE, NAME, config
from openqueue.control import queue_acts, queue_doors, queues
from openqueue.control import workers as fleet
from openqueue.control.callers import Caller
from openqueue.control.queues import ListedQueue
from openqueue.control.workers import ListedWorker
from openqueue.errors import UnclearQueue
from openqueue.wording import say as _

MOST_CLEARED: Final = 10_000
"""By one request, to the chunk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueList:
    """Queues, by name and runtime."""

    queues: Sequence[ListedQueue]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueAnswer:
    """What came of an act, and the queue as it is now."""

    outcome: str
    queues: Sequence[ListedQueue]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleared:
    """What clearing a queue did."""

    queue: str
    cancelled: int
    left: int
    """Runs that wait there now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerList:
    """Workers, newest first."""

    workers: Sequence[ListedWorker]


def names(caller: Caller) -> list[str]:
    """Return the queues that settings and tasks name, as far as the caller sees them; no statement."""
    known = {DEFAULT_QUEUE, *config.queues, *(task.options.queue for task in registry.every())}
    return sorted(name for name in known if caller.sees(name))


def listing(*, caller: Caller) -> QueueList:
    """Return every queue that the caller sees, in five statements and a call of its broker for each."""
    if caller.queues is None:
        return QueueList(queues=queues.listing())
    return QueueList(queues=queues.listing(sorted(caller.queues)) if caller.queues else [])


def one(queue: str, *, caller: Caller) -> QueueList:
    """Return one queue. This and the acts raise UnclearQueue for one that the caller does not see."""
    found = queues.listing([checked(queue, caller=caller)])
    if not found:
        raise UnclearQueue(_("Nothing names a queue {queue!r}, and it holds no runs.", queue=queue))
    return QueueList(queues=found)


def pause(queue: str, *, caller: Caller, reason: str = "") -> QueueAnswer:
    """Pause it; the outcome is `paused` or `already paused`."""
    return _answer(
        queue, queue_acts.pause([checked(queue, caller=caller)], actor=caller.actor, reason=reason)
    )


def resume(queue: str, *, caller: Caller, reason: str = "") -> QueueAnswer:
    """Resume it; the outcome is `resumed`, `not paused` or `disabled`."""
    return _answer(
        queue, queue_acts.resume([checked(queue, caller=caller)], actor=caller.actor, reason=reason)
    )


def disable(queue: str, *, behaviour: str, caller: Caller, reason: str = "") -> QueueAnswer:
    """Disable it; the outcome is `disabled` or `already so`."""
    named = [checked(queue, caller=caller)]
    return _answer(queue, queue_doors.disable(named, behaviour=behaviour, actor=caller.actor, reason=reason))


def drain(queue: str, *, behaviour: str, caller: Caller, reason: str = "") -> QueueAnswer:
    """Take nothing new in; the outcome is `draining` or `already so`."""
    named = [checked(queue, caller=caller)]
    return _answer(queue, queue_doors.drain(named, behaviour=behaviour, actor=caller.actor, reason=reason))


def enable(queue: str, *, caller: Caller, reason: str = "") -> QueueAnswer:
    """Open it; the outcome is `enabled` or `not disabled`."""
    named = [checked(queue, caller=caller)]
    return _answer(queue, queue_doors.enable(named, actor=caller.actor, reason=reason))


def clear(queue: str, *, caller: Caller, reason: str = "") -> Cleared:
    """Cancel what waits there, MOST_CLEARED at a time."""
    cancelled = queue_acts.clear(
        checked(queue, caller=caller), actor=caller.actor, reason=reason, most=MOST_CLEARED
    )
    left = queue_acts.left(queue)
    return Cleared(queue=queue, cancelled=cancelled, left=left.due + left.later)


def checked(queue: str, *, caller: Caller) -> str:
    """Return the name of a queue that the caller sees."""
    if not NAME.fullmatch(queue) or not caller.sees(queue):
        raise UnclearQueue(_("There is no queue {queue!r}.", queue=queue))
    return queue


def workers() -> WorkerList:
    """Return the workers that have not signed off, with what they run, in four statements."""
    return WorkerList(workers=fleet.listing())


def _answer(queue: str, outcomes: dict[str, str]) -> QueueAnswer:
    return QueueAnswer(outcome=outcomes[queue], queues=queues.listing([queue]))
