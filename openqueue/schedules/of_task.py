"""``task.schedules``: the schedules of one task."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from asgiref.sync import sync_to_async

from openqueue.models import Schedule
from openqueue.schedules import changes
from openqueue.schedules.handle import ScheduleHandle
from openqueue.store import store

Duration = float | timedelta


class TaskSchedules:
    """Creates, finds and lists the schedules of a task. Each method has its async twin."""

    __slots__ = ("task",)

    def __init__(self, task: Any) -> None:
        self.task = task

    def create(
        self,
        *,
        cron: str | None = None,
        every: Duration | None = None,
        payload: Mapping[str, Any] | None = None,
        key: str | None = None,
        timezone: str | None = None,
        misfire: str | None = None,
        catchup_window: Duration | None = None,
        overlap: str | None = None,
        jitter: Duration | None = None,
        starts_at: datetime | None = None,
        ends_at: datetime | None = None,
        **options: Any,
    ) -> ScheduleHandle:
        """Create a schedule in the open transaction, or make the one of this key what is given here.

        The same call again changes nothing, and a pause stands. ``options`` are those of ``using()`` for its runs:
        queue, priority, tags, meta, max_attempts, backoff, timeout, ttl.

        Raises:
            ScheduleInvalid: names each option that is wrong; nothing was written.
            PayloadInvalid: the payload does not fit the task's signature; nothing was written.
            TriggerNotAtomic: the open transaction is of another database.
        """
        rule = {
            "cron": cron,
            "every": every,
            "timezone": timezone,
            "misfire": misfire,
            "catchup_window": catchup_window,
            "overlap": overlap,
            "jitter": jitter,
            "starts_at": starts_at,
            "ends_at": ends_at,
        }
        key = uuid4().hex if key is None else key
        row, created = changes.create(self.task, key=key, payload=payload, rule=rule, options=options)
        return ScheduleHandle(row, created=created)

    def get(self, key: str) -> ScheduleHandle:
        """Return the schedule of this key; the declared one has the key "".

        Raises:
            Schedule.DoesNotExist: there is none.
        """
        rows = Schedule.objects.using(store().alias)
        return ScheduleHandle(rows.get(task_id=self.task.id, key=key))

    def list(self) -> list[ScheduleHandle]:
        """Return all schedules of the task, the oldest first."""
        rows = Schedule.objects.using(store().alias).filter(task_id=self.task.id).order_by("pk")
        return [ScheduleHandle(row) for row in rows]

    async def acreate(self, **facts: Any) -> ScheduleHandle:
        """Create a schedule; it commits by itself. See `create`."""
        return await sync_to_async(self.create)(**facts)

    async def aget(self, key: str) -> ScheduleHandle:
        """Return the schedule of this key."""
        return await sync_to_async(self.get)(key)

    async def alist(self) -> Any:
        """Return all schedules of the task."""
        return await sync_to_async(self.list)()
