"""One attempt in this process, from its claim to its settle."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable
from typing import Any

from openqueue import codec, secrets
from openqueue.context import Reporter, TaskContext
from openqueue.types import Claimed, Outcome


class Job:
    """A claimed attempt, its task and its context; what the worker's threads share about it."""

    __slots__ = (
        "attempt", "begun_at", "completion", "context", "ended", "function", "guard", "interrupted", "running",
        "task", "tell_body", "thread_id", "timeout", "unsealed",
    )  # fmt: skip

    def __init__(self, attempt: Claimed, task: Any) -> None:
        options = codec.decode(attempt.options) if attempt.options else {}
        self.attempt = attempt
        self.task = task
        self.function: Callable[..., Any] | None = None
        """Called in place of the task's own: the testing kit's, with its faults before and behind the body."""
        self.timeout: float | None = options.get("timeout", task.options.timeout)
        self.context: TaskContext | None = None
        self.completion: Outcome | None = None
        """What the body has written in its own transaction; ``written`` once that has committed."""
        self.begun_at: float | None = None
        """Monotonic; None until the body begins."""
        self.ended = False
        """Somebody has spoken for this attempt: whatever comes later is not sent."""
        self.guard = threading.Lock()
        """Held while deciding who speaks, and while an exception is thrown into the body's thread."""
        self.running = False
        self.interrupted = False
        self.thread_id = 0
        self.unsealed: dict[str, Any] | None = None
        """The arguments in the clear, of a task with secrets."""
        self.tell_body: Callable[[], None] | None = None
        """Has a body that is no plain function of ours, a coroutine or a process, hear that it should stop."""

    @property
    def age(self) -> float | None:
        """Seconds since the body began."""
        return None if self.begun_at is None else time.monotonic() - self.begun_at

    def leave_body(self) -> None:
        """Close the door to the timekeeper's exception; take back one that is already on its way."""
        with self.guard:
            self.running = False
            if self.interrupted:
                throw(self.thread_id, None)

    def mask(self, value: Any) -> Any:
        """Return a JSON value without this run's secrets: for errors, results, logs and progress."""
        if self.unsealed is None:
            return value
        return secrets.hide(value, payload=self.unsealed, fields=self.task.secret)

    def speak(self) -> bool:
        """Tell whether the caller is the first, and so the one, to say how this attempt ended."""
        with self.guard:
            first, self.ended = not self.ended, True
        return first


def context_of(
    job: Job, *, reporter: Reporter | None = None, completer: Callable[[Any], None] | None = None
) -> TaskContext:
    """Return the context that the body of this attempt is given."""
    attempt = job.attempt
    return TaskContext(
        run_id=attempt.run_id,
        task_id=attempt.task_id,
        queue=attempt.queue,
        attempt=attempt.attempt,
        max_attempts=attempt.max_attempts,
        payload=attempt.payload,
        meta=codec.decode(attempt.meta) if attempt.meta else None,
        timeout=job.timeout,
        reporter=reporter,
        mask=None if job.unsealed is None else job.mask,
        token=attempt.token,
        flow_id=attempt.flow_id,
        completer=completer,
    )


def throw(thread_id: int, error: type[BaseException] | None) -> None:
    """Set, or with None clear, the asynchronous exception of a thread (CPython's own means for this)."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread_id), None if error is None else ctypes.py_object(error)
    )
