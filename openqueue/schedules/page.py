"""One page of due schedules in one transaction: their runs, their history, and when each is due again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Final
from uuid import UUID

from django.db import DataError, IntegrityError

from openqueue import codec, registry
from openqueue.core import transitions
from openqueue.core import trigger as core
from openqueue.models import Schedule
from openqueue.schedules.plan import Plan, Told, plan
from openqueue.schedules.runs import Makers
from openqueue.states import TickOutcome
from openqueue.store import scheduling, store
from openqueue.types import NewRun, TickRow

logger = logging.getLogger("openqueue")

FIRST_PAUSE: Final = timedelta(seconds=30)
LONGEST_PAUSE: Final = timedelta(minutes=15)
"""Until a schedule is looked at again that nothing could be worked out for."""
UNKNOWN_FOR: Final = timedelta(seconds=60)
"""So long a due schedule is left to processes that know its task."""
LONGEST_ERROR: Final = 500
Claim = Callable[..., list[Schedule]]


def tick_due(*, limit: int, now: datetime | None = None) -> int:
    """Do the ticks of schedules that are due, of tasks known here; return how many schedules there were."""
    clock = store().clock(now)
    return page(partial(scheduling.due, tasks=list(registry.index()), before=clock), limit=limit, clock=clock)


def tick_freed(*, limit: int, now: datetime | None = None) -> int:
    """Do the ticks that waited for a run which has ended."""
    clock = store().clock(now)
    return page(partial(scheduling.freed, tasks=list(registry.index())), limit=limit, clock=clock)


def tick_unknown(*, limit: int, now: datetime | None = None) -> int:
    """Say on schedules that nobody took, because nobody knows their task, that this is so."""
    clock = store().clock(now)
    return page(partial(scheduling.due, tasks=None, before=clock - UNKNOWN_FOR), limit=limit, clock=clock)


def page(claim: Claim, *, limit: int, clock: datetime, only: Sequence[int] = ()) -> int:
    """Do one page; when a row sinks it, do its halves, until that row alone is left with its error."""
    rows: list[Schedule] = []
    try:
        return transitions.again(partial(attempt, claim, limit=limit, clock=clock, only=only, rows=rows))
    except (DataError, IntegrityError) as error:
        if not rows:
            raise
        ids = [row.pk for row in rows]
        if len(ids) == 1:
            return attempt(claim, limit=1, clock=clock, only=ids, rows=[], refused=error)
        middle = len(ids) // 2
        return sum(page(claim, limit=limit, clock=clock, only=some) for some in (ids[:middle], ids[middle:]))


def attempt(
    claim: Claim,
    *,
    limit: int,
    clock: datetime,
    only: Sequence[int],
    rows: list[Schedule],
    refused: Exception | None = None,
) -> int:
    with store().atomic(), registry.remembering():
        rows[:] = claim(store(), limit=limit, only=only)
        if rows:
            Writing(clock=clock, refused=refused).do(rows)
    return len(rows)


@dataclass(kw_only=True)
class Writing:
    """Gathers what a page writes, and writes it."""

    clock: datetime
    refused: Exception | None = None
    """What the database said to this schedule alone."""
    makers: Makers = field(default_factory=Makers)
    runs: list[NewRun] = field(default_factory=list)
    events: list[tuple[UUID, str]] = field(default_factory=list)
    ticks: list[TickRow] = field(default_factory=list)
    waited: dict[tuple[int, datetime], tuple[UUID | None, str]] = field(default_factory=dict)
    """Of ticks that have waited: their run, or why there is none."""

    def do(self, rows: Sequence[Schedule]) -> None:
        """Write runs, events, history and the schedules themselves: so many statements, whatever their number."""
        watched = {run for row in rows if row.overlap != "allow" for run in predecessors(row)}
        unfinished = scheduling.unfinished(store(), watched)
        for row in rows:
            try:
                busy = any(run in unfinished for run in predecessors(row))
                self.take(row, plan(row, now=self.clock, busy=busy))
            except Exception as error:  # whatever a zone, a queue or a payload raises: the others go on
                self.postpone(row, error)
        core.trigger(self.runs, atomic=False, strict=False, now=self.clock)
        # Of a schedule that the database refused, whatever it refused: what is told already is left as it is.
        scheduling.tell(
            store(), runs=self.events, ticks=self.ticks, at=self.clock, again=self.refused is not None
        )
        scheduling.end_waiting(store(), self.waited, at=self.clock)
        scheduling.move_on(store(), rows)

    def take(self, row: Schedule, plan: Plan) -> None:
        """Make the runs of one schedule and move it on; a tick that cannot become a run says why."""
        registry.get(row.task_id)  # a tick of an unknown task is left where it is
        for told in plan.told:
            self.tell(row, told)
        row.next_tick, row.next_at = plan.next_tick, plan.next_at
        row.last_tick, row.waiting_tick = plan.last_tick, plan.waiting
        for tick in plan.runs:
            self.run(row, tick, waited=tick == plan.freed)

    def run(self, row: Schedule, tick: datetime, *, waited: bool) -> None:
        run: NewRun | None
        try:
            run = self.made(row, tick)
        except Exception as error:  # whatever the task makes of the payload: it is told on this row alone
            run, reason = None, self.note(row, error)
        else:
            reason = ""
            self.runs.append(run)
            self.events.append((run.id, origin(row, tick)))
            row.last_run_id, row.last_run_at = run.id, self.clock
            row.error, row.error_at, row.failures = "", None, 0
        if waited:
            self.waited[row.pk, tick] = run and run.id, reason
        else:
            outcome = TickOutcome.RUN if run else TickOutcome.FAILED
            self.ticks.append(TickRow(row.pk, tick, None, outcome, run and run.id, reason))

    def made(self, row: Schedule, tick: datetime) -> NewRun:
        if self.refused is not None:
            raise self.refused
        return self.makers.run(row, tick=tick)

    def tell(self, row: Schedule, told: Told) -> None:
        self.ticks.append(TickRow(row.pk, told.tick, told.until, told.outcome))

    def note(self, row: Schedule, error: Exception) -> str:
        """Write an error on its schedule; return its text."""
        row.error = f"{type(error).__name__}: {error}"[:LONGEST_ERROR]
        row.error_at, row.failures = self.clock, row.failures + 1
        logger.error(
            "a schedule could make no run",
            extra={"schedule": row.pk, "task_id": row.task_id, "error": row.error},
        )
        return row.error

    def postpone(self, row: Schedule, error: Exception) -> None:
        """Leave the tick where it is, and look again later."""
        self.note(row, error)
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(row.failures, 10))
        row.next_at = self.clock + pause


def predecessors(row: Schedule) -> list[UUID]:
    return [run for run in (row.last_run_id, row.manual_run_id) if run is not None]


def origin(row: Schedule, tick: datetime | None) -> str:
    """Return what the history of a run says of where it comes from; without a tick, somebody asked for it."""
    data = {"schedule": row.pk, "key": row.key, "tick": tick and tick.isoformat()}
    return codec.encode(data, what="event", limit=2**20)
