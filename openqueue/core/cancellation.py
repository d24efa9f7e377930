"""Cancel runs wherever they are: in the outbox at once, in a claim by asking."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Final
from uuid import UUID

from openqueue.core import transitions
from openqueue.models import Run
from openqueue.states import FINAL
from openqueue.store import store

logger = logging.getLogger("openqueue")

MOST_LOOKS: Final = 100
"""After so many a run is not moving: it is in no place, which should not be (`openqueue_status` says stranded)."""
CANCELLED, REQUESTED, FINISHED, MISSING = "cancelled", "requested", "finished", "missing"


def cancel(runs: Sequence[UUID], *, actor: str, now: datetime | None = None) -> dict[UUID, str]:
    """Cancel each run; answer `cancelled`, `requested`, `finished` or `missing` per run.

    A run that is in no place and not final was moving between two while it was looked for: look again.
    """
    answers: dict[UUID, str] = {}
    left = list(dict.fromkeys(runs))
    looks = 0
    while left:
        looks += 1
        if looks > MOST_LOOKS:
            logger.error("runs in no place", extra={"run_ids": [str(run) for run in left]})
            return answers | dict.fromkeys(left, MISSING)
        answers |= dict.fromkeys(transitions.cancel_waiting(left, actor=actor, now=now), CANCELLED)
        left = [run for run in left if run not in answers]
        if left:
            asked = transitions.again(partial(store().request_cancel, left, actor=actor, now=now))
            answers |= dict.fromkeys(asked, REQUESTED)
            left = [run for run in left if run not in answers]
        if left:
            statuses = dict(Run.objects.using(store().alias).filter(pk__in=left).values_list("pk", "status"))
            answers |= {run: MISSING for run in left if run not in statuses}
            answers |= {run: FINISHED for run, status in statuses.items() if status in FINAL}
            left = [run for run in left if run not in answers]
    return answers
