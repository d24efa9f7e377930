"""What ``manage.py check`` finds: mistakes in settings and declarations, each with an id and a fix."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as Caution
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from openqueue import conf, registry, runtimes
from openqueue.errors import OpenQueueError

SQLITE_OPTIONS = """{
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
}"""


def settings_are_valid(**_: Any) -> list[CheckMessage]:
    """E001 to E013: the OPENQUEUE setting."""
    return [Error(p.message, hint=p.hint, id=p.id) for p in conf.problems()]


def runtimes_can_be_made(**_: Any) -> list[CheckMessage]:
    """E020: a BACKEND that cannot be imported, or refuses its OPTIONS."""
    if conf.problems():
        return []
    found: list[CheckMessage] = []
    for alias in conf.config.runtimes:
        try:
            runtimes.get(alias)
        except ImproperlyConfigured as error:
            found.append(
                Error(
                    str(error), hint="Correct BACKEND and OPTIONS, or install the extra.", id="openqueue.E020"
                )
            )
    return found


def tasks_are_valid(**_: Any) -> list[CheckMessage]:
    """E030 to E034: declarations of tasks."""
    found: list[CheckMessage] = []
    by_id = defaultdict(list)
    for task in registry.every():
        try:
            by_id[task.id].append(task)
            task.signature.json_schema()
        except OpenQueueError as error:
            found.append(Error(str(error), hint="Correct the declaration.", obj=task, id="openqueue.E030"))
    for task_id, tasks in by_id.items():
        if len(tasks) > 1:
            where = ", ".join(f"{t.function.__module__}.{t.function.__qualname__}" for t in tasks)
            found.append(
                Error(
                    f"The task id {task_id!r} is declared {len(tasks)} times: {where}.",
                    hint="Give all but one another name with @task(id=...).",
                    id="openqueue.E031",
                )
            )
    found += [problem for tasks in by_id.values() for problem in task_problems(tasks[0])]
    return found


def task_problems(task: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    if task.secret and find_spec("cryptography") is None:
        found.append(
            Error(
                f"{task.id} has secret arguments, but `cryptography` is not installed.",
                hint="Install OpenQueue with its `crypto` extra.",
                obj=task,
                id="openqueue.E032",
            )
        )
    if len(task.id) > 200:
        found.append(
            Error(
                f"The task id {task.id!r} is too long.",
                hint="Use 200 characters at most.",
                id="openqueue.E033",
            )
        )
    if conf.problems():
        return found
    try:
        capabilities = runtimes.get(conf.config.runtime_of(task.options.queue).alias).capabilities
    except ImproperlyConfigured:
        return found  # E020 says so
    if task.options.priority and not capabilities.priorities:
        found.append(
            Error(
                f"{task.id} has a priority, but the runtime of queue {task.options.queue!r} knows none.",
                hint="Drop priority=, or move the queue to a runtime that has priorities.",
                obj=task,
                id="openqueue.E034",
            )
        )
    return found


def database_is_usable(*, databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """E040, W041, E042: the database of OpenQueue."""
    if conf.problems():
        return []
    alias = conf.config.database
    vendor = connections[alias].vendor
    found: list[CheckMessage] = []
    if vendor not in {"postgresql", "sqlite"}:
        found.append(
            Error(
                f"OpenQueue cannot live on DATABASES[{alias!r}], a {vendor} database.",
                hint='Name a PostgreSQL or SQLite alias in OPENQUEUE["DATABASE"].',
                id="openqueue.E040",
            )
        )
    options = settings.DATABASES.get(alias, {}).get("OPTIONS", {})
    if vendor == "sqlite" and options.get("transaction_mode") != "IMMEDIATE":
        found.append(
            Caution(
                f"DATABASES[{alias!r}] begins transactions without the write lock: expect 'database is locked'.",
                hint=f'Set DATABASES[{alias!r}]["OPTIONS"] = {SQLITE_OPTIONS}',
                id="openqueue.W041",
            )
        )
    router = "openqueue.routers.OpenQueueRouter"
    if alias != "default" and router not in settings.DATABASE_ROUTERS:
        found.append(
            Error(
                f"OPENQUEUE['DATABASE'] is {alias!r}, but no router sends OpenQueue's tables there.",
                hint=f"Add {router!r} to DATABASE_ROUTERS.",
                id="openqueue.E042",
            )
        )
    return found


CHECKS: tuple[tuple[Callable[..., list[CheckMessage]], str], ...] = (
    (settings_are_valid, "openqueue"),
    (runtimes_can_be_made, "openqueue"),
    (tasks_are_valid, "openqueue"),
    (database_is_usable, Tags.compatibility),
)


def register_all() -> None:
    """Register every check with Django."""
    for check, tag in CHECKS:
        register(check, tag)
