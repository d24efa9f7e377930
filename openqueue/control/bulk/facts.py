"""How acts on many runs stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from openqueue.errors import UnclearOperation
from openqueue.models import BulkOperation, Run
from openqueue.store import store
from openqueue.wording import say as _

WAITING, WORKING, DONE, STOPPED, INTERRUPTED = "waiting", "working", "done", "stopped", "interrupted"


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkFacts:
    """One of them, as it is now."""

    id: UUID
    act: str
    arguments: Mapping[str, Any]
    search: str
    actor: str
    reason: str
    state: str
    """`waiting` for a worker, `working`, `done`, `stopped` by somebody, or `interrupted`: it waits to be resumed."""
    asked_at: datetime
    expected: int | None
    """How many runs the search found when it was asked; None: they were too many to count in time."""
    or_more: bool
    looked_at: int
    """Runs that it has come to, and where no index serves the search also those that do not fit it."""
    acted: int
    skipped: Mapping[str, int]
    """How many were left as they are, by the reason."""
    run_id: UUID | None
    """The run that does it; None: whoever asked."""
    moved_at: datetime
    finished_at: datetime | None
    stopped_by: str

    @classmethod
    def of(cls, row: BulkOperation, *, run: Run | None = None, is_driven: bool = False) -> Self:
        """Read a row, with the run that does it if there is one; ``is_driven``: whoever reads it is at it."""
        return cls(
            id=row.pk,
            act=row.act,
            arguments=row.arguments,
            search=row.search,
            actor=row.actor,
            reason=row.reason,
            state=WORKING if is_driven and row.finished_at is None else _state(row, run),
            asked_at=row.asked_at,
            expected=row.expected,
            or_more=row.or_more,
            looked_at=row.looked_at,
            acted=row.acted,
            skipped=row.skipped,
            run_id=row.run_id,
            moved_at=row.moved_at,
            finished_at=row.finished_at,
            stopped_by=row.stopped_by,
        )

    @property
    def met(self) -> int:
        """Return how many of the runs that the search finds it has come to."""
        return self.acted + sum(self.skipped.values())

    @property
    def share(self) -> float | None:
        """Return how far it has come, from 0 to 1; None while nobody can tell."""
        if self.finished_at is not None:
            return 1.0
        if not self.expected or self.or_more:
            return None
        return min(1.0, self.met / self.expected)


def show(operation: UUID) -> BulkFacts:
    """Return one, in two statements.

    Raises:
        UnclearOperation: there is none of that id.
    """
    row = BulkOperation.objects.using(store().alias).filter(pk=operation).first()
    if row is None:
        raise UnclearOperation(
            _(
                "There is no bulk operation {operation}. `openqueue_runs operations` shows those that there are.",
                operation=operation,
            )
        )
    return BulkFacts.of(row, run=_runs([row]).get(row.pk))


def listing(*, limit: int = 50) -> list[BulkFacts]:
    """Return the newest, in two statements."""
    rows = list(BulkOperation.objects.using(store().alias).order_by("-pk")[:limit])
    runs = _runs(rows)
    return [BulkFacts.of(row, run=runs.get(row.pk)) for row in rows]


def _runs(rows: Sequence[BulkOperation]) -> dict[UUID, Run]:
    wanted = {row.run_id: row.pk for row in rows if row.run_id is not None and row.finished_at is None}
    if not wanted:
        return {}
    runs = Run.objects.using(store().alias).filter(pk__in=wanted).only("status")
    return {wanted[run.pk]: run for run in runs}


def _state(row: BulkOperation, run: Run | None) -> str:
    if row.finished_at is not None:
        return STOPPED if row.stopped_by else DONE
    if row.run_id is None:
        return WORKING
    if run is None or run.is_final:
        return INTERRUPTED
    return WAITING if not row.looked_at and run.status != "running" else WORKING
