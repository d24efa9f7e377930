"""Schedules that are due: taken under row locks where the database has them, moved on in one statement."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from django.db.models import Exists, Max, OuterRef, Q

from openqueue import codec
from openqueue.models import Run, RunEvent, Schedule, ScheduleTick, TaskDefinition
from openqueue.states import Kind, TickOutcome
from openqueue.store.ending import text
from openqueue.store.statements import statement
from openqueue.types import TickRow

if TYPE_CHECKING:
    from openqueue.store.base import BaseStore

MOMENTS: Final = ("next_tick", "next_at", "last_tick", "last_run_at", "waiting_tick", "error_at")
MOVED: Final = (*MOMENTS, "last_run_id", "error", "failures")
"""What a tick changes of its schedule."""


def outlook(store: BaseStore, *, now: datetime | None = None) -> tuple[datetime, datetime | None, bool]:
    """Return the clock, when the next schedule is due, and whether any tick waits for a run to end."""
    if store.connection.vendor == "postgresql":  # asked all the time: one round trip
        with store.connection.cursor() as cursor:
            cursor.execute(statement("postgresql", "schedules_outlook"), {"now": now})
            clock, due, waiting = cursor.fetchone()
            return datetime.fromisoformat(clock), due and datetime.fromisoformat(due), waiting
    rows = Schedule.objects.using(store.alias)
    due = rows.filter(next_at__isnull=False).order_by("next_at").values_list("next_at", flat=True).first()
    return store.clock(now), due, rows.filter(waiting_tick__isnull=False).exists()


def due(
    store: BaseStore, *, tasks: Collection[str] | None, before: datetime, limit: int, only: Sequence[int] = ()
) -> list[Schedule]:
    """Lock due schedules of these tasks and of defined ones (None: of all), the longest due first.

    Those that others hold are left out.
    """
    rows = Schedule.objects.using(store.alias).filter(next_at__lte=before)
    if tasks is not None:
        rows = rows.filter(of(tasks))
    if only:
        rows = rows.filter(pk__in=only)
    return list(store.locked(rows.order_by("next_at"))[:limit])


def freed(
    store: BaseStore, *, tasks: Collection[str], limit: int, only: Sequence[int] = ()
) -> list[Schedule]:
    """Lock schedules with a waiting tick whose run has ended."""
    going_on = Run.objects.filter(outcome__isnull=True).filter(
        Q(pk=OuterRef("last_run_id")) | Q(pk=OuterRef("manual_run_id"))
    )
    rows = Schedule.objects.using(store.alias).filter(
        ~Exists(going_on),
        of(tasks),
        waiting_tick__isnull=False,
        paused_at__isnull=True,
        retired_at__isnull=True,
    )
    if only:
        rows = rows.filter(pk__in=only)
    ids = list(rows.order_by("waiting_tick").values_list("pk", flat=True)[:limit])
    if not ids:
        return []
    again = Schedule.objects.using(store.alias).filter(pk__in=ids, waiting_tick__isnull=False)
    return list(store.locked(again.order_by("pk")))


def of(tasks: Collection[str]) -> Q:
    """Return the condition that a schedule's task is one of these, or defined for workers in other languages."""
    return Q(task_id__in=tasks) | Q(task_id__in=TaskDefinition.objects.values("task_id"))


def unfinished(store: BaseStore, runs: Collection[UUID]) -> set[UUID]:
    """Return those runs that have not ended."""
    if not runs:
        return set()
    rows = Run.objects.using(store.alias).filter(pk__in=runs, outcome__isnull=True)
    return set(rows.values_list("pk", flat=True))


def move_on(store: BaseStore, rows: Sequence[Schedule]) -> None:
    """Write what ticks changed of schedules that this transaction holds: one statement, whatever their number."""
    if not rows:
        return
    vendor = store.connection.vendor
    with store.connection.cursor() as cursor:
        if vendor == "sqlite":
            assigned = ", ".join(f"{name} = %s" for name in MOVED)
            cursor.executemany(
                f"UPDATE openqueue_schedule SET {assigned} WHERE id = %s",
                [(*(plain(row, name) for name in MOVED), row.pk) for row in rows],
            )
            return
        given = [
            {"id": row.pk} | {name: value for name in MOVED if (value := plain(row, name)) is not None}
            for row in rows
        ]
        cursor.execute(statement(vendor, "schedules_move_on"), [json.dumps(given)])


def plain(row: Schedule, name: str) -> Any:
    """Return a value as JSON, SQLite and MySQL write it: moments are naive UTC, identifiers hexadecimal."""
    value = getattr(row, name)
    if isinstance(value, datetime):
        return text(value)
    return value.hex if isinstance(value, UUID) else value


def tell(
    store: BaseStore,
    *,
    runs: Sequence[tuple[UUID, str]],
    ticks: Sequence[TickRow],
    at: datetime,
    again: bool = False,
) -> None:
    """Append to the histories: of each run the tick that it comes from, of each schedule what became of its ticks.

    again: lines that are there already are left as they are.
    """
    if store.connection.vendor == "postgresql" and not again:
        ids, datas = zip(*runs, strict=True) if runs else ((), ())
        schedules, moments, untils, outcomes, made, reasons = zip(*ticks, strict=True) if ticks else ((),) * 6
        facts = {
            "runs": list(ids), "datas": list(datas), "at": at, "schedules": list(schedules), "ticks": list(moments),
            "untils": list(untils), "outcomes": list(outcomes), "made": list(made), "reasons": list(reasons),
        }  # fmt: skip
        with store.connection.cursor() as cursor:
            cursor.execute(statement("postgresql", "schedules_tell"), facts)
        return
    events = [RunEvent(run_id=run, kind=Kind.TICK, data=codec.decode(data), at=at) for run, data in runs]
    RunEvent.objects.using(store.alias).bulk_create(events)
    rows = [ScheduleTick(**row._asdict(), at=at) for row in ticks]
    ScheduleTick.objects.using(store.alias).bulk_create(rows, ignore_conflicts=again)


def end_waiting(
    store: BaseStore, ended: Mapping[tuple[int, datetime], tuple[UUID | None, str]], *, at: datetime
) -> None:
    """Note of ticks that waited which run they became, or why none."""
    if not ended:
        return
    rows = ScheduleTick.objects.using(store.alias).filter(
        schedule_id__in={schedule for schedule, _ in ended}, outcome=TickOutcome.WAITING
    )
    found = [row for row in rows if (row.schedule_id, row.tick) in ended]
    for row in found:
        row.run_id, row.reason = ended[row.schedule_id, row.tick]
        row.outcome, row.at = TickOutcome.RUN if row.run_id else TickOutcome.FAILED, at
    ScheduleTick.objects.using(store.alias).bulk_update(found, ["outcome", "run_id", "reason", "at"])


def ticks_end(store: BaseStore, *, now: datetime, kept: timedelta) -> datetime:
    """Return the moment before which ticks may be deleted: none within the longest catch-up window there is."""
    longest = Schedule.objects.using(store.alias).aggregate(longest=Max("catchup_window"))["longest"]
    return now - max(kept, longest or timedelta())


def prune_ticks(store: BaseStore, *, before: datetime, limit: int) -> int:
    """Delete a bounded chunk of the history of schedules, oldest first."""
    ticks = ScheduleTick.objects.using(store.alias)
    ids = list(ticks.filter(at__lt=before).order_by("at").values_list("pk", flat=True)[:limit])
    return ticks.filter(pk__in=ids)._raw_delete(store.alias) or 0 if ids else 0
