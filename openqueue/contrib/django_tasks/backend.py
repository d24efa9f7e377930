"""The backend: what `TASKS` names."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from django.apps import apps
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone

from openqueue.conf import NAME
from openqueue.contrib.django_tasks import results
from openqueue.contrib.django_tasks.bodies import Adopted
from openqueue.contrib.django_tasks.framework import (
    BaseTaskBackend,
    InvalidTask,
    Task,
    TaskResult,
    TaskResultStatus,
    normalize_json,
    task_enqueued,
)
from openqueue.errors import TaskDeclarationError
from openqueue.options import DECLARABLE, Options
from openqueue.orders import Order

TAKEN: Final = DECLARABLE - {"queue", "priority"}
"""Options for all tasks of a backend; queue and priority are the framework's own."""
ONCE: Final = {"max_attempts": 1}
"""The framework knows no retries: a body that raises has failed, unless the settings say otherwise."""


class OpenQueueBackend(BaseTaskBackend):
    """Tasks of ``django.tasks`` as runs: in the caller's transaction, on every broker, with all history.

    OPTIONS takes what ``@openqueue.task`` does, for all tasks of the backend: ``max_attempts`` (1 unless given),
    ``backoff``, ``timeout``, ``ttl`` and so on.
    """

    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        super().__init__(alias, params)
        unknown = set(self.options) - TAKEN
        if unknown:
            raise ImproperlyConfigured(
                f"TASKS[{alias!r}]['OPTIONS'] does not know {', '.join(sorted(unknown))}. "
                f"It takes: {', '.join(sorted(TAKEN))}."
            )
        self.options = ONCE | self.options
        try:
            Options(**self.options).checked()
        except TaskDeclarationError as error:
            raise ImproperlyConfigured(f"TASKS[{alias!r}]['OPTIONS']: {error}") from error
        self.adopted = Adopted()

    def validate_task(self, task: Task[..., Any]) -> None:
        """Refuse what cannot run, when it is declared; what can is known to the workers of this process from now on."""
        super().validate_task(task)
        if not NAME.fullmatch(task.queue_name):
            raise InvalidTask(f"queue_name={task.queue_name!r} must match {NAME.pattern}")
        self.adopted.adopt(task, sender=type(self), options=self.options)

    def enqueue(  # type: ignore[override]  # its parameters are the function's, whatever they are
        self, task: Task[..., Any], args: Iterable[Any], kwargs: Mapping[str, Any]
    ) -> TaskResult[..., Any]:
        """Create a run in the open transaction; it starts after the commit.

        Raises:
            TypeError: the arguments do not fit the function, or are no JSON; nothing was written.
            TriggerNotAtomic: the open transaction is of another database.
        """
        self.validate_task(task)
        payload: dict[str, Any] = {"args": normalize_json(list(args)), "kwargs": normalize_json(dict(kwargs))}
        context = [None] if task.takes_context else []
        inspect.signature(task.func).bind(*context, *payload["args"], **payload["kwargs"])
        adopted = self.adopted.adopt(task, sender=type(self), options=self.options)
        order: Order[Any, Any] = adopted.using(
            queue=task.queue_name, priority=task.priority, run_at=task.run_after, **self.options
        )
        run = order.trigger(**payload)
        result: TaskResult[..., Any] = TaskResult(
            task=task,
            id=str(run.id),
            status=TaskResultStatus.READY,
            enqueued_at=timezone.now(),
            started_at=None,
            finished_at=None,
            last_attempted_at=None,
            args=payload["args"],
            kwargs=payload["kwargs"],
            backend=self.alias,
            errors=[],
            worker_ids=[],
        )
        task_enqueued.send(type(self), task_result=result)
        return result

    def get_result(self, result_id: str) -> TaskResult[..., Any]:
        """Return how a run stands.

        Raises:
            TaskResultDoesNotExist: there is no such run, or it is not of a task of the framework that is imported here.
        """
        return results.read(result_id, backend=self.alias)

    def check(self, **kwargs: Any) -> list[checks.CheckMessage]:
        """Look for what would keep tasks from running."""
        return [*super().check(**kwargs), *self.found()]

    def found(self) -> Iterator[checks.CheckMessage]:
        if not apps.is_installed("openqueue"):
            yield checks.Error(
                f"TASKS[{self.alias!r}] needs OpenQueue's tables.",
                hint='Add "openqueue" to INSTALLED_APPS and migrate.',
                id="openqueue.E090",
            )
        for name in sorted(self.queues):
            if not NAME.fullmatch(name):
                yield checks.Error(
                    f"TASKS[{self.alias!r}]['QUEUES'] has {name!r}, which is no name of a queue.",
                    hint=f"Names match {NAME.pattern}.",
                    id="openqueue.E091",
                )
