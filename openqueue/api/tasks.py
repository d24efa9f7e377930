"""Tasks, with the JSON Schema of their payloads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rest_framework.request import Request
from rest_framework.response import Response

from openqueue.api.operations import Operation
from openqueue.api.views import ApiView
from openqueue.control import tasks
from openqueue.control.callers import Right
from openqueue.control.tasks import TaskFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskList:
    """Tasks, by id."""

    tasks: Sequence[TaskFacts]


class Tasks(ApiView):
    """All tasks that the caller sees."""

    section = "tasks"
    operations = {"get": Operation(id="list_tasks", right=Right.READ, answers={200: TaskList}, tagged=True)}

    def get(self, request: Request) -> Response:
        """List the tasks that this process knows."""
        return Response(TaskList(tasks=tasks.listing(self.caller(request))))


class OneTask(ApiView):
    """One task."""

    section = "tasks"
    operations = {
        "get": Operation(
            id="get_task", right=Right.READ, answers={200: TaskFacts}, problems=(404,), tagged=True
        )
    }

    def get(self, request: Request, task_id: str) -> Response:
        """Look at one task."""
        return Response(tasks.one(task_id, self.caller(request)))
