"""A list of runs that stays open: its rows as they are now, and how many came since, without moving any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.db import OperationalError

from openqueue.control.callers import Caller
from openqueue.control.run_facts import RunFacts
from openqueue.control.search import Sought, orders, walks
from openqueue.control.search.cursors import NEWER, place
from openqueue.control.search.pages import LIMIT
from openqueue.store import store
from openqueue.store.refusals import took_too_long

MOST: Final = 100
"""New runs are counted so far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What became of a list."""

    runs: Sequence[RunFacts]
    """Those asked for that are still there, in their order."""
    new: int
    """Runs that the search finds at that end of the list where new ones come, up to MOST."""
    or_more: bool = False


def since(sought: Sought, ids: Sequence[UUID], *, mark: str, caller: Caller) -> Watched:
    """Return how these runs are now, and how many are new since the mark of their page."""
    found = [run for run in walks.facts(ids) if caller.sees(run.queue)]
    where = place(sought, mark) if mark else None
    if where is None:
        return Watched(runs=found, new=0)
    direction, key = where
    keys: set[Any] = set()
    try:
        with store().bounded(LIMIT):
            for branch in walks.branches(sought, order=orders.of(sought)):
                rows, upwards = branch.rows.filter(branch.narrow), direction == NEWER
                keys |= {*walks.keys(rows, branch, limit=MOST + 1, beyond=key, upwards=upwards)}
    except OperationalError as error:
        if not took_too_long(error):
            raise
    fresh = {key[-1] for key in keys} - set(ids)
    return Watched(runs=found, new=min(len(fresh), MOST), or_more=len(fresh) > MOST)
