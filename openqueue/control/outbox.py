"""The outbox: what waits to be announced, what could not be, and announcing it now."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final
from uuid import UUID

from django.db import OperationalError
from django.db.models import Q

from openqueue import runtimes
from openqueue.conf import config
from openqueue.control import audit
from openqueue.control.actor import Actor
from openqueue.control.audit import Act
from openqueue.core import transitions
from openqueue.models import Outbox
from openqueue.store import counting, store
from openqueue.store.refusals import took_too_long
from openqueue.store.untold import PUT_BACK

PENDING, FAILED, ANNOUNCED, LATER = "pending", "failed", "announced", "later"
STATES: Final = (PENDING, FAILED, ANNOUNCED, LATER)
"""Due and not announced; due, and the last try failed; announced and not claimed; not due yet."""
UNSENT: Final = "unsent"
"""Pending and failed together."""
COUNTED: Final = 10_000
"""Rows that are counted; more are "10000 or more"."""
CHUNK: Final = 1_000
USUAL, MOST = 50, 200
LIMIT: Final = timedelta(seconds=2)
"""Of one statement, where the database can be told so."""
IS_FAILED: Final = Q(ready=True, announced_at__isnull=True, last_error__isnull=False) & ~Q(
    last_error__in=PUT_BACK
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxRow:
    """One run that waits to be claimed. Ages are seconds by the database's clock."""

    run_id: UUID
    task_id: str
    queue: str
    runtime: str
    priority: int
    state: str
    """One of STATES."""
    attempt: int
    due_at: datetime
    age: float | None
    """Since it fell due; None: it is due later."""
    tries: int
    """Since a worker last had it and put it back, if one did."""
    next_try: float | None
    """Seconds until the sweep looks at it; 0: at once; None: it is due later."""
    announced_at: datetime | None
    last_error: str
    """Why it was not announced, or was put back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxPage:
    """Some rows, the oldest runs first."""

    rows: Sequence[OutboxRow]
    next: UUID | None
    """Give it as ``after`` to go on; None: these are the last."""
    stopped: bool = False
    """The database took longer than LIMIT: nothing is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxCounts:
    """How the outbox of one runtime stands; counts end at COUNTED."""

    runtime: str
    pending: int
    failed: int
    announced: int
    later: int
    oldest_pending: float | None
    """Seconds since the oldest row fell due that is not announced."""
    counted_to: int = COUNTED


def find(
    *,
    state: str | None = None,
    queue: str | None = None,
    runtime: str | None = None,
    queues: Collection[str] | None = None,
    after: UUID | None = None,
    limit: int = USUAL,
) -> OutboxPage:
    """Return one page by key, in two statements; ``queues``: the only ones that exist for whoever asks."""
    size = max(1, min(limit, MOST))
    clock = store().clock(None)
    rows = _rows(queue=queue, runtime=runtime, queues=queues).order_by("pk")
    if state is not None:
        rows = rows.filter(_of(state))
    if after is not None:
        rows = rows.filter(pk__gt=after)
    try:
        with store().bounded(LIMIT):
            found = list(rows[: size + 1])
    except OperationalError as error:
        if not took_too_long(error):
            raise
        return OutboxPage(rows=[], next=None, stopped=True)
    return OutboxPage(
        rows=[_facts(row, clock=clock) for row in found[:size]],
        next=found[size - 1].pk if len(found) > size else None,
    )


def counts(*, queues: Collection[str] | None = None) -> list[OutboxCounts]:
    """Return how the outbox of each runtime that carries messages stands, in two statements for all of them."""
    clock = store().clock(None)
    sets = {
        (alias, part): rows for alias in carriers() for part, rows in _parts(alias, queues=queues).items()
    }
    found = counting.counted(store(), sets)
    return [_counts(alias, found, clock=clock) for alias in carriers()]


def carriers() -> list[str]:
    """Return the runtimes that carry messages: of the others, workers take runs from the outbox itself."""
    return [alias for alias in config.runtimes if runtimes.get(alias).carries_messages]


