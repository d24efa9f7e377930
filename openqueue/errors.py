"""Every error OpenQueue raises; a class's docstring is its default message and names the remedy.

OpenQueueError
├── NonRetryableError         raised by a task: fail now
├── RetryableError            raised by a task: try again, perhaps at a moment it names
├── TaskTimeout               raised inside a body that used up its timeout
├── TaskCancelled             raised inside a body whose run was cancelled
├── RunExpired
├── PayloadInvalid            also a ValueError
│   └── PayloadTooLarge
├── ResultInvalid             also a ValueError
│   └── ResultTooLarge
├── SecretsUnavailable
├── SecretUnreadable
├── UnknownTask
├── UnsupportedCapability
├── TriggerNotAtomic
├── LeaseLost
├── WaitTimeout               also a TimeoutError
├── TaskFailed                raised by run.wait()
├── UnclearRun                raised where operators name runs
└── TaskDeclarationError
    └── DuplicateTask
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, NamedTuple, Self
from uuid import UUID

MAX_KEY_IN_PATH = 80  # characters of a dictionary key shown in a path
MAX_REASONS_SHOWN = 20  # fields named in a message; `.errors` holds them all
MAX_RETRY_DELAY = timedelta(days=3650)


class OpenQueueError(Exception):
    """OpenQueue could not do what was asked."""

    def __str__(self) -> str:
        return super().__str__() or self.default_message()

    @classmethod
    def default_message(cls) -> str:
        """Return the docstring of the class, or of the nearest parent that has one, on one line."""
        return " ".join((inspect.getdoc(cls) or cls.__name__).split())


class NonRetryableError(OpenQueueError):
    """The task said that another attempt would not help. Mend the cause, then retry the run by hand."""


class RetryableError(OpenQueueError):
    """The task asked for another attempt. It comes by itself; give a longer `delay` if it comes too often."""

    delay: timedelta | None
    """How long to wait before it; None leaves that to the task's backoff."""

    def __init__(self, message: str = "", *, delay: float | timedelta | None = None) -> None:
        super().__init__(*([message] if message else []))
        self.delay = None if delay is None else _retry_delay(delay)


class TaskTimeout(OpenQueueError):
    """The attempt used up its timeout. Make the task faster, split it, or give it a longer `timeout=`."""


class TaskCancelled(OpenQueueError):
    """The run was cancelled. Let this error pass through the task so that the attempt ends."""


class RunExpired(OpenQueueError):
    """The run was not started within its `ttl`. Add workers, or give the task a longer ttl."""


class FieldError(NamedTuple):
    """One thing wrong with one field of a payload or result."""

    path: str
    """Where: "items[3].price"."""
    reason: str

    @staticmethod
    def step(path: str, key: object) -> str:
        """Return the path one level further down: an int is an index, anything else a key."""
        if isinstance(key, int) and not isinstance(key, bool):
            return f"{path}[{int(key)}]"
        if isinstance(key, str) and key.isidentifier() and len(key) <= MAX_KEY_IN_PATH:
            return f"{path}.{key}" if path else str(key)
        text = ascii(key) if isinstance(key, str) else f"<{type(key).__name__} key>"
        return f"{path}[{text[:MAX_KEY_IN_PATH]}]"

    @staticmethod
    def is_model(kind: type) -> bool:
        """Tell a Django model without importing Django."""
        return hasattr(kind, "_meta") and hasattr(kind, "pk")

    @classmethod
    def without_json_form(cls, path: str, value: object) -> Self:
        """Say why a Python value cannot travel as JSON, and what to give in its place."""
        kind = type(value).__name__
        if cls.is_model(type(value)):
            return cls(path, f"is a model instance ({kind}): pass its primary key and fetch it in the task")
        return cls(
            path,
            f"is a {kind}, which has no JSON form: pass plain values (dict, list, str, numbers, bool, None)",
        )


