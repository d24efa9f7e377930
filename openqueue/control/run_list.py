"""Lists of runs as commands ask for them: a search told by options."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from openqueue.control.run_facts import RunFacts
from openqueue.control.search.cursors import place
from openqueue.control.search.grammar import Term, parse
from openqueue.control.search.pages import Page, found
from openqueue.control.search.problem import Problem
from openqueue.control.search.reading import Sought, read
from openqueue.control.search.walks import CLOCKS_APART, EXAMINED
from openqueue.states import Status

__all__ = ["CLOCKS_APART", "EXAMINED", "STATUSES", "Found", "Page", "Wanted", "find", "page"]

STATUSES: Final = tuple(status.value for status in Status)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which runs to list."""

    status: str | None = None
    """As a reader sees it; one of STATUSES."""
    queue: str | None = None
    task_id: str | None = None
    tag: str | None = None
    since: datetime | timedelta | None = None
    """Created since (with a final status: finished since) this moment, or this long ago by the database's clock."""
    search: str = ""
    """More conditions, as people write them."""
    limit: int = 50
    queues: Collection[str] | None = None
    """The only queues that exist for who asks; None: all."""
    sees_payloads: bool = True
    """Who asks may search arguments and errors."""

    @property
    def terms(self) -> Iterator[Term]:
        """The options as terms of a search."""
        told = {"status": self.status, "queue": self.queue, "task": self.task_id, "tag": self.tag}
        for name, value in told.items():
            if value:
                yield Term(name, (value,))
        if isinstance(self.since, timedelta):
            yield Term("since", (f"{self.since.total_seconds():.6f}s",))
        elif self.since is not None:
            yield Term("since", (self.since.isoformat(),))
        yield from parse(self.search)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Runs in the order of the status that is wanted (`search.orders`); of all statuses newest first."""

    runs: Sequence[RunFacts]
    searched_all: bool
    """False: older runs than the newest EXAMINED were not looked at."""
    stopped: bool = False
    """The database took too long."""
    problems: Sequence[Problem] = ()
    """Parts of the search that were left out."""


def find(wanted: Wanted) -> Found:
    """Return the runs that fit, in two statements for one status, in three or four where its order needs them."""
    page = found(_sought(wanted), size=wanted.limit)
    return Found(runs=page.runs, searched_all=page.searched_all, stopped=page.stopped, problems=page.problems)


def page(wanted: Wanted, *, at: str = "") -> Page:
    """Return the runs that fit from a place on, in as many statements as ``find``.

    What is written meanwhile moves no page: a place is a run's own, not a number of rows.

    Raises:
        ValueError: ``at`` is neither ``older`` nor ``newer`` of a page of the same list.
    """
    sought = _sought(wanted)
    if at and place(sought, at) is None:
        raise ValueError("This is no place in this list.")
    return found(sought, size=wanted.limit, at=at)


def _sought(wanted: Wanted) -> Sought:
    return read(wanted.terms, sees_payloads=wanted.sees_payloads, queues=wanted.queues)
