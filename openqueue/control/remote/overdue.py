"""Attempts beyond their timeout whose workers have not ended them themselves."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from openqueue import codec
from openqueue.control.remote import holding
from openqueue.control.remote.holding import Holding
from openqueue.core import transitions, verdicts
from openqueue.errors import TaskTimeout
from openqueue.states import Reason
from openqueue.store import store
from openqueue.types import Outcome

GRACE: Final = 2.0
"""Seconds that a worker has to end an attempt by itself, and to say so."""


def end(worker: UUID) -> list[tuple[UUID, UUID]]:
    """End what a worker has held for longer than it may; return which. Whatever it sends of them comes too late."""
    clock = store().clock(None)
    late = [
        (one, age)
        for one in holding.of_worker(worker).values()
        if one.timeout is not None and (age := (clock - one.claimed_at).total_seconds()) > one.timeout + GRACE
    ]
    outcomes = [_ended(one, age=age) for one, age in late]
    settled = transitions.settle(outcomes, left=[])
    return [(one.run_id, one.token) for one in settled]


def _ended(one: Holding, *, age: float) -> Outcome:
    error = codec.fit(TaskTimeout.__name__, TaskTimeout.default_message())
    outcome = verdicts.of_failure(
        one.attempt,
        reason=Reason.TIMED_OUT,
        error=error,
        again=True,
        pause=lambda: verdicts.pause(one.attempt, one.task),
        age=age,
    )
    return outcome._replace(own=False)