class _FieldsInvalid(OpenQueueError, ValueError):
    """Some fields are not valid."""

    def __init__(self, errors: Iterable[tuple[str, str]] = ()) -> None:
        self.errors: tuple[FieldError, ...] = tuple(FieldError(*error) for error in errors)
        super().__init__(self.errors)

    def __str__(self) -> str:
        if not self.errors:
            return self.default_message()
        reasons = [f"{path} {reason}" for path, reason in self.errors[:MAX_REASONS_SHOWN]]
        if len(self.errors) > MAX_REASONS_SHOWN:
            reasons.append(f"and {len(self.errors) - MAX_REASONS_SHOWN} more")
        return "; ".join(reasons)


class PayloadInvalid(_FieldsInvalid):
    """The payload does not fit the task's signature. `.errors` names each field and why."""


class PayloadTooLarge(PayloadInvalid):
    """The payload is above PAYLOAD_LIMIT. Keep large things in a storage and pass their names."""


class ResultInvalid(_FieldsInvalid):
    """The result cannot be stored as JSON. Return plain values, and mind that the body has run."""

    @classmethod
    def of(cls, error: PayloadInvalid) -> ResultInvalid:
        """Return the same objections, made to a result: a ResultTooLarge for a PayloadTooLarge."""
        kind = ResultTooLarge if isinstance(error, PayloadTooLarge) else ResultInvalid
        return kind(error.errors)


class ResultTooLarge(ResultInvalid):
    """The result is above RESULT_LIMIT. Write it to a storage and return its name."""


class SecretsUnavailable(OpenQueueError):
    """Secret arguments need the package `cryptography`. Install OpenQueue with its `crypto` extra."""


class SecretUnreadable(OpenQueueError):
    """A secret cannot be decrypted. Add the key that wrote it to the end of OPENQUEUE["SECRET_KEYS"]."""


class _Named(OpenQueueError):
    """An error about one thing, which its message begins with."""

    def __str__(self) -> str:
        return ": ".join([*(str(arg) for arg in self.args), self.default_message()])


class UnknownTask(_Named):
    """No task of this name is registered. Is its tasks.py in an app of INSTALLED_APPS?"""


class UnsupportedCapability(OpenQueueError):
    """The queue's runtime cannot do that. Send the task to a queue whose runtime can, or drop the option."""


class TriggerNotAtomic(OpenQueueError):
    """The trigger cannot be atomic with your data. Use atomic() of the database that holds OpenQueue."""


class LeaseLost(_Named):
    """This attempt lost its lease to another worker. What it wrote was discarded; nothing is to be done."""


class WaitTimeout(OpenQueueError, TimeoutError):
    """The run did not finish in time. It goes on: look again with run.refresh(), or wait longer."""


class TaskFailed(OpenQueueError):
    """The run ended without a result. Its error and timeline say why."""

    def __init__(
        self,
        run_id: UUID | str = "",
        *,
        status: str = "failed",
        reason: str = "",
        error: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(run_id)
        self.run_id, self.status, self.reason, self.error = run_id, status, reason, error

    def __str__(self) -> str:
        ended = f"Run {self.run_id} ended {self.status}" + (f" ({self.reason})" if self.reason else "")
        if not self.error:
            return ended
        return f"{ended}: {self.error.get('type', '')}: {self.error.get('message', '')}"


class UnclearRun(OpenQueueError):
    """No single run is meant by that id. Give the whole id, or more characters of it."""


class TaskDeclarationError(OpenQueueError):
    """The task cannot be declared like this. Mend what the message names, in `@task(...)` or signature."""


class DuplicateTask(TaskDeclarationError):
    """Two functions have one task id. Give one of them another with `@task(id=...)`."""


def _retry_delay(delay: float | timedelta) -> timedelta:
    """Turn seconds into a duration; a moment already past (a late Retry-After) means at once."""
    seconds = delay.total_seconds() if isinstance(delay, timedelta) else float(delay)
    if math.isnan(seconds) or seconds > MAX_RETRY_DELAY.total_seconds():
        raise ValueError(f"delay= must be seconds or a timedelta of at most ten years, not {delay!r}")
    return timedelta(seconds=max(seconds, 0.0))
