"""Rows that their broker was not told of, and since when."""

from __future__ import annotations

from typing import Any, Final

from django.db.models import Case, F, Min, Q, When

from openqueue.models.fields import InstantField
from openqueue.states import Reason

PUT_BACK: Final = ("paused", "no_slot", Reason.UNKNOWN_TASK.value)
"""What `last_error` says of a row that a worker put back: its message did arrive."""
UNTOLD: Final = Q(ready=True, announced_at__isnull=True)


def since() -> Min:
    """Return the moment since which the oldest of some rows should have been announced.

    What a worker has put back was announced, however long it has been due: it waits for its next turn. The backlog of a
    task at its limit consists of such rows.
    """
    turn: Any = Case(
        When(last_error__in=PUT_BACK, then=F("announce_at")), default=F("due_at"), output_field=InstantField()
    )
    return Min(turn, filter=UNTOLD)
