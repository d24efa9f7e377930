"""What a body is given: who it is, and how to speak with the worker."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, MutableMapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar
from uuid import UUID

from openqueue import payloads
from openqueue.core.steps import Steps
from openqueue.errors import NotInFlow, TaskCancelled, TaskTimeout

if TYPE_CHECKING:
    from openqueue.flow import FlowContext

T = TypeVar("T")

logger = logging.getLogger("openqueue.run")
logger.setLevel(logging.INFO)

STDOUT: Final = 21
STDERR: Final = 31
"""Levels of what a body prints: a little above INFO and WARNING, so that a filter by level treats them alike."""
logging.addLevelName(STDOUT, "STDOUT")
logging.addLevelName(STDERR, "STDERR")

current: ContextVar[TaskContext | None] = ContextVar("openqueue_current", default=None)
"""The context of the body that runs here."""


LONGEST: Final = 16_384
"""Characters of one printed line that are looked at; of these at most 8 KiB are kept."""


class Reporter(Protocol):
    """The worker's side of a context."""

    def progress(self, context: TaskContext, *, percent: float | None, message: str) -> None: ...

    def log(self, context: TaskContext, *, level: int, text: str) -> None: ...

    def has_room(self, context: TaskContext) -> bool: ...


class RunLogger(logging.LoggerAdapter[logging.Logger]):
    """Adds the run to every record, and takes its secrets out of it, wherever the record goes from here."""

    def __init__(self, context: TaskContext) -> None:
        super().__init__(logger, {"run_id": str(context.run_id), "task_id": context.task_id})
        self.mask = context.mask

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Log a line; one of a run with secrets is put together here, its traceback with it."""
        kwargs["stacklevel"] = kwargs.get("stacklevel", 1) + 1
        if self.mask is not None and self.isEnabledFor(level):
            told = kwargs.pop("exc_info", None)
            told = sys.exc_info() if told is True else told
            record = logging.makeLogRecord({"msg": msg, "args": args, "exc_info": told})
            try:
                text = logging.Formatter("%(message)s").format(record)
            except Exception:  # words that do not fit each other, or an object that cannot be shown
                text = f"{msg!r} could not be put together with its arguments"
            msg, args = self.mask(text), ()
            if kwargs.get("extra"):
                kwargs["extra"] = self.mask(dict(kwargs["extra"]))
        super().log(level, msg, *args, **kwargs)

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        kwargs["extra"] = {**(self.extra or {}), **(kwargs.get("extra") or {})}
        return msg, kwargs


class TaskContext:
    """The first argument of a task that asks for it. One attempt of one run."""

    __slots__ = (
        "_cancelled", "_completer", "_flow", "_logger", "_payload_text", "_printed", "_reporter", "_steps",
        "_timed_out", "attempt", "deadline", "flow_id", "mask", "max_attempts", "meta", "queue", "run_id",
        "task_id", "token",
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
        token: UUID | None = None,
        flow_id: UUID | None = None,
        completer: Callable[[Any], None] | None = None,
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
        self._completer = completer
        """Writes a completion in the open transaction; None where there is no run to be completed."""
        self.token = token
        """The claim of this attempt; None when the function was called without one."""
        self.flow_id = flow_id
        """The flow that the run is a node of, if any."""
        self._flow: FlowContext | None = None
        self._steps: Steps | None = None
        self._cancelled = False
        self._timed_out = False
        self._logger: RunLogger | None = None
        self._printed: dict[int, str] | None = None
        """Begun lines of what the body prints, by level."""

    @property
    def payload(self) -> dict[str, Any]:
        """The arguments as they were stored."""
        return payloads.decode(self._payload_text)  # type: ignore[no-any-return]  # the JSON border

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
    def flow(self) -> FlowContext:
        """The flow that this run is a node of: results of other nodes, and `add`.

        Raises:
            NotInFlow: it is in none; `flow_id` is None.
        """
        if self.flow_id is None:
            raise NotInFlow(self.run_id)
        if self._flow is None:
            from openqueue.flow import FlowContext  # noqa: PLC0415  # it needs models, and handles that need this

            self._flow = FlowContext(flow_id=self.flow_id, run_id=self.run_id, token=self.token)
        return self._flow

    def step(self, name: str, function: Callable[[], T]) -> T:
        """Call ``function`` and record its result, or return what an earlier attempt recorded under this name.

        The result is what JSON makes of it, in the first attempt too. The record is written when the function has
        returned, in the open transaction if there is one: within atomic() it stands or falls with what the step wrote.

        Raises:
            StepRepeated: this attempt has done a step of that name.
            ResultInvalid: the result has no JSON form, is too large, or holds a secret.
            LeaseLost: this attempt is not the one that counts any more.
        """
        self.raise_if_cancelled()
        return self._recorded_steps().do(name, function)  # type: ignore[no-any-return]  # the JSON border

    async def astep(self, name: str, function: Callable[[], Any]) -> Any:
        """Do a step as `step` does; ``function`` may be a coroutine function."""
        self.raise_if_cancelled()
        return await self._recorded_steps().ado(name, function)

    def _recorded_steps(self) -> Steps:
        if self._steps is None:
            self._steps = Steps(self.run_id, attempt=self.attempt, token=self.token, mask=self.mask)
        return self._steps

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

    def complete_in_transaction(self, result: Any = None) -> None:
        """Complete the run in the open transaction: what the body wrote in it and the completion commit together.

        Call it as the last thing inside ``transaction.atomic()`` on OpenQueue's database. ``result`` is the run's
        result; what the body returns is not looked at any more. If the transaction rolls back, nothing has happened.

        Raises:
            TransactionManagementError: no transaction is open there in this thread, or it was called before.
            LeaseLost: the run is not this attempt's any more; let it pass, so that the transaction rolls back.
            ResultInvalid: the result has no JSON form.
        """
        self.checkpoint()
        if self._completer is not None:
            self._completer(result)

    def ask_to_stop(self) -> None:
        """Have `is_cancelled` say so; called by the worker."""
        self._cancelled = True

    def overhear(self, text: str, *, level: int) -> None:
        """Keep what the body prints, line by line; called by the worker's stand-in for the stream.

        Of a line that is written over (a progress bar ends its line by a carriage return) the last state is kept.
        """
        if self._reporter is None:
            return
        if self._printed is None:
            self._printed = {}
        begun = self._printed.pop(level, "")
        start = 0
        while (end := text.find("\n", start)) >= 0:
            if not self._reporter.has_room(self):
                return
            line = more(begun, text[start : min(end, start + LONGEST)])
            self._reporter.log(self, level=level, text=line.rstrip("\r"))
            begun, start = "", end + 1
        if start < len(text) or begun:
            self._printed[level] = more(begun, text[start : start + LONGEST])

    def end_lines(self) -> None:
        """Keep the begun lines as they are: the body has ended."""
        printed, self._printed = self._printed, None
        for level, begun in (printed or {}).items():
            if self._reporter is not None:
                self._reporter.log(self, level=level, text=begun.rstrip("\r"))

    def checkpoint(self) -> None:
        if self._timed_out or (self.deadline is not None and time.monotonic() >= self.deadline):
            self._timed_out = True
            raise TaskTimeout


def more(begun: str, text: str) -> str:
    """Return what a begun line is after more of it was printed: what a carriage return wrote over is gone."""
    back = text.rstrip("\r").rfind("\r")
    if back >= 0:
        begun, text = "", text[back + 1 :]
    elif begun.endswith("\r") and text:
        begun = ""
    return begun + text if len(begun) < LONGEST else begun
