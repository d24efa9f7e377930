"""How many runs a search finds: exactly where they are few, bounded where they are many."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from django.db import OperationalError

from openqueue.control.search import walks
from openqueue.control.search.pages import LIMIT
from openqueue.control.search.reading import Sought, read
from openqueue.models import Run
from openqueue.store import store
from openqueue.store.refusals import took_too_long

MOST: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """A number of runs."""

    number: int | None
    """None: the database took too long."""
    or_more: bool = False
    searched_all: bool = True
    """False: counted among the newest EXAMINED only."""

    def __str__(self) -> str:
        return "-" if self.number is None else f"{self.number}{'+' if self.or_more else ''}"


def count(
    text: str | Sought, *, sees_payloads: bool = False, queues: Collection[str] | None = None
) -> Counted:
    """Count what a search finds: of finished runs up to MOST, of unfinished ones all."""
    sought = read(text, sees_payloads=sees_payloads, queues=queues) if isinstance(text, str) else text
    try:
        with store().bounded(LIMIT, by_index=True):
            return _count(sought)
    except OperationalError as error:
        if not took_too_long(error):
            raise
        return Counted(number=None)


def _count(sought: Sought) -> Counted:
    exact = seen = 0
    searched_all = True
    for branch, rows, all_of_it in walks.bounded(walks.branches(sought)):
        searched_all &= all_of_it
        if branch.rows.model is not Run:
            exact += rows.count()
        else:
            # The order is the index's, so that it ends after so many rows wherever they lie in the table.
            seen += rows.order_by(f"-{branch.column}")[: MOST + 1 - seen].count()
        if seen > MOST:
            return Counted(number=exact + MOST, or_more=True, searched_all=searched_all)
    return Counted(number=exact + seen, searched_all=searched_all)
