"""The session: its servers, what is collected on which database, and the way to real processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest

from tests.servers import databases
from tests.servers.postgresql import PostgreSQL, PostgreSQLMissing

pytest.register_assert_rewrite("openqueue.testing.conformance")
VENDOR = os.environ.get("OPENQUEUE_TEST_DATABASE", "sqlite")
HEAVY = ("crash", "scale", "bench")


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):  # pytest-xdist: its controller owns the servers
        return
    config.add_cleanup(databases.stop)
    try:
        databases.start()
    except PostgreSQLMissing as error:
        raise pytest.UsageError(str(error)) from error


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    kept = [item for item in items if _belongs(item)]
    if len(kept) < len(items):
        config.hook.pytest_deselected(items=[item for item in items if not _belongs(item)])
        items[:] = kept


def _belongs(item: pytest.Item) -> bool:
    vendors = [vendor for vendor in ("postgresql", "sqlite") if item.get_closest_marker(vendor)]
    if vendors:
        return VENDOR in vendors
    heavy = any(item.get_closest_marker(mark) for mark in HEAVY)
    return not heavy or VENDOR == "postgresql" or item.get_closest_marker("sqlite_too") is not None


@pytest.fixture
def postgresql() -> PostgreSQL:
    """The session's server, to restart, stop or cut off; mark the test `postgresql`."""
    return databases.server()


@pytest.fixture
def process_environment(transactional_db: None) -> Callable[..., dict[str, str]]:
    """Environment for a real process that works on this test's databases: subprocess.run(..., env=...)."""
    from django.db import connections

    def environment(**more: str) -> dict[str, str]:
        names = {alias: str(connections[alias].settings_dict["NAME"]) for alias in databases.ALIASES}
        return dict(os.environ) | databases.environment(names) | more

    return environment


@pytest.fixture(autouse=True)
def _publisher_ends() -> Iterator[None]:
    """Let the thread that announces on commit end with its test: it holds a connection, and would announce later."""
    yield
    from openqueue.core import post_commit

    if post_commit.publisher.thread is not None:
        post_commit.publisher.flush()
        post_commit.publisher = post_commit.Publisher()


@pytest.fixture
def declare() -> Iterator[Callable[..., Any]]:
    """A `@task` whose tasks are forgotten after the test: @declare, or @declare(queue="mail")."""
    from openqueue import registry
    from openqueue.declaration import Task

    made: list[Any] = []

    def declare(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
        if function is None:
            return lambda function: declare(function, **options)
        made.append(Task(function, **{"id": f"test.{function.__name__}"} | options))
        return made[-1]

    yield declare
    for task in made:
        registry.remove(task)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Captured output may hold what no pipe between pytest's processes can carry, such as half a surrogate pair."""
    report = yield
    report.sections = [
        (name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections
    ]
    return report


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """End the sessions of bodies that were made to hang: PostgreSQL drops no database that somebody is in."""
    yield
    if VENDOR != "postgresql":
        return
    from django.db import connections

    with django_db_blocker.unblock():
        made = [one for one in connections.all() if str(one.settings_dict["NAME"]).startswith("test_")]
        for connection in made:
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