def _parts(alias: str, *, queues: Collection[str] | None) -> dict[str, Any]:
    """Return the rows of a runtime by state, to be counted, and those among which the oldest is looked for."""
    rows = _rows(runtime=alias, queues=queues).order_by()
    counted = {state: rows.filter(_of(state))[:COUNTED] for state in STATES}
    return counted | {UNSENT: rows.filter(_of(PENDING) | _of(FAILED))}


def _counts(
    alias: str, found: Mapping[tuple[str, str], tuple[int, datetime | None]], *, clock: datetime
) -> OutboxCounts:
    _, oldest = found[alias, UNSENT]
    return OutboxCounts(
        runtime=alias,
        oldest_pending=None if oldest is None else max(0.0, (clock - oldest).total_seconds()),
        **{state: found[alias, state][0] for state in STATES},
    )


def flush(
    *,
    runs: Sequence[UUID] = (),
    queue: str | None = None,
    runtime: str | None = None,
    announced: bool = False,
    queues: Collection[str] | None = None,
    actor: Actor,
    reason: str = "",
) -> int:
    """Have the sweep look at due rows at once instead of at their next try; return how many.

    Of these runs, or of a queue, or of a runtime, or all; those of paused queues are left alone. In chunks of their own
    transactions, each on record.

    announced: those too that were announced and not claimed; they are sent again where the broker has lost them.
    """
    rows = _rows(queue=queue, runtime=runtime, queues=queues).filter(ready=True).order_by("pk")
    if runs:
        rows = rows.filter(pk__in=runs)
    if not announced:
        rows = rows.filter(announced_at__isnull=True)
    rows = rows.exclude(queue__in=store().paused())
    what = f"queue {queue}" if queue else f"runtime {runtime}" if runtime else "outbox"
    after, total = UUID(int=0), 0
    while chunk := list(rows.filter(pk__gt=after).values_list("pk", flat=True)[:CHUNK]):
        total += transitions.again(partial(_flush, chunk, what=what, actor=actor, reason=reason))
        after = chunk[-1]
    return total


def _flush(runs: Sequence[UUID], *, what: str, actor: Actor, reason: str) -> int:
    with store().atomic():
        at = store().clock(None)
        waiting = Outbox.objects.using(store().alias).filter(pk__in=runs, ready=True, announce_at__gt=at)
        changed = waiting.update(announce_at=at)
        if changed:
            named = f"run {runs[0]}" if len(runs) == 1 else what
            audit.record([Act("outbox.flush", named, after={"runs": changed})], actor=actor, reason=reason)
    return changed


def _rows(
    *, queue: str | None = None, runtime: str | None = None, queues: Collection[str] | None = None
) -> Any:
    rows = Outbox.objects.using(store().alias).all()
    if queue is not None:
        rows = rows.filter(queue=queue)
    if runtime is not None:
        rows = rows.filter(runtime=runtime)
    return rows if queues is None else rows.filter(queue__in=queues)


def _of(state: str) -> Q:
    """Return the columns that make a state."""
    if state == FAILED:
        return IS_FAILED
    if state == PENDING:
        return Q(ready=True, announced_at__isnull=True) & (
            Q(last_error__isnull=True) | Q(last_error__in=PUT_BACK)
        )
    return Q(ready=True, announced_at__isnull=False) if state == ANNOUNCED else Q(ready=False)


def _facts(row: Outbox, *, clock: datetime) -> OutboxRow:
    failed = row.announced_at is None and row.last_error and row.last_error not in PUT_BACK
    state = (ANNOUNCED if row.announced_at else FAILED if failed else PENDING) if row.ready else LATER
    return OutboxRow(
        run_id=row.run_id,
        task_id=row.task_id,
        queue=row.queue,
        runtime=row.runtime,
        priority=row.priority,
        state=state,
        attempt=row.attempt,
        due_at=row.due_at,
        age=max(0.0, (clock - row.due_at).total_seconds()) if row.ready else None,
        tries=row.tries - row.heard,
        next_try=max(0.0, (row.announce_at - clock).total_seconds()) if row.ready else None,
        announced_at=row.announced_at,
        last_error=row.last_error or "",
    )
