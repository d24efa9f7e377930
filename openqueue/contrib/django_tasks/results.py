"""A run as the framework shows it."""

from __future__ import annotations

import builtins
from dataclasses import replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from openqueue import errors, payloads, registry
from openqueue.conf import config
from openqueue.contrib.django_tasks.framework import (
    Task,
    TaskError,
    TaskResult,
    TaskResultDoesNotExist,
    TaskResultStatus,
)
from openqueue.models import Run, RunEvent
from openqueue.states import Kind, Status

STATUSES: Final = {
    Status.RUNNING: TaskResultStatus.RUNNING,
    Status.COMPLETED: TaskResultStatus.SUCCESSFUL,
    Status.FAILED: TaskResultStatus.FAILED,
    Status.CANCELLED: TaskResultStatus.FAILED,
    Status.EXPIRED: TaskResultStatus.FAILED,
}
"""All others are READY: "just enqueued, or ready to be executed again"."""
TOLD: Final = (Kind.STARTED, Kind.RETRYING, Kind.FAILED)


def read(result_id: str | UUID, *, backend: str) -> TaskResult[..., Any]:
    """Return a run and its history as a result, in two statements.

    Raises:
        TaskResultDoesNotExist: there is no such run, or it is not of a task of the framework that is imported here.
    """
    try:
        run = Run.objects.using(config.database).get(pk=UUID(str(result_id)))
    except (Run.DoesNotExist, ValueError):
        raise TaskResultDoesNotExist(result_id) from None
    task = getattr(registry.index().get(run.task_id), "django_task", None)
    if task is None:
        raise TaskResultDoesNotExist(
            f"{result_id}: {run.task_id} is no task of the framework that is imported here"
        )
    events = RunEvent.objects.using(config.database).filter(run_id=run.pk, kind__in=TOLD).order_by("id")
    return result_of(run, list(events), task=task, backend=backend)


def result_of(
    run: Run, events: list[RunEvent], *, task: Task[..., Any], backend: str
) -> TaskResult[..., Any]:
    starts = [event for event in events if event.kind == Kind.STARTED]
    # A retry by hand is due at once, later than the run was created, and nobody asked for that moment.
    is_delayed = run.cycle == 1 and run.scheduled_for > run.created_at
    payload = payloads.opened(run.payload)
    result: TaskResult[..., Any] = TaskResult(
        # Not task.using(), which takes None for "as it is": workers may have met the task on a later occasion first.
        task=replace(
            task,
            priority=run.priority,
            queue_name=run.queue,
            run_after=shown(run.scheduled_for) if is_delayed else None,
        ),
        id=str(run.pk),
        status=STATUSES.get(Status(run.status), TaskResultStatus.READY),
        enqueued_at=shown(run.created_at),
        started_at=shown(starts[0].at if starts else None),
        finished_at=shown(run.finished_at),
        last_attempted_at=shown(starts[-1].at if starts else None),
        args=payload["args"],
        kwargs=payload["kwargs"],
        backend=backend,
        errors=[error_of(error) for event in events if (error := (event.data or {}).get("error"))],
        worker_ids=[(event.data or {}).get("worker", "") for event in starts],
    )
    object.__setattr__(
        result, "_return_value", run.result
    )  # as the framework's own backends do: it is frozen
    return result


def error_of(error: dict[str, Any]) -> TaskError:
    """Return a stored error; its type as a path that the framework can import."""
    name = error["type"]
    if "." not in name:
        home: Any = builtins if hasattr(builtins, name) else errors
        name = f"{home.__name__}.{name if hasattr(home, name) else errors.OpenQueueError.__name__}"
    return TaskError(exception_class_path=name, traceback=error["traceback"] or error["message"])


def shown(moment: datetime | None) -> datetime | None:
    """Return a moment as the project's settings have them."""
    return moment if moment is None or settings.USE_TZ else timezone.make_naive(moment)
