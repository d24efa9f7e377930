"""Schedules as if they had been made at a moment of the test's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from openqueue.models import Outbox, Run, Schedule, ScheduleTick
from openqueue.schedules import changes
from openqueue.schedules.rule import Rule

NINE = datetime(2027, 3, 1, 9, 0, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def make(task: Any, *, at: datetime = NINE, payload: Any = None, key: str = "one", **rule: Any) -> Schedule:
    """Make a schedule, each ten minutes unless told."""
    if not {"cron", "every"} & set(rule):
        rule["cron"] = "*/10 * * * *"
    task_id = getattr(task, "id", task)
    row = Schedule(task_id=task_id, key=key, payload=payload or {}, created_at=at, updated_at=at)
    changes.obey(row, Rule.checked(rule))
    changes.set_next(row, at)
    row.save()
    return row


def told(row: Any) -> list[tuple[str, str]]:
    """Return what became of a schedule's ticks."""
    ticks = ScheduleTick.objects.filter(schedule=row.pk).order_by("tick")
    return [(f"{tick.tick:%H:%M}", tick.outcome) for tick in ticks]


def end_runs() -> None:
    """Have every run completed."""
    Outbox.objects.all().delete()
    Run.objects.update(outcome="completed", finished_at=NINE)
