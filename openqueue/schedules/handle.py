"""What ``task.schedules`` gives: a hold on one schedule."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from asgiref.sync import sync_to_async

from openqueue import registry, secrets
from openqueue.errors import UnknownTask
from openqueue.handle import RunHandle
from openqueue.models import Schedule
from openqueue.schedules import changes
from openqueue.store import store

T = TypeVar("T")


class ScheduleHandle:
    """A schedule as it was when last looked at. Its columns are attributes: `next_at`, `last_run_at`, `error` ..."""

    __slots__ = ("created", "row")

    def __init__(self, row: Schedule, *, created: bool = False) -> None:
        self.row = row
        self.created = created
        """Whether `create()` made it; False: it was there."""

    def __repr__(self) -> str:
        return f"<ScheduleHandle {self.row} {self.row.status}>"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name in ("row", "created"):
            raise AttributeError(name)
        return getattr(self.row, name)

    @property
    def payload(self) -> Any:
        """The arguments of its runs, secret ones masked."""
        try:
            task = registry.get(self.row.task_id)
        except UnknownTask:
            return self.row.payload
        return secrets.redact(self.row.payload, fields=task.secret)

    def refresh(self) -> ScheduleHandle:
        """Read the schedule again.

        Raises:
            Schedule.DoesNotExist: it was deleted.
        """
        self.row = Schedule.objects.using(store().alias).get(pk=self.row.pk)
        return self

    def update(self, **changed: Any) -> ScheduleHandle:
        """Change what is named, in the open transaction: options as `create()` takes them, and ``payload``.

        Raises:
            ScheduleInvalid: names each option that is wrong; nothing was written.
            PayloadInvalid: the payload does not fit the task's signature; nothing was written.
        """
        self.row = changes.change(self.row, changed)
        return self

    def pause(self) -> ScheduleHandle:
        """Make no runs until `resume`; what is due meanwhile is not made up for."""
        self.row, _ = changes.pause(self.row)
        return self

    def resume(self) -> ScheduleHandle:
        """Go on with the next tick from now."""
        self.row, _ = changes.resume(self.row)
        return self

    def trigger_now(self) -> RunHandle[Any]:
        """Create a run beside the rule; the next tick stays as it is."""
        return changes.trigger_now(self.row)

    def delete(self) -> None:
        """Delete the schedule; its runs stay.

        Raises:
            ScheduleInvalid: code declares it.
        """
        changes.delete(self.row)

    async def arefresh(self) -> ScheduleHandle:
        """Read the schedule again."""
        return await outside(self.refresh)

    async def aupdate(self, **changed: Any) -> ScheduleHandle:
        """Change what is named; it commits by itself."""
        return await outside(partial(self.update, **changed))

    async def apause(self) -> ScheduleHandle:
        """Make no runs until `resume`."""
        return await outside(self.pause)

    async def aresume(self) -> ScheduleHandle:
        """Go on with the next tick from now."""
        return await outside(self.resume)

    async def atrigger_now(self) -> RunHandle[Any]:
        """Create a run beside the rule; it commits by itself."""
        return await outside(self.trigger_now)

    async def adelete(self) -> None:
        """Delete the schedule; it commits by itself."""
        await outside(self.delete)


async def outside(act: Callable[[], T]) -> T:
    """Do it outside the event loop."""
    return await sync_to_async(act)()
