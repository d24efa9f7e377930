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
├── ScheduleInvalid           also a ValueError
├── PayloadUnavailable        also a RetryableError
├── SecretsUnavailable
├── SecretUnreadable
├── UnknownTask
├── UnsupportedCapability
├── TriggerNotAtomic
├── LeaseLost
├── WaitTimeout               also a TimeoutError
├── TaskFailed                raised by run.wait()
├── FlowInvalid               also a ValueError
├── FlowFailed                raised by flow.wait()
├── NotInFlow                 raised by ctx.flow
├── StepRepeated              raised by ctx.step()
├── UnclearRun                raised where operators name runs
├── UnclearFlow               raised where operators name flows
├── UnclearQueue              raised where operators name queues
├── UnclearWorker             raised where operators name workers
├── WorkerGone                raised by what is told to one
├── UnclearSchedule           raised where operators name schedules
├── QueueClosed               raised by a trigger into a queue that rejects
├── UnclearErrorGroup         raised where operators name groups of errors
├── UnclearSearch             also a ValueError; raised where operators act on what a search finds
├── UnclearOperation          raised where operators name bulk operations
├── UnclearDeadLetter         raised where operators name dead letters
├── WrongState                raised by acts that the state does not allow now
├── RunLocked                 raised by acts that would have to wait
├── TokenInvalid              raised where tokens are made
├── KeyReused                 raised where an idempotency key comes with another request
├── NotAllowed                raised where a caller lacks the right
├── DefinitionInvalid         also a ValueError; raised where tasks are defined over HTTP
├── DeclaredInCode            raised there too
├── AlertInvalid              also a ValueError; raised where alerts are defined
├── UnclearAlert              raised where operators name alerts, their rules and channels
├── LeaseForeign              raised where workers over HTTP speak of runs
└── TaskDeclarationError
    └── DuplicateTask
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
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

    def in_words(self, said: Callable[[str], str]) -> str:
        """Return what it says, the sentences in it as ``said`` says them: in another language, perhaps."""
        told = str(self)
        return said(self.args[0]) if len(self.args) == 1 and self.args[0] == told else told

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
        return self.in_words(str)

    def in_words(self, said: Callable[[str], str]) -> str:
        """Return the fields with what is wrong with each."""
        if not self.errors:
            return self.default_message()
        reasons = [f"{path} {said(reason)}" for path, reason in self.errors[:MAX_REASONS_SHOWN]]
        if len(self.errors) > MAX_REASONS_SHOWN:
            reasons.append(f"and {len(self.errors) - MAX_REASONS_SHOWN} more")
        return "; ".join(reasons)


class PayloadInvalid(_FieldsInvalid):
    """The payload does not fit the task's signature. `.errors` names each field and why."""


class PayloadTooLarge(PayloadInvalid):
    """The payload is above PAYLOAD_LIMIT. Name a storage in LARGE_PAYLOADS, or pass the name of what is large."""


class PayloadUnavailable(RetryableError):
    """The storage of LARGE_PAYLOADS did not give the payload. Another attempt is made, as after any error."""


class ResultInvalid(_FieldsInvalid):
    """The result cannot be stored as JSON. Return plain values, and mind that the body has run."""

    @classmethod
    def of(cls, error: PayloadInvalid) -> ResultInvalid:
        """Return the same objections, made to a result: a ResultTooLarge for a PayloadTooLarge."""
        kind = ResultTooLarge if isinstance(error, PayloadTooLarge) else ResultInvalid
        return kind(error.errors)


class ResultTooLarge(ResultInvalid):
    """The result is above RESULT_LIMIT. Write it to a storage and return its name."""


class ScheduleInvalid(_FieldsInvalid):
    """The schedule cannot be kept like this. Mend what the message names; nothing was written."""


class AlertInvalid(_FieldsInvalid):
    """The rule or channel of alerts cannot be like this. Mend what the message names; nothing was written."""


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


class FlowInvalid(OpenQueueError, ValueError):
    """The flow cannot be triggered like this. Mend what the message names; nothing was written."""


