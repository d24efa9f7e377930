"""Cancel runs wherever they are: in the outbox and in a flow at once, in a claim by asking."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Final
from uuid import UUID

from django.db import OperationalError

from openqueue.core import flows, transitions
from openqueue.errors import RunLocked
from openqueue.models import Run
from openqueue.states import FINAL
from openqueue.store import store
from openqueue.store.refusals import is_locked

logger = logging.getLogger("openqueue")

MOST_LOOKS: Final = 100
"""After so many a run is not moving: it is in no place, which should not be (`openqueue_status` says stranded)."""
CANCELLED, REQUESTED, FINISHED, MISSING = "cancelled", "requested", "finished", "missing"


def cancel(runs: Sequence[UUID], *, actor: str, now: datetime | None = None) -> dict[UUID, str]:
    """Cancel each run; answer `cancelled`, `requested`, `finished` or `missing` per run.

    A run that is in no place and not final was moving between two while it was looked for: look again.

    Raises:
        RunLocked: for two seconds somebody else's transaction has held the row of one of them.
    """
    answers: dict[UUID, str] = {}
    left = list(dict.fromkeys(runs))
    looks = 0
    while left:
        looks += 1
        if looks > MOST_LOOKS:
            logger.error("runs in no place", extra={"run_ids": [str(run) for run in left]})
            return answers | dict.fromkeys(left, MISSING)
        try:
            answers |= dict.fromkeys(transitions.cancel_waiting(left, actor=actor, now=now), CANCELLED)
        except OperationalError as error:
            if is_locked(error):
                raise RunLocked from error
            raise
        left = [run for run in left if run not in answers]
        if left:
            asked = transitions.again(partial(store().request_cancel, left, actor=actor, now=now))
            answers |= dict.fromkeys(asked, REQUESTED)
            left = [run for run in left if run not in answers]
        if left:
            ended = transitions.again(partial(flows.cancel_waiting, left, actor=actor, now=now))
            answers |= dict.fromkeys(ended, CANCELLED)
            left = [run for run in left if run not in answers]
        if left:
            statuses = dict(Run.objects.using(store().alias).filter(pk__in=left).values_list("pk", "status"))
            answers |= {run: MISSING for run in left if run not in statuses}
            answers |= {run: FINISHED for run, status in statuses.items() if status in FINAL}
            left = [run for run in left if run not in answers]
    return answers
