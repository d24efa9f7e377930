"""What a body is given: who it is, and how to speak with the worker."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, MutableMapping
from contextvars import ContextVar
from typing import Any, Protocol
from uuid import UUID

from openqueue import codec
from openqueue.errors import TaskCancelled, TaskTimeout

logger = logging.getLogger("openqueue.run")
logger.setLevel(logging.INFO)

current: ContextVar[TaskContext | None] = ContextVar("openqueue_current", default=None)
"""The context of the body that runs here."""


class Reporter(Protocol):
    """The worker's side of a context."""

    def progress(self, context: TaskContext, *, percent: float | None, message: str) -> None: ...

    def log(self, context: TaskContext, *, level: int, text: str) -> None: ...


class RunLogger(logging.LoggerAdapter[logging.Logger]):
    """Adds the run to every record."""

    def __init__(self, context: TaskContext) -> None:
        super().__init__(logger, {"run_id": str(context.run_id), "task_id": context.task_id})

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        kwargs["extra"] = {**(self.extra or {}), **(kwargs.get("extra") or {})}
        return msg, kwargs


class TaskContext:
    """The first argument of a task that asks for it. One attempt of one run."""

    __slots__ = (
        "_cancelled", "_logger", "_payload_text", "_reporter", "_timed_out", "attempt", "deadline", "mask",
        "max_attempts", "meta", "queue", "run_id", "task_id",
    )  # fmt: skip

    def __init__(
        self,
        *,
        run_id: UUID,
        task_id: str,
        queue: str,
        attempt: int = 1,
        max_attempts: int = 1,
        payload: str = "{}",
        meta: dict[str, Any] | None = None,
        timeout: float | None = None,
        reporter: Reporter | None = None,
        mask: Callable[[Any], Any] | None = None,
    ) -> None:
        self.run_id = run_id
        self.task_id = task_id
        self.queue = queue
        self.attempt = attempt
        """Counts from 1; a graceful release gives the number back."""
        self.max_attempts = max_attempts
        self.meta = meta or {}
        self.deadline = None if timeout is None else time.monotonic() + timeout
        """A moment of ``time.monotonic()``; None without a timeout."""
        self._payload_text = payload
        self._reporter = reporter
        self.mask = mask
        """Takes this run's secrets out of a value, when its task has any."""
        self._cancelled = False
        self._timed_out = False
        self._logger: RunLogger | None = None

    @property
    def payload(self) -> dict[str, Any]:
        """The arguments as they were stored."""
        return codec.decode(self._payload_text)  # type: ignore[no-any-return]  # the JSON border

    @property
    def logger(self) -> RunLogger:
        """A standard logger whose lines are kept with the run."""
        if self._logger is None:
            self._logger = RunLogger(self)
        return self._logger

    def progress(self, percent: float | None = None, message: str = "") -> None:
        """Tell how far the body is; 0 to 100. At most one a second is kept, the newest."""
        if percent is not None and not 0 <= percent <= 100:
            raise ValueError(f"progress() got {percent!r}. Give a percentage from 0 to 100.")
        self.checkpoint()
        if self._reporter is not None:
            self._reporter.progress(self, percent=percent, message=message)

    @property
    def is_cancelled(self) -> bool:
        """Whether somebody asked this run to stop."""
        return self._cancelled

    def raise_if_cancelled(self) -> None:
        """Raise TaskCancelled when somebody asked this run to stop; TaskTimeout when its time is over."""
        self.checkpoint()
        if self._cancelled:
            raise TaskCancelled

    def heartbeat(self) -> None:
        """Give the worker a chance to end this body at a clean point: raises as `raise_if_cancelled` does."""
        self.raise_if_cancelled()

    def ask_to_stop(self) -> None:
        """Have `is_cancelled` say so; called by the worker."""
        self._cancelled = True

    def checkpoint(self) -> None:
        if self._timed_out or (self.deadline is not None and time.monotonic() >= self.deadline):
            self._timed_out = True
            raise TaskTimeout