class FlowFailed(OpenQueueError):
    """The flow did not complete. Its nodes say why; handle.retry() goes on from those that failed."""

    def __init__(
        self, flow_id: UUID | str = "", *, status: str = "failed", failed: Sequence[str] = ()
    ) -> None:
        super().__init__(flow_id)
        self.flow_id, self.status, self.failed = flow_id, status, tuple(failed)

    def __str__(self) -> str:
        named = ", ".join(self.failed[:MAX_REASONS_SHOWN])
        return f"Flow {self.flow_id} ended {self.status}" + (f": {named} did not complete" if named else "")


class NotInFlow(_Named):
    """This run is no node of a flow. Trigger it with enqueue_flow(), or do not ask for ctx.flow."""


class StepRepeated(_Named):
    """A step of that name was done in this attempt. Give each step of a task a name of its own."""


class UnclearRun(OpenQueueError):
    """No single run is meant by that id. Give the whole id, or more characters of it."""


class UnclearFlow(OpenQueueError):
    """No flow has that id. `control.flows.find()` lists them."""


class UnclearQueue(OpenQueueError):
    """No queue can have that name. Names match [a-z0-9][a-z0-9._-]{0,62}."""


class UnclearErrorGroup(OpenQueueError):
    """There is no such group of errors. List them for the numbers of those that there are."""


class UnclearSearch(OpenQueueError, ValueError):
    """The search has faults, and an act takes no guess at what is meant. Mend what the message names."""

    errors: list[FieldError]
    """What is wrong with which field of the search."""

    def __init__(self, errors: Iterable[tuple[str, str]] = ()) -> None:
        self.errors = [FieldError(path, reason) for path, reason in errors]
        super().__init__(" ".join(reason for _, reason in self.errors))

    def in_words(self, said: Callable[[str], str]) -> str:
        """Return what is wrong, fault by fault."""
        return " ".join(said(reason) for _, reason in self.errors) or self.default_message()


class UnclearOperation(OpenQueueError):
    """There is no such bulk operation. `openqueue_runs operations` shows those that there are."""


class UnclearDeadLetter(OpenQueueError):
    """There is no such dead letter. `openqueue_dead_letters list` shows those that there are."""


class WrongState(OpenQueueError):
    """The state does not allow that now. Look at it again, and ask for what it allows."""

    def __init__(self, message: str = "", *, code: str = "wrong_state", now: Any = None) -> None:
        super().__init__(*([message] if message else []))
        self.code = code
        """What is in the way, in a word that programs can act on."""
        self.now = now
        """What it was asked of, as it is now."""


class RunLocked(OpenQueueError):
    """Another transaction holds the run's row. Ask again when it has ended; pg_stat_activity shows whose it is."""


class UnclearWorker(OpenQueueError):
    """No single worker is meant by that name. Give its id or the beginning of it, or host:pid."""


class UnclearSchedule(OpenQueueError):
    """No schedule has that id. `openqueue_schedules list` shows them."""


class UnclearAlert(OpenQueueError):
    """There is no such alert, rule or channel. List them for those that there are."""


class WorkerGone(_Named):
    """The worker has left, was declared lost, or is not yours: nothing reaches it. Look who is there, or register."""


class QueueClosed(OpenQueueError):
    """The queue takes in no runs now. Trigger again when it is open, or ask who closed it: `openqueue_queues list`."""

    @classmethod
    def of(cls, closed: Iterable[tuple[str, str, str]]) -> Self:
        """Return the error for queues, each with who closed it and why."""
        told = "; ".join(
            f"{queue!r} was closed{f' by {by}' if by else ''}{f': {why}' if why else ''}"
            for queue, by, why in closed
        )
        return cls(f"{told or 'It was closed'}. {cls.default_message()}")


class TokenInvalid(OpenQueueError):
    """No token can be made like this. Names are unique; scopes are read, trigger, control, worker and admin."""


class KeyReused(OpenQueueError):
    """This idempotency key came with another request before. Send a new key with a new request."""


class NotAllowed(OpenQueueError):
    """The caller may not do that. Give its token the scope, or the user the permission."""


class DefinitionInvalid(_FieldsInvalid):
    """The task cannot be defined like this. `.errors` names each field and why."""


class DeclaredInCode(_Named):
    """A Python function declares this task. Define another id, or remove the function."""


class LeaseForeign(OpenQueueError):
    """A lease was not given to this credential. Send it as it came, with the token that claimed the run."""


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
