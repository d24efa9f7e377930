"""What the code of one run logged, by attempt, level and text."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import QuerySet
from django.db.models.functions import Lower

from openqueue.control import runs
from openqueue.control.run_facts import LogEntry
from openqueue.models import Run, RunLog
from openqueue.store import store

USUAL, MOST = 200, 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine(LogEntry):
    """One line with its place."""

    id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPage:
    """Some lines of a run, oldest first."""

    lines: Sequence[LogLine]
    next: int | None
    """There are more: give it as ``after``. None: these are the last for now."""
    last: int
    """The place of the newest line seen: give it as ``after`` to follow a run that goes on."""


def find(
    run_id: UUID,
    *,
    attempt: int | None = None,
    level: int | None = None,
    text: str | None = None,
    after: int = 0,
    limit: int = USUAL,
    queues: Collection[str] | None = None,
) -> LogPage:
    """Return one page by key, in two statements.

    ``level``: of this and above, as in `logging`. ``text``: that contain it, whatever its case. ``queues``: the only
    ones that exist for whoever asks.

    Raises:
        UnclearRun: there is no such run.
    """
    run = runs.read(run_id, queues=queues)
    size = max(1, min(limit, MOST))
    rows = _chosen(run, attempt=attempt, level=level, text=text).filter(pk__gt=after).order_by("pk")
    found = [_line(run, row) for row in rows[: size + 1]]
    lines = found[:size]
    last = lines[-1].id if lines else after
    return LogPage(lines=lines, next=last if len(found) > size else None, last=last)


def newest(
    run_id: UUID,
    *,
    attempt: int | None = None,
    level: int | None = None,
    text: str | None = None,
    limit: int = USUAL,
    queues: Collection[str] | None = None,
) -> tuple[list[LogLine], bool]:
    """Return the last lines of those that `find` would give, oldest first, and whether older ones are left off.

    Raises:
        UnclearRun: there is no such run.
    """
    run = runs.read(run_id, queues=queues)
    size = max(1, min(limit, MOST))
    rows = _chosen(run, attempt=attempt, level=level, text=text).order_by("-pk")
    found = [_line(run, row) for row in rows[: size + 1]]
    return found[:size][::-1], len(found) > size


def _chosen(run: Run, *, attempt: int | None, level: int | None, text: str | None) -> QuerySet[RunLog]:
    rows = RunLog.objects.using(store().alias).filter(run_id=run.pk)
    if attempt is not None:
        rows = rows.filter(attempt=attempt)
    if level is not None:
        rows = rows.filter(level__gte=level)
    if text:
        # Not icontains: MySQL and MariaDB compare the bytes of these columns.
        rows = rows.alias(lower=Lower("text")).filter(lower__contains=text.lower())
    return rows


def _line(run: Run, row: RunLog) -> LogLine:
    after = (row.at - run.created_at).total_seconds()
    return LogLine(id=row.pk, at=row.at, after=after, attempt=row.attempt, level=row.level, text=row.text)
