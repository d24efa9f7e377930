"""Definitions of tasks for workers in other languages."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from rest_framework.request import Request
from rest_framework.response import Response

from openqueue.api.operations import Operation
from openqueue.api.remote import Seconds, WorkerView
from openqueue.api.runs import QueueName, Text
from openqueue.control.callers import Right
from openqueue.control.remote import definitions
from openqueue.control.remote.definitions import CREATED, DefinitionAnswer, DefinitionFacts

Count = Annotated[int, msgspec.Meta(ge=1, le=10_000)]
Key = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
UNSET = msgspec.UNSET
Unset = msgspec.UnsetType


class Rule(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """When runs are created by themselves."""

    cron: Annotated[str, msgspec.Meta(max_length=200)] | Unset = UNSET
    every: Annotated[float, msgspec.Meta(gt=0, le=315_360_000)] | Unset = UNSET
    """Seconds; either this or cron."""
    timezone: Annotated[str, msgspec.Meta(max_length=64)] | Unset = UNSET
    misfire: Literal["skip", "run_once", "run_all"] | Unset = UNSET
    catchup_window: Seconds | Unset = UNSET
    overlap: Literal["allow", "skip", "queue"] | Unset = UNSET
    jitter: Seconds | Unset = UNSET
    payload: dict[str, Any] | Unset = UNSET


class Definition(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A task whose body is not Python."""

    queue: QueueName
    schema: dict[str, Any] | Unset = UNSET
    """JSON Schema (2020-12) of the payload, an object; otherwise anything fits."""
    description: Annotated[str, msgspec.Meta(max_length=500)] | Unset = UNSET
    priority: Annotated[int, msgspec.Meta(ge=-100, le=100)] | Unset = UNSET
    max_attempts: Count | Unset = UNSET
    backoff: (
        dict[str, Any]
        | Seconds
        | Annotated[list[Seconds], msgspec.Meta(min_length=1, max_length=100)]
        | Unset
    ) = UNSET
    """Seconds; a list with one number for each attempt; or {"kind": "exponential", "base": 1, "factor": 2, "max": 600,
    "jitter": 0.1}."""
    timeout: Annotated[float, msgspec.Meta(ge=0.001, le=315_360_000)] | Unset = UNSET
    """Seconds for one attempt."""
    ttl: Annotated[float, msgspec.Meta(ge=0.001, le=315_360_000)] | Unset = UNSET
    """Seconds from the due time to the first start."""
    tags: Annotated[list[Text], msgspec.Meta(max_length=100)] | Unset = UNSET
    ordering_key: Key | Unset = UNSET
    concurrency_key: Key | Unset = UNSET
    max_concurrency: Count | Unset = UNSET
    """In the whole fleet."""
    rate_limit: Annotated[str, msgspec.Meta(max_length=20)] | Unset = UNSET
    """Starts of the whole fleet, "100/m"."""
    on_worker_lost: Literal["retry", "fail"] | Unset = UNSET
    secret: Annotated[list[Key], msgspec.Meta(max_length=100)] | Unset = UNSET
    """Fields of the payload that are stored encrypted and never shown; workers are given them."""
    enqueueable: bool | Unset = UNSET
    """Whether the API may trigger it."""
    needs: Annotated[list[Key], msgspec.Meta(max_length=50)] | Unset = UNSET
    """Labels that a worker must have."""
    schedule: Rule | Unset | None = UNSET


class OneDefinition(WorkerView):
    """One definition."""

    operations = {
        "get": Operation(
            id="get_definition", right=Right.WORK, answers={200: DefinitionFacts}, problems=(404,)
        ),
        "put": Operation(
            id="define_task",
            right=Right.WORK,
            body=Definition,
            answers={200: DefinitionAnswer, 201: DefinitionAnswer},
            problems=(403, 409, 413, 415, 501),
        ),
        "delete": Operation(
            id="withdraw_task", right=Right.WORK, answers={200: DefinitionFacts}, problems=(403, 404)
        ),
    }

    def get(self, request: Request, task_id: str) -> Response:
        """Look at a definition."""
        return Response(definitions.one(task_id, caller=self.caller(request)))

    def put(self, request: Request, task_id: str) -> Response:
        """Define a task, or change its definition; the same again changes nothing."""
        declaration = msgspec.to_builtins(self.body(request, Definition))
        queue = declaration.pop("queue")
        answer = definitions.define(
            task_id, queue=queue, declaration=declaration, caller=self.caller(request)
        )
        return Response(answer, status=201 if answer.outcome == CREATED else 200)

    def delete(self, request: Request, task_id: str) -> Response:
        """Withdraw a definition and its schedule; what waits of it fails as unknown."""
        return Response(definitions.withdraw(task_id, caller=self.caller(request)))
