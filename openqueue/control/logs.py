"""What the code of runs logged, across runs, within a period."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db import OperationalError
from django.db.models.functions import Lower

from openqueue.conf import config
from openqueue.control.callers import Caller, Right
from openqueue.control.search import conditions
from openqueue.models import RunLog
from openqueue.store import store
from openqueue.store.refusals import took_too_long

USUAL, MOST = 100, 1_000
EXAMINED: Final = 100_000
"""Of the newest lines of a period, where only those of a level, a task or a text are wanted."""
LONGEST: Final = timedelta(days=7)
"""Of a period."""
LIMIT: Final = timedelta(seconds=2)
"""Of one statement, where the database can be told so."""
Place = tuple[datetime, int]
"""When a line was logged, and its number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line."""

    id: int
    at: datetime
    level: int
    """As in `logging`."""
    text: str
    run_id: UUID
    attempt: int
    task_id: str
    queue: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPage:
    """Some lines, newest first."""

    lines: Sequence[Line]
    since: datetime
    before: datetime
    older: Place | None = None
    """Give it as ``beyond`` to go on; None: these are the oldest of the period."""
    searched_all: bool = True
    """False: older lines of the period than the newest EXAMINED were not looked at."""
    stopped: bool = False
    """The database took longer than LIMIT: nothing is known."""


def kept() -> timedelta | None:
    """Return how long lines are kept; None: for ever."""
    return config.retention["logs"]


def find(
    *,
    caller: Caller,
    period: timedelta | None = None,
    since: datetime | None = None,
    before: datetime | None = None,
    level: int | None = None,
    task_id: str | None = None,
    run: UUID | None = None,
    text: str | None = None,
    beyond: Place | None = None,
    limit: int = USUAL,
) -> LogPage:
    """Return one page by key, in four statements.

    Args:
        caller: who asks.
        period: the last so much, at most LONGEST, in place of ``since`` and ``before``.
        since: the period begins here.
        before: and ends here, at most LONGEST later; now, if it is None.
        level: of this and above.
        task_id: of runs of this task.
        run: of this run.
        text: that contain it, whatever its case.
        beyond: ``older`` of the page before.
        limit: at most so many.

    Raises:
        NotAllowed: the caller may not see what runs carry.
    """
    caller.needs(Right.DATA)
    until = before or store().clock(None)
    begin = max(since or until - (period or LONGEST), until - LONGEST)
    rows = RunLog.objects.using(store().alias).filter(at__gte=begin, at__lt=until)
    if run is not None:
        rows = rows.filter(run_id=run)
    narrow = _narrow(level=level, task_id=task_id, text=text, caller=caller)
    size = max(1, min(limit, MOST))
    searched_all = True
    try:
        with store().bounded(LIMIT):
            if narrow and run is None:
                edge = list(rows.order_by("-at").values_list("at", flat=True)[EXAMINED : EXAMINED + 1])
                rows, searched_all = (rows.filter(at__gt=edge[0]), False) if edge else (rows, True)
            for condition in narrow:
                rows = condition(rows)
            if beyond is not None:
                rows = rows.filter(conditions.older("at", beyond))
            names = ("id", "at", "level", "text", "run_id", "attempt", "run__task_id", "run__queue")
            found = [
                Line(**dict(zip(Line.__dataclass_fields__, row, strict=True)))
                for row in rows.order_by("-at", "-pk").values_list(*names)[: size + 1]
            ]
    except OperationalError as error:
        if not took_too_long(error):
            raise
        return LogPage(lines=[], since=begin, before=until, stopped=True)
    return LogPage(
        lines=found[:size],
        since=begin,
        before=until,
        older=(found[size - 1].at, found[size - 1].id) if len(found) > size else None,
        searched_all=searched_all,
    )


def _narrow(*, level: int | None, task_id: str | None, text: str | None, caller: Caller) -> list[Any]:
    """Return conditions that no index serves."""
    found: list[Any] = []
    if level is not None:
        found.append(lambda rows: rows.filter(level__gte=level))
    if task_id:
        found.append(lambda rows: rows.filter(run__task_id=task_id))
    if text:
        # Not icontains: MySQL and MariaDB compare the bytes of these columns.
        found.append(lambda rows: rows.alias(lower=Lower("text")).filter(lower__contains=text.lower()))
    if caller.queues is not None:
        found.append(lambda rows: rows.filter(run__queue__in=sorted(caller.queues or ())))
    return found
