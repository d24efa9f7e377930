"""OpenQueue: background work for Django. The broker delivers, the database decides."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from openqueue.errors import (
    DuplicateTask,
    LeaseLost,
    NonRetryableError,
    OpenQueueError,
    PayloadInvalid,
    ResultInvalid,
    RetryableError,
    RunExpired,
    TaskCancelled,
    TaskDeclarationError,
    TaskFailed,
    TaskTimeout,
    TriggerNotAtomic,
    UnknownTask,
    UnsupportedCapability,
    WaitTimeout,
)
from openqueue.retry import exponential, fixed, linear

if TYPE_CHECKING:
    from openqueue.context import TaskContext
    from openqueue.declaration import Task, task
    from openqueue.handle import RunHandle
    from openqueue.orders import trigger, trigger_many

__version__ = "0.1.0"

__all__ = [
    "DuplicateTask",
    "LeaseLost",
    "NonRetryableError",
    "OpenQueueError",
    "PayloadInvalid",
    "ResultInvalid",
    "RetryableError",
    "RunExpired",
    "RunHandle",
    "Task",
    "TaskCancelled",
    "TaskContext",
    "TaskDeclarationError",
    "TaskFailed",
    "TaskTimeout",
    "TriggerNotAtomic",
    "UnknownTask",
    "UnsupportedCapability",
    "WaitTimeout",
    "exponential",
    "fixed",
    "linear",
    "task",
    "trigger",
    "trigger_many",
]

LATE = {
    "RunHandle": "handle",
    "Task": "declaration",
    "TaskContext": "context",
    "task": "declaration",
    "trigger": "orders",
    "trigger_many": "orders",
}
"""Names that need models, which Django loads after it has imported this package."""


def __getattr__(name: str) -> Any:
    if name not in LATE:
        raise AttributeError(f"module 'openqueue' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"openqueue.{LATE[name]}"), name)
    return value
