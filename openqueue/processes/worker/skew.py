"""What an old worker does with a payload that newer code has written: it leaves it to the new worker."""

from __future__ import annotations

import time
from typing import Final

from openqueue.core import transitions
from openqueue.ids import made_at
from openqueue.states import Reason
from openqueue.types import Claimed, Outcome

PATIENCE: Final = 900.0
"""Seconds after its trigger in which a run whose payload does not fit is put back: as long as a roll-out may take."""
SHORTEST, LONGEST = 1.0, 300.0
"""Seconds until it is tried again: as many as have passed since the trigger, so each time twice as long."""


def deferred(attempt: Claimed, outcome: Outcome) -> Outcome:
    """Return what becomes of an attempt: a young run that was refused for its payload goes back instead of failing."""
    if outcome.reason != Reason.PAYLOAD_INVALID:
        return outcome
    age = time.time() - made_at(attempt.run_id)
    if age >= PATIENCE:
        return outcome
    return transitions.deferred(attempt, delay=min(LONGEST, max(SHORTEST, age)), error=outcome.error)
