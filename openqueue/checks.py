"""What ``manage.py check`` finds: mistakes in settings and declarations, each with an id and a fix."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from typing import Any, Final

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as Caution
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from openqueue import conf, deployment, registry, runtimes
from openqueue.deployment import API_URLS, includes_api
from openqueue.errors import OpenQueueError, ScheduleInvalid, UnsupportedCapability
from openqueue.schedules.rule import Rule
from openqueue.schedules.runs import refuse_without_schedules

SQLITE_OPTIONS = """{
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
}"""

API_NEEDS: Final = ("rest_framework", "drf_spectacular")

PACKET: Final = 16 * 2**20
"""Bytes: the default of MariaDB. A statement of ours is a quarter of it at most, a row less."""


def settings_are_valid(**_: Any) -> list[CheckMessage]:
    """E001 to E015: the OPENQUEUE setting."""
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
    """E030 to E034, E037, E070 to E072: declarations of tasks."""
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
    if task.isolation == "process" and (why := hidden_from_children(task)):
        found.append(
            Error(
                f'{task.id} has isolation="process", but a child process could not find it: {why}.',
                hint="Declare it at the top of a module, in a project that DJANGO_SETTINGS_MODULE names.",
                obj=task,
                id="openqueue.E037",
            )
        )
    if conf.problems():
        return found
    found += schedule_problems(task)
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


def schedule_problems(task: Any) -> list[CheckMessage]:
    """E070 to E072: what a task says of its own schedule."""
    if not task.declared_rule:
        return []
    found: list[CheckMessage] = []
    try:
        Rule.checked(task.declared_rule)
    except ScheduleInvalid as error:
        found.append(
            Error(
                f"{task.id} declares a schedule that cannot be kept: {error}.",
                hint='Correct it: @task(cron="0 9 * * MON", timezone="Europe/Berlin"), or every=timedelta(...).',
                obj=task,
                id="openqueue.E070",
            )
        )
    if task.signature.required:
        found.append(
            Error(
                f"{task.id} declares a schedule, but its function requires {', '.join(task.signature.required)}.",
                hint="Give the arguments defaults, or create schedules with payload= through task.schedules.",
                obj=task,
                id="openqueue.E071",
            )
        )
    with suppress(ImproperlyConfigured):  # E020 says so
        try:
            refuse_without_schedules(task.options.queue)
        except UnsupportedCapability as error:
            hint = "Move the task's queue to a runtime that has schedules."
            found.append(
                Error(f"{task.id} declares a schedule. {error}", hint=hint, obj=task, id="openqueue.E072")
            )
    return found


def hidden_from_children(task: Any) -> str:
    """Say why a fresh interpreter could not import a task; empty when it can."""
    if task.function.__module__ == "__main__":
        return "it is declared in the program that was started"
    if "<locals>" in task.function.__qualname__:
        return "it is declared inside a function"
    if "DJANGO_SETTINGS_MODULE" not in os.environ:
        return "DJANGO_SETTINGS_MODULE is not in the environment"
    return ""


def database_is_usable(*, databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """E040, W041, E042: the database of OpenQueue."""
    if conf.problems():
        return []
    alias = conf.config.database
    vendor = connections[alias].vendor
    found: list[CheckMessage] = []
    if vendor not in {"postgresql", "mysql", "sqlite"}:
        found.append(
            Error(
                f"OpenQueue cannot live on DATABASES[{alias!r}], a {vendor} database.",
                hint='Name a PostgreSQL, MariaDB, MySQL or SQLite alias in OPENQUEUE["DATABASE"].',
                id="openqueue.E040",
            )
        )
    options = settings.DATABASES.get(alias, {}).get("OPTIONS", {})
    if vendor == "sqlite" and options.get("transaction_mode") != "IMMEDIATE":
        found.append(
            Caution(
                f"DATABASES[{alias!r}] begins your transactions without the write lock: one that reads before it "
                "writes or triggers fails with 'database is locked' when another process wrote in between.",
                hint=f'Set DATABASES[{alias!r}]["OPTIONS"] = {SQLITE_OPTIONS}',
                id="openqueue.W041",
            )
        )
    if vendor == "mysql":
        found += mysql_options_are_in_order(alias, options)
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


def mysql_options_are_in_order(alias: str, options: Mapping[str, Any]) -> list[CheckMessage]:
    """E060, W061: what OPTIONS say of a MariaDB or MySQL connection."""
    found: list[CheckMessage] = []
    if (charset := options.get("charset", "utf8mb4")) != "utf8mb4":
        found.append(
            Error(
                f"DATABASES[{alias!r}] talks {charset} to the server: payloads with other letters are lost or refused.",
                hint=f'Remove "charset" from DATABASES[{alias!r}]["OPTIONS"], or set it to "utf8mb4".',
                id="openqueue.E060",
            )
        )
    isolation = options.get("isolation_level", "read committed")
    if isolation is not None and isolation.lower() not in {"read committed", "repeatable read"}:
        found.append(
            Caution(
                f"DATABASES[{alias!r}] has the isolation level {isolation!r}: triggers wait for workers.",
                hint=f'Remove "isolation_level" from DATABASES[{alias!r}]["OPTIONS"]: Django\'s is "read committed".',
                id="openqueue.W061",
            )
        )
    return found


def mysql_server_is_usable(*, databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """E062, E063, W064: version, tables and packets of a MariaDB or MySQL server. It asks the server."""
    if conf.problems() or conf.config.database not in (databases or ()):
        return []
    connection: Any = connections[conf.config.database]
    if connection.vendor != "mysql":
        return []
    found: list[CheckMessage] = []
    kind, least = ("MariaDB", (10, 11)) if connection.mysql_is_mariadb else ("MySQL", (8, 0, 19))
    if connection.mysql_version < least:
        version, wanted = (".".join(map(str, numbers)) for numbers in (connection.mysql_version, least))
        found.append(
            Error(
                f"The server is {kind} {version}.",
                hint=f"Use {kind} {wanted} or newer: claims need SKIP LOCKED and JSON_TABLE.",
                id="openqueue.E062",
            )
        )
    with connection.cursor() as cursor:
        cursor.execute(
            r"""
            SELECT table_name, engine, table_collation FROM information_schema.tables
            WHERE table_schema = DATABASE() AND table_name LIKE 'openqueue\_%%'
                AND table_name NOT LIKE 'openqueue\_bench\_%%'
                AND (engine <> 'InnoDB' OR table_collation NOT IN ('utf8mb4_nopad_bin', 'utf8mb4_0900_bin'))
            ORDER BY table_name
            """
        )
        for table, engine, collation in cursor.fetchall():
            bytewise = "utf8mb4_nopad_bin" if kind == "MariaDB" else "utf8mb4_0900_bin"
            found.append(
                Error(
                    f"{table} is {engine} and {collation}.",
                    hint=f"ALTER TABLE {table} ENGINE = InnoDB, CONVERT TO CHARACTER SET utf8mb4 COLLATE {bytewise};",
                    id="openqueue.E063",
                )
            )
        cursor.execute("SELECT @@max_allowed_packet")
        packet = cursor.fetchone()[0]
    if packet < PACKET:
        found.append(
            Caution(
                f"max_allowed_packet is {packet} bytes.",
                hint=f"Set max_allowed_packet = {PACKET} in the server's configuration, or lower PAYLOAD_LIMIT.",
                id="openqueue.W064",
            )
        )
    return found


def api_is_safe(**_: Any) -> list[CheckMessage]:
    """E101: the include of the API without what it needs."""
    missing = [name for name in API_NEEDS if find_spec(name) is None]
    if not missing or not includes_api():
        return []
    return [
        Error(
            f"The URLs include {API_URLS}, but {' and '.join(missing)} cannot be imported: every route answers 501.",
            hint='Install the extra: pip install "openqueue[api]".',
            id="openqueue.E101",
        )
    ]


CHECKS: tuple[tuple[Callable[..., list[CheckMessage]], str], ...] = (
    (settings_are_valid, "openqueue"),
    (runtimes_can_be_made, "openqueue"),
    (tasks_are_valid, "openqueue"),
    (database_is_usable, Tags.compatibility),
    (mysql_server_is_usable, Tags.database),
    (api_is_safe, Tags.urls),
)


def register_all() -> None:
    """Register every check with Django."""
    for check, tag in CHECKS:
        register(check, tag)
    for check, tag in deployment.CHECKS:
        register(check, tag, deploy=True)
