"""What the end of a run has as consequences for others, in the transaction that ends it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from openqueue.core import uniqueness
from openqueue.states import Status

Consequence = Callable[[Mapping[UUID, Status], datetime | None], None]
"""Gets the runs that ended in this transaction, and a test's moment. What it raises undoes their end."""

CONSEQUENCES: Final[list[Consequence]] = [uniqueness.free]


def of(ended: Mapping[UUID, Status], *, now: datetime | None) -> None:
    """Have every consequence of these ends. Set-wise: each is called once, whatever the number of runs."""
    if ended:
        for consequence in CONSEQUENCES:
            consequence(ended, now)


Reopening = Callable[[Sequence[UUID], str, datetime | None], None]
"""Gets the runs that an operator is about to retry, who that is, and a test's moment."""

REOPENINGS: Final[list[Reopening]] = []


def before_reopening(runs: Sequence[UUID], *, actor: str, now: datetime | None) -> None:
    """Have everybody hear, in the same transaction, that these runs begin anew if they have ended."""
    for reopening in REOPENINGS:
        reopening(runs, actor, now)
