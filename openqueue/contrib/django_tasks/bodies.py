"""What a worker knows of a task that was declared through the framework: a task of OpenQueue's around it."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from asgiref.sync import sync_to_async
from django.dispatch import Signal

from openqueue.context import TaskContext
from openqueue.contrib.django_tasks import framework, results
from openqueue.contrib.django_tasks.framework import Task, task_finished, task_started
from openqueue.declaration import AsyncTask
from openqueue.declaration import Task as OpenQueueTask

logger = logging.getLogger("openqueue")

OWN: Final = {id(framework.log_task_started), id(framework.log_task_finished)}
"""The framework's receivers, which log. Workers log too, and to tell only these would cost two statements a run."""


class Adopted:
    """The tasks that were declared through the framework, by the path of their function."""

    def __init__(self) -> None:
        self.tasks: dict[str, OpenQueueTask[Any, Any]] = {}

    def adopt(
        self, task: Task[..., Any], *, sender: type, options: Mapping[str, Any]
    ) -> OpenQueueTask[Any, Any]:
        """Return the task for workers; made at the declaration, and again when its module is loaded again."""
        path = task.module_path
        known = self.tasks.get(path)
        if known is None or known.django_task.func is not task.func:  # type: ignore[attr-defined]  # set below
            known = self.tasks[path] = made(task, sender=sender, options=options)
        return known


def made(task: Task[..., Any], *, sender: type, options: Mapping[str, Any]) -> OpenQueueTask[Any, Any]:
    is_async = inspect.iscoroutinefunction(task.func)
    body = async_body(task, sender=sender) if is_async else sync_body(task, sender=sender)
    # Not functools.wraps: the arguments are those of the body, which takes the function's as it was called.
    for name in ("__module__", "__name__", "__qualname__", "__doc__"):
        setattr(body, name, getattr(task.func, name))
    tell_end = partial(tell, task_finished, sender=sender, backend=task.backend)
    kind = AsyncTask if is_async else OpenQueueTask
    found: OpenQueueTask[Any, Any] = kind(
        body,
        id=task.module_path,
        takes_context=True,
        on_success=lambda ctx, result: tell_end(ctx),
        on_failure=lambda ctx, error: tell_end(ctx),
        on_cancel=tell_end,
        **options,
    )
    found.django_task = task  # type: ignore[attr-defined]  # how a result finds its way back
    return found


def sync_body(task: Task[..., Any], *, sender: type) -> Callable[..., Any]:
    def body(ctx: TaskContext, args: list[Any], kwargs: dict[str, Any]) -> Any:
        tell(task_started, ctx, sender=sender, backend=task.backend)
        return task.func(*given(task, ctx), *args, **kwargs)

    return body


def async_body(task: Task[..., Any], *, sender: type) -> Callable[..., Any]:
    async def body(ctx: TaskContext, args: list[Any], kwargs: dict[str, Any]) -> Any:
        if heard(task_started):
            await sync_to_async(tell)(task_started, ctx, sender=sender, backend=task.backend)
        first = await sync_to_async(given)(task, ctx) if task.takes_context else ()
        return await task.func(*first, *args, **kwargs)

    return body


def given(task: Task[..., Any], ctx: TaskContext) -> tuple[framework.TaskContext[..., Any], ...]:
    """Return the framework's context when the task takes one."""
    if not task.takes_context:
        return ()
    return (framework.TaskContext(task_result=results.read(ctx.run_id, backend=task.backend)),)


def heard(signal: Signal) -> bool:
    """Tell whether somebody listens besides the framework's own log."""
    return any(entry[0][0] not in OWN for entry in signal.receivers)


def tell(signal: Signal, ctx: TaskContext, *, sender: type, backend: str) -> None:
    """Send a signal of the framework; errors of receivers are logged, the run stands."""
    if heard(signal):
        result = results.read(ctx.run_id, backend=backend)
        for receiver, answer in signal.send_robust(sender=sender, task_result=result):
            if isinstance(answer, Exception):
                logger.error("a signal receiver failed", extra={"receiver": repr(receiver)}, exc_info=answer)
