"""From one batch of what a search finds to the next, newest first; no run is met twice in one place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.db.models import Q

from openqueue.control.search import Sought, conditions, read, walks
from openqueue.control.search.walks import Branch, Key
from openqueue.errors import UnclearSearch
from openqueue.wording import say as _

STRETCH: Final = 20_000
"""Rows that one step looks at, where no index serves the condition."""


class Position(NamedTuple):
    """How far a walk has come."""

    branch: int = 0
    """Which of the places where runs are looked for."""
    key: Key | None = None
    """The place behind which it goes on there; None: the beginning."""

    def written(self) -> dict[str, Any]:
        """Return it as JSON."""
        key = [part.isoformat() if isinstance(part, datetime) else part.hex for part in self.key or ()]
        return {"branch": self.branch, "key": key}

    @classmethod
    def read(cls, written: dict[str, Any] | None) -> Position:
        """Read what `written` returned."""
        if written is None:
            return cls()
        *moments, run = written["key"] or (None,)
        key = None if run is None else (*(datetime.fromisoformat(at) for at in moments), UUID(run))
        return cls(written["branch"], key)


class Batch(NamedTuple):
    """Some of the runs."""

    runs: Sequence[UUID]
    looked_at: int
    position: Position | None
    """Where the next batch begins; None: there is none."""


def meant(text: str, *, asked_at: datetime, queues: Sequence[str] | None, sees_payloads: bool) -> Sought:
    """Return the runs that a search means to an act: those that it would have found when it was asked.

    What was triggered, or ended, since then is left alone. "2h ago" is before the asking, whenever a batch is made.

    Raises:
        UnclearSearch: a part of it says nothing, or all of it does.
    """
    sought = read(text, sees_payloads=sees_payloads, queues=queues, clock=asked_at)
    if sought.problems:
        raise UnclearSearch((problem.field or "search", problem.message) for problem in sought.problems)
    if not sought.text:
        raise UnclearSearch([("search", _("Say which runs, as in `status:failed queue:mail`."))])
    before = asked_at if sought.before is None else min(sought.before, asked_at)
    return replace(sought, before=before)


def batch(sought: Sought, position: Position, *, size: int) -> Batch:
    """Return the next runs, in two statements at most."""
    places = walks.branches(sought)
    if position.branch >= len(places):
        return Batch([], 0, None)
    branch = places[position.branch]
    edge = _edge(branch, position.key) if branch.cut else None
    rows = branch.rows.filter(branch.narrow)
    if edge is not None:
        rows = rows.filter(Q(pk=edge[-1]) | conditions.newer(branch.column, edge))
    found = walks.keys(rows, branch, limit=size, beyond=position.key, upwards=False)
    last = found[-1] if len(found) == size else edge
    following = Position(position.branch, last)
    if last is None:
        following = Position(position.branch + 1)
    end = last is None and following.branch >= len(places)
    looked_at = STRETCH if last is not None and last is edge else len(found)
    return Batch([key[-1] for key in found], looked_at, None if end else following)


def _edge(branch: Branch, beyond: Key | None) -> Key | None:
    """Return the place of the last row that this step looks at; None: it looks at all that are left."""
    rows = branch.rows
    if beyond is not None:
        rows = rows.filter(conditions.older(branch.column, beyond))
    ordered = rows.order_by(*(f"-{column}" for column in branch.columns)).values_list(*branch.columns)
    return next(iter(ordered[STRETCH - 1 : STRETCH]), None)
