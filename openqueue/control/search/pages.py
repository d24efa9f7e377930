"""A page of the runs that a search finds, and the way on in both directions."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from django.db import OperationalError

from openqueue.control.run_facts import RunFacts
from openqueue.control.search import orders, walks
from openqueue.control.search.cursors import NEWER, OLDER, cursor, place
from openqueue.control.search.orders import Order
from openqueue.control.search.problem import Problem
from openqueue.control.search.reading import Sought, read
from openqueue.control.search.walks import Key
from openqueue.store import store
from openqueue.store.refusals import took_too_long

LIMIT: Final = timedelta(seconds=2)
"""Of one statement, where the database can be told so."""
FEWEST, USUAL, MOST = 25, 50, 200
"""Runs on a page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Runs in the order of the statuses that are wanted: queued and delayed ones by their due time, running ones by
    their start, the earliest first; finished ones last finished first; several kinds together newest first."""

    runs: Sequence[RunFacts]
    order: Order = Order.NEWEST
    older: str | None = None
    """Leads on; None at the end."""
    newer: str | None = None
    """Leads back; None at the beginning."""
    mark: str = ""
    """From where on runs are new to whoever keeps the page open; empty where new ones come on another page."""
    searched_all: bool = True
    """False: only EXAMINED runs of a kind were looked at, the newest; of queued ones those triggered first."""
    stopped: bool = False
    """The database took longer than LIMIT: nothing is known."""
    problems: Sequence[Problem] = ()
    """Parts of the search that were left out."""
    text: str = ""
    """The search as it was understood."""


def page(
    text: str,
    *,
    size: int = USUAL,
    at: str | None = None,
    sees_payloads: bool = False,
    queues: Collection[str] | None = None,
) -> Page:
    """Return a page of what a search finds, in a number of statements that depends on the search alone.

    Args:
        text: as people write it; nothing that is wrong with it raises.
        size: 25 to 200; what lies outside is brought inside.
        at: ``older`` or ``newer`` of another page of the same search; of another it gives the first page.
        sees_payloads: whoever asks may see arguments and errors.
        queues: the only ones that exist for whoever asks; None: all.
    """
    return found(
        read(text, sees_payloads=sees_payloads, queues=queues), size=max(FEWEST, min(MOST, size)), at=at
    )


def found(sought: Sought, *, size: int, at: str | None = None) -> Page:
    """Return a page of this size."""
    where = place(sought, at) if at else None
    try:
        with store().bounded(LIMIT, by_index=True):
            return _found(sought, size=size, where=where)
    except OperationalError as error:
        if not took_too_long(error):
            raise
        return Page(
            runs=[], order=orders.of(sought), stopped=True, problems=sought.problems, text=sought.text
        )


def _found(sought: Sought, *, size: int, where: tuple[str, Key] | None) -> Page:
    order = orders.of(sought)
    upwards = where is not None and where[0] == NEWER
    beyond = where[1] if where else None
    keys: set[Key] = set()
    searched_all = True
    for branch, rows, all_of_it in walks.bounded(walks.branches(sought, order=order)):
        searched_all &= all_of_it
        # A run may move on between two statements, and be met in both of its places.
        keys |= {*walks.keys(rows, branch, limit=size + 1, beyond=beyond, upwards=upwards)}
    ordered = sorted(keys, key=_order, reverse=upwards == order.rises)
    more, ordered = len(ordered) > size, ordered[:size]
    if upwards:
        ordered.reverse()
    lines = walks.facts([key[-1] for key in ordered])
    has_older = (more or not ordered) if not upwards else beyond is not None
    has_newer = more if upwards else beyond is not None
    if not ordered:
        has_older = upwards
    first, last = (ordered[0], ordered[-1]) if ordered else (beyond, beyond)
    return Page(
        # It is shown as it stands, or not at all.
        runs=[line for line in lines if line.status in sought.statuses],
        order=order,
        older=cursor(sought, OLDER, last) if has_older and last else None,
        newer=cursor(sought, NEWER, first) if has_newer and first else None,
        mark=_mark(sought, ordered, is_end=not (has_older if order.rises else has_newer)),
        searched_all=searched_all,
        problems=sought.problems,
        text=sought.text,
    )


def _mark(sought: Sought, ordered: Sequence[Key], *, is_end: bool) -> str:
    """Return the place at that end of a page where new runs come, if it is the list's."""
    if not ordered or not is_end:
        return ""
    if orders.of(sought).rises:
        return cursor(sought, OLDER, ordered[-1])
    return cursor(sought, NEWER, ordered[0])


def _order(key: Key) -> Key:
    """By the bytes of the id, as every database sorts them."""
    return (*key[:-1], key[-1].int)
