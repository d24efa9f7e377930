"""What operators do to queues: pause and resume them, clear them, move them to another runtime."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final
from uuid import UUID

from django.db.models import Q

from openqueue import registry, runtimes
from openqueue.conf import DEFAULT_QUEUE, NAME, config
from openqueue.control import audit
from openqueue.control.actor import Actor
from openqueue.control.audit import Act
from openqueue.core import transitions
from openqueue.errors import UnclearQueue, UnsupportedCapability
from openqueue.models import Claim, Outbox, QueueState
from openqueue.store import store
from openqueue.wording import say as _

CHUNK: Final = 1_000
PAUSED, ALREADY, RESUMED, OPEN = "paused", "already paused", "resumed", "not paused"
DISABLED: Final = "disabled"
"""It is not paused and starts nothing all the same: see queue_doors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What a move did."""

    queue: str
    runtime: str
    """Where its runs wait now."""
    waiting: int
    """Runs that are announced there now."""
    running: int
    """Runs whose next attempt, if there is one, will be."""
    setting: str
    """The runtime that OPENQUEUE["QUEUES"] gives the queue, where new runs go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What a queue still has to do."""

    due: int
    running: int
    later: int

    @property
    def nothing(self) -> bool:
        """Tell whether nothing is due and nothing runs."""
        return not self.due and not self.running


def pause(queues: Sequence[str], *, actor: Actor, reason: str = "") -> dict[str, str]:
    """Have no worker start anything of these queues; answer `paused` or `already paused` for each.

    Raises:
        UnclearQueue: a name that no queue can have.
    """
    return transitions.again(partial(_set_paused, checked(queues), True, actor=actor, reason=reason))


def resume(queues: Sequence[str], *, actor: Actor, reason: str = "") -> dict[str, str]:
    """Have workers start what is due in these queues; answer `resumed`, `not paused` or `disabled` for each.

    One that is disabled as well goes on with nothing until it is enabled.

    Raises:
        UnclearQueue: a name that no queue can have.
    """
    return transitions.again(partial(_set_paused, checked(queues), False, actor=actor, reason=reason))


def _set_paused(queues: Sequence[str], paused: bool, *, actor: Actor, reason: str) -> dict[str, str]:
    answers = {}
    with store().atomic():
        at = store().clock(None)
        for queue in queues:
            state = locked(queue)
            is_paused, is_disabled = is_paused_by_somebody(state), state.behaviour and not state.draining
            if is_paused == paused:
                answers[queue] = ALREADY if paused else DISABLED if is_disabled else OPEN
                continue
            before = {"paused": is_paused, "by": state.paused_by, "reason": state.pause_reason}
            state.paused, state.paused_at = paused or bool(is_disabled), at if paused else None
            state.paused_by, state.pause_reason = (actor.name, reason[:500]) if paused else ("", "")
            state.save(using=store().alias)
            if not state.paused:
                announce_now(queue, at=at)
            act = Act(
                "queue.pause" if paused else "queue.resume", f"queue {queue}", before, {"paused": paused}
            )
            audit.record([act], actor=actor, reason=reason)
            answers[queue] = PAUSED if paused else RESUMED
    return answers


def locked(queue: str) -> QueueState:
    """Return what operators decided about a queue, so that nobody else decides meanwhile."""
    states: Any = QueueState.objects.using(store().alias)
    states.get_or_create(name=queue)
    if store().connection.features.has_select_for_update:
        states = states.select_for_update()
    state: QueueState = states.get(name=queue)
    return state


def is_paused_by_somebody(state: QueueState) -> bool:
    """Tell whether a queue is paused, and not only disabled."""
    return state.paused and (state.paused_at is not None or not state.behaviour or state.draining)


def announce_now(queue: str, *, at: datetime) -> None:
    """Have the sweep look at once at the rows of a queue that is open again; it has left them alone."""
    rows = Outbox.objects.using(store().alias).filter(queue=queue, ready=True)
    rows.filter(announce_at__gt=at).update(announce_at=at)


def left(queue: str) -> Left:
    """Return what a queue still has to do, in three statements."""
    rows = Outbox.objects.using(store().alias).filter(queue=queue)
    waiting = Q(waits_for__isnull=False, due_at__lte=store().clock(None))
    return Left(
        due=rows.filter(Q(ready=True) | waiting).count(),
        running=Claim.objects.using(store().alias).filter(queue=queue).count(),
        later=rows.filter(ready=False).exclude(waiting).count(),
    )


def clear(
    queue: str,
    *,
    actor: Actor,
    reason: str = "",
    told: Callable[[int], None] = lambda _: None,
    most: int | None = None,
) -> int:
    """Cancel what waited in the queue when asked, in chunks of their own transactions; return how many.

    Running ones go on. It ends after ``most``, to the chunk; None: all. ``told`` is called with the number so far
    after each chunk; each chunk is on record.

    Raises:
        UnclearQueue: a name that no queue can have.
    """
    (queue,) = checked([queue])
    rows = Outbox.objects.using(store().alias).filter(queue=queue)
    last = rows.order_by("-run_id").values_list("run_id", flat=True).first()
    after, total = UUID(int=0), 0
    while last is not None and after < last and (most is None or total < most):
        chunk = rows.filter(run_id__gt=after, run_id__lte=last).order_by("run_id")
        runs = list(chunk.values_list("run_id", flat=True)[:CHUNK])
        if not runs:
            break
        total += transitions.again(partial(_cancel, queue, runs, actor=actor, reason=reason))
        told(total)
        after = runs[-1]
    return total


def _cancel(queue: str, runs: Sequence[UUID], *, actor: Actor, reason: str) -> int:
    with store().atomic():
        cancelled = len(transitions.cancel_waiting(runs, actor=actor.name))
        if cancelled:
            act = Act("queue.clear", f"queue {queue}", after={"cancelled": cancelled})
            audit.record([act], actor=actor, reason=reason)
    return cancelled


def move(queue: str, *, to: str, actor: Actor, reason: str = "") -> Moved:
    """Put what waits in the queue on another runtime, all or none. New runs go where the settings say.

    Raises:
        UnclearQueue: a name that no queue can have.
        ImproperlyConfigured: the settings name no such runtime.
        UnsupportedCapability: runs have a priority, and the runtime keeps none.
    """
    (queue,) = checked([queue])
    capabilities = runtimes.get(to).capabilities
    rows = Outbox.objects.using(store().alias).filter(queue=queue)
    if not capabilities.priorities and rows.exclude(priority=0).exists():
        raise UnsupportedCapability(
            _(
                "Runs in queue {queue!r} have a priority, and the runtime {to!r} keeps none. Work them "
                "off first, or move the queue to a runtime that has priorities.",
                queue=queue,
                to=to,
            )
        )
    waiting, running = transitions.again(partial(_move, queue, to=to, actor=actor, reason=reason))
    return Moved(
        queue=queue, runtime=to, waiting=waiting, running=running, setting=config.runtime_of(queue).alias
    )


def _move(queue: str, *, to: str, actor: Actor, reason: str) -> tuple[int, int]:
    with store().atomic():
        waiting, running = store().move(queue, runtime=to, actor=actor.name)
        if waiting or running:
            after = {"runtime": to, "waiting": waiting, "running": running}
            audit.record([Act("queue.move", f"queue {queue}", after=after)], actor=actor, reason=reason)
    return waiting, running


def checked(queues: Sequence[str]) -> list[str]:
    wrong = [queue for queue in queues if not NAME.fullmatch(queue)]
    if wrong:
        raise UnclearQueue(
            _("{wrong!r} is no name of a queue: names match {pattern}.", wrong=wrong[0], pattern=NAME.pattern)
        )
    return list(dict.fromkeys(queues))


def unknown(queues: Sequence[str]) -> dict[str, list[str]]:
    """Return those that nothing names and that hold no runs, each with the names that may have been meant."""
    tasks = {task.options.queue for task in registry.every()}
    known = {DEFAULT_QUEUE, *config.queues, *tasks}
    found: dict[str, list[str]] = {}
    for queue in queues:
        rows = (model.objects.using(store().alias).filter(queue=queue) for model in (Outbox, Claim))
        if queue not in known and not any(some.exists() for some in rows):
            found[queue] = difflib.get_close_matches(queue, sorted(known), n=3)
    return found
