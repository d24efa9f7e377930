"""What `trigger()` returns: a light hold on a run."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import suppress
from functools import partial
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import connections, transaction

from openqueue.conf import config
from openqueue.core import cancellation, waiting
from openqueue.errors import RunExpired, TaskFailed, WaitTimeout
from openqueue.models import Run
from openqueue.states import FINAL, Status

R = TypeVar("R")
OWN_LOOK: Final = 2.0
"""Seconds after which who waits looks as well, whatever the thread that looks for all does."""


class RunHandle(Generic[R]):
    """A run as it was when last looked at; `refresh()` looks again."""

    __slots__ = ("_row", "created", "id", "queue", "status", "task_id")

    def __init__(self, *, id: UUID, task_id: str, queue: str, status: str, created: bool = True) -> None:
        self.id = id
        self.task_id = task_id
        self.queue = queue
        self.status = status
        self.created = created
        """False: its like had been triggered already, and this is that run."""
        self._row: Run | None = None

    def __repr__(self) -> str:
        return f"<RunHandle {self.task_id} {self.id} {self.status}>"

    @property
    def row(self) -> Run:
        """The run's row as last read."""
        if self._row is None:
            self.refresh()
        assert self._row is not None  # noqa: S101  # refresh() has read it or raised
        return self._row

    def refresh(self) -> RunHandle[R]:
        """Read the run again.

        Raises:
            Run.DoesNotExist: its transaction was rolled back, or retention deleted it.
        """
        self._row = Run.objects.using(config.database).get(pk=self.id)
        self.status = self._row.status
        return self

    async def arefresh(self) -> RunHandle[R]:
        """Read the run again."""
        return await sync_to_async(self.refresh)()

    @property
    def result(self) -> Any:
        """What the task returned, once completed."""
        return self.row.result

    @property
    def error(self) -> dict[str, Any] | None:
        """The error of the newest failed attempt: type, message, traceback."""
        return self.row.error  # type: ignore[no-any-return]  # the JSON border

    @property
    def reason(self) -> str:
        """Why the run stands where it stands."""
        return self.row.reason

    @property
    def attempt(self) -> int:
        """The number of the newest attempt; 0 before the first."""
        return self.row.attempt

    def cancel(self, *, actor: str = "") -> str:
        """Cancel the run: `cancelled`, `requested` (a running body hears of it within a heartbeat) or `finished`."""
        answer = cancellation.cancel([self.id], actor=actor)[self.id]
        self._row = None
        return answer

    async def acancel(self, *, actor: str = "") -> str:
        """Cancel the run; see `cancel`."""
        return await sync_to_async(partial(self.cancel, actor=actor))()

    def wait(self, timeout: float | None = None) -> R:
        """Wait until the run ends and return its result. ``timeout`` is in seconds.

        Raises:
            WaitTimeout: it did not end in time; it goes on.
            TaskFailed: it ended failed or cancelled.
            RunExpired: it was not started in time.
            TransactionManagementError: called inside atomic(), where the run cannot start before the wait ends.
        """
        if connections[config.database].in_atomic_block:
            raise transaction.TransactionManagementError(
                "run.wait() inside atomic() would wait for a run that nobody can see before the commit. "
                "Leave the block first."
            )
        patience = Patience(timeout)
        while self.refresh().status not in FINAL:
            ended = threading.Event()
            with waiting.looker.waiting(self.id, ended.set):
                ended.wait(patience.left())
        return self.outcome()

    async def aresult(self, timeout: float | None = None) -> R:  # the twin of `wait`
        """Wait as `wait` does without blocking the loop (its natural name, ``await``, is a word of Python)."""
        patience = Patience(timeout)
        loop = asyncio.get_running_loop()
        while (await self.arefresh()).status not in FINAL:
            ended = asyncio.Event()
            wake = partial(tell, loop, ended)
            with waiting.looker.waiting(self.id, wake), suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), patience.left())
        return self.outcome()

    def outcome(self) -> R:
        """Return the result of an ended run, or raise what it ended with."""
        row = self.row
        if row.status == Status.COMPLETED:
            return row.result  # type: ignore[no-any-return]  # the JSON border
        if row.status == Status.EXPIRED:
            raise RunExpired
        raise TaskFailed(row.pk, status=row.status, reason=row.reason, error=row.error)


def tell(loop: asyncio.AbstractEventLoop, ended: asyncio.Event) -> None:
    """Set an event of another thread's loop; nobody waits for it any more where the loop is closed."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(ended.set)


class Patience:
    """How long to wait for the shared look before one of one's own, never beyond the timeout."""

    def __init__(self, timeout: float | None) -> None:
        self.until = None if timeout is None else time.monotonic() + timeout

    def left(self) -> float:
        """Return seconds; raise WaitTimeout when there are none."""
        pause = OWN_LOOK if not waiting.looker.failed else waiting.LONGEST
        if self.until is None:
            return pause
        left = self.until - time.monotonic()
        if left <= 0:
            raise WaitTimeout
        return min(pause, left)
