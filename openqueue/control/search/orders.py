"""In which order a search lists: what is queued by its due time, what runs by its start, what has ended by its end."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from openqueue.control.search.reading import Sought
from openqueue.states import Status

RUNNING: Final = frozenset({Status.RUNNING.value})
QUEUED: Final = frozenset({Status.QUEUED.value})
DELAYED: Final = frozenset({Status.SCHEDULED.value, Status.RETRYING.value})
WAITING: Final = frozenset({Status.WAITING.value})


class Order(StrEnum):
    """An order, by what comes first."""

    NEWEST = "newest"
    """Triggered last."""
    END = "end"
    """Ended last."""
    DUE = "due"
    """Due first."""
    START = "start"
    """Started first, and running for longest."""

    @property
    def rises(self) -> bool:
        """Tell whether the earliest comes first, so that new runs come last."""
        return self in {Order.DUE, Order.START}


def of(sought: Sought) -> Order:
    """Return the order of a search: that of the statuses that it asks for, where they have one in common."""
    if sought.by_end:
        return Order.END
    if sought.ids is not None or not sought.statuses:
        return Order.NEWEST
    if sought.statuses == RUNNING:
        return Order.START
    return Order.DUE if sought.statuses <= QUEUED | DELAYED else Order.NEWEST
