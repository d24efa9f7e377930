"""OpenQueue: background work for Django. The broker delivers, the database decides."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from openqueue.errors import (
    DuplicateTask,
    FlowFailed,
    FlowInvalid,
    LeaseLost,
    NonRetryableError,
    NotInFlow,
    OpenQueueError,
    PayloadInvalid,
    QueueClosed,
    ResultInvalid,
    RetryableError,
    RunExpired,
    ScheduleInvalid,
    StepRepeated,
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
    from openqueue.flow import (
        Flow,
        FlowContext,
        FlowHandle,
        aenqueue_flow,
        chain,
        enqueue_flow,
        group,
    )
    from openqueue.handle import RunHandle
    from openqueue.orders import trigger, trigger_many
    from openqueue.schedules.handle import ScheduleHandle

__version__ = "0.1.0"

__all__ = [
    "DuplicateTask",
    "Flow",
    "FlowContext",
    "FlowFailed",
    "FlowHandle",
    "FlowInvalid",
    "LeaseLost",
    "NonRetryableError",
    "NotInFlow",
    "OpenQueueError",
    "PayloadInvalid",
    "QueueClosed",
    "ResultInvalid",
    "RetryableError",
    "RunExpired",
    "RunHandle",
    "ScheduleHandle",
    "ScheduleInvalid",
    "StepRepeated",
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
    "aenqueue_flow",
    "chain",
    "enqueue_flow",
    "exponential",
    "fixed",
    "group",
    "linear",
    "task",
    "trigger",
    "trigger_many",
]

LATE = {
    "Flow": "flow",
    "FlowContext": "flow",
    "FlowHandle": "flow",
    "RunHandle": "handle",
    "ScheduleHandle": "schedules.handle",
    "Task": "declaration",
    "TaskContext": "context",
    "aenqueue_flow": "flow",
    "chain": "flow",
    "enqueue_flow": "flow",
    "group": "flow",
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
