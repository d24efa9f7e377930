"""Runs that wait come sooner: made due now, or given another priority. Told anew, with a seq of their own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Final
from uuid import UUID

from django.db.models import Q

from openqueue import limits, runtimes
from openqueue.conf import config
from openqueue.core import ahead, post_commit
from openqueue.core.resending import again
from openqueue.models import Outbox
from openqueue.runtimes.base import Message
from openqueue.store import precedence, store
from openqueue.store.precedence import Place

MOST_LOOKS: Final = 100
"""After so many a run is not moving between two places any more."""


def promote(runs: Sequence[UUID], *, actor: str, now: datetime | None = None) -> list[UUID]:
    """Make runs due that wait for a later moment; return those. One transaction, or the caller's."""
    act = partial(precedence.promote, store(), actor=actor, carriers=carriers(), now=now)
    moment = store().clock(now)
    return _change(runs, act, unless=Q(due_at__lte=moment))


def prioritise(runs: Sequence[UUID], *, priority: int, actor: str, now: datetime | None = None) -> list[UUID]:
    """Give runs that wait another priority; return those that got it. One transaction, or the caller's.

    Left as they are: those that have it, and those whose runtime keeps no priorities.
    """
    able = [alias for alias in config.runtimes if keeps_priorities(alias)]
    act = partial(
        precedence.prioritise,
        store(),
        priority=priority,
        actor=actor,
        able=able,
        carriers=carriers(),
        now=now,
    )
    return _change(runs, act, unless=Q(priority=priority) | ~Q(runtime__in=able))


def _change(runs: Sequence[UUID], act: Callable[[Sequence[UUID]], list[Place]], *, unless: Q) -> list[UUID]:
    """Change what waits; what was moving between two places while it was looked for is looked for again."""
    changed: list[Place] = []
    left = list(dict.fromkeys(runs))
    for _ in range(MOST_LOOKS):
        changed += again(partial(_changed, act, left))
        done = {place.run_id for place in changed}
        left = [run for run in left if run not in done]
        if left:
            missed = Outbox.objects.using(store().alias).filter(pk__in=left).exclude(unless)
            left = list(missed.values_list("pk", flat=True))
        if not left:
            break
    return [place.run_id for place in changed]


def _changed(act: Callable[[Sequence[UUID]], list[Place]], runs: Sequence[UUID]) -> list[Place]:
    with store().own():
        places = act(runs)
        announce(places)
    return places


def announce(places: Sequence[Place]) -> None:
    """Tell of these rows when the transaction commits: those that are due, and those that a broker can hold so long."""
    told: dict[str, list[Message]] = defaultdict(list)
    looked_at: set[str] = set()
    for place in places:
        if place.runtime not in config.runtimes:
            continue  # nobody here can tell of it; whoever can finds the row
        if place.waits_for is not None:
            looked_at.update(limits.freed(place.concurrency_key, place.ordering_key))
        elif place.wait <= 0 or place.wait <= ahead.reach(place.runtime):
            told[place.runtime].append(
                Message(
                    place.run_id,
                    place.seq,
                    place.task_id,
                    place.queue,
                    place.attempt,
                    place.priority,
                    place.traceparent,
                    ahead.moment(place.wait) if place.wait > 0 else 0.0,
                    place.ordering_key,
                )
            )
    for alias, messages in told.items():
        post_commit.announce_on_commit(alias, messages)
    if looked_at:
        post_commit.admit_on_commit(looked_at)


def carriers() -> list[str]:
    """Return the runtimes that carry messages."""
    return [alias for alias in config.runtimes if runtimes.get(alias).carries_messages]


def keeps_priorities(runtime: str) -> bool:
    """Tell whether the settings name this runtime, and it has priorities."""
    return runtime in config.runtimes and bool(runtimes.get(runtime).capabilities.priorities)
