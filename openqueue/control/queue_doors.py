"""What operators decide about what comes into a queue: it is disabled, drained, enabled.

A queue that is disabled starts nothing, as if it were paused, and its behaviour says what becomes of runs that are
triggered meanwhile: `hold` lets them wait, `reject` raises QueueClosed in the caller's transaction, and `skip` keeps a
record of each, cancelled with the reason queue_closed, that never runs. A queue that is drained takes in nothing
either, by `reject` or `skip`, and works off what is there. What is there is never touched; retries of it stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from openqueue.control import audit
from openqueue.control.actor import Actor
from openqueue.control.audit import LONGEST_REASON, Act
from openqueue.control.queue_acts import announce_now, checked, is_paused_by_somebody, locked
from openqueue.core import transitions
from openqueue.errors import UnclearQueue
from openqueue.store import store, wishes
from openqueue.wording import say as _

HOLD, REJECT, SKIP = wishes.HOLD, wishes.REJECT, wishes.SKIP
BEHAVIOURS: Final = (HOLD, REJECT, SKIP)
DISABLED, DRAINING, ENABLED, ALREADY, OPEN = "disabled", "draining", "enabled", "already so", "not disabled"


def disable(
    queues: Sequence[str], *, behaviour: str = HOLD, actor: Actor, reason: str = ""
) -> dict[str, str]:
    """Start nothing of these queues and have a behaviour for what is triggered; answer `disabled` or `already so`.

    Raises:
        UnclearQueue: a name that no queue can have, or no behaviour.
    """
    if behaviour not in BEHAVIOURS:
        raise UnclearQueue(
            _(
                "{behaviour!r} is no behaviour of a disabled queue. It is one of {names}.",
                behaviour=behaviour,
                names=", ".join(BEHAVIOURS),
            )
        )
    close = partial(_close, checked(queues), behaviour, draining=False, actor=actor, reason=reason)
    return transitions.again(close)


def drain(
    queues: Sequence[str], *, behaviour: str = REJECT, actor: Actor, reason: str = ""
) -> dict[str, str]:
    """Take nothing new into these queues while what is there is worked off; answer `draining` or `already so`.

    A queue that is paused stays so, and is drained when it is resumed.

    Raises:
        UnclearQueue: a name that no queue can have, or no behaviour; what is held would never be drained.
    """
    if behaviour not in {REJECT, SKIP}:
        raise UnclearQueue(
            _(
                "A queue that drains cannot {behaviour!r} what comes. It can {reject} or {skip}.",
                behaviour=behaviour,
                reject=REJECT,
                skip=SKIP,
            )
        )
    close = partial(_close, checked(queues), behaviour, draining=True, actor=actor, reason=reason)
    return transitions.again(close)


def enable(queues: Sequence[str], *, actor: Actor, reason: str = "") -> dict[str, str]:
    """Open these queues again; what they held is due at once. Answer `enabled` or `not disabled` for each.

    One that somebody has also paused stays paused.

    Raises:
        UnclearQueue: a name that no queue can have.
    """
    return transitions.again(partial(_close, checked(queues), "", draining=False, actor=actor, reason=reason))


def _close(
    queues: Sequence[str], behaviour: str, *, draining: bool, actor: Actor, reason: str
) -> dict[str, str]:
    """Have queues as they are wanted; an empty behaviour opens them."""
    done = DRAINING if draining else DISABLED if behaviour else ENABLED
    verb = {DRAINING: "queue.drain", DISABLED: "queue.disable", ENABLED: "queue.enable"}[done]
    answers = {}
    with store().atomic():
        at = store().clock(None)
        for queue in queues:
            state = locked(queue)
            before = {"behaviour": state.behaviour, "draining": state.draining}
            after = {"behaviour": behaviour, "draining": draining}
            if before == after:
                answers[queue] = ALREADY if behaviour else OPEN
                continue
            was_paused, paused = state.paused, is_paused_by_somebody(state)
            state.behaviour, state.draining = behaviour, draining
            state.paused = paused or (behaviour != "" and not draining)
            state.closed_at = at if behaviour else None
            state.closed_by = actor.name if behaviour else ""
            state.close_reason = reason[:LONGEST_REASON] if behaviour else ""
            state.save(using=store().alias)
            if was_paused and not state.paused:
                announce_now(queue, at=at)
            audit.record([Act(verb, f"queue {queue}", before, after)], actor=actor, reason=reason)
            answers[queue] = done
    return answers
