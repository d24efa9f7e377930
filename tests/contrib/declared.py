"""Tasks as a project declares them that knows Django's framework and nothing of OpenQueue."""

from __future__ import annotations

from typing import Any

import django

if django.VERSION >= (6, 0):
    from django.tasks import task
else:
    from django_tasks import task

CALLS: list[Any] = []


@task
def add(a: int, b: int = 1) -> int:
    CALLS.append((a, b))
    return a + b


@task
def fail(text: str) -> None:
    raise LookupError(text)


@task(takes_context=True)
def look(context: Any, name: str) -> list[Any]:
    result = context.task_result
    return [name, result.id, context.attempt, str(result.status), result.args]


@task(priority=10, queue_name="mail")
async def later(text: str) -> str:
    return text.upper()


@task(takes_context=True)
async def look_later(context: Any) -> int:
    return int(context.attempt)
