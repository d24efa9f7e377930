from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.scale import beside, history, month
from tests.servers import databases

EMPTY, BESIDE = "openqueue_scale_empty", "openqueue_scale_beside"
LARGE, SMALL, FRESH = "openqueue_scale_large", "openqueue_scale_small", "openqueue_scale_fresh"
MONTH = "openqueue_scale_month"
RUNS, WAITING = 1_000_000, 100_000


@pytest.fixture(autouse=True)
def _may_use_databases(django_db_blocker: Any) -> Iterator[None]:
    """Not the database of other tests, which they flush: those made here."""
    with django_db_blocker.unblock():
        yield


@pytest.fixture(scope="session")
def create(django_db_blocker: Any) -> Iterator[Callable[[str], None]]:
    """Create databases with empty tables; they end with the session."""
    made = [EMPTY]
    with django_db_blocker.unblock():
        history.migrate(EMPTY)

    def create(name: str) -> None:
        made.append(name)
        history.copy(name, origin=EMPTY)

    yield create
    for name in made:
        history.drop(name)


@pytest.fixture(scope="session")
def large(create: Callable[[str], None]) -> str:
    """A million finished runs, 100,000 due rows, 100,000 delayed ones of higher priority."""
    create(LARGE)
    with history.server(LARGE) as connection:
        history.fill_finished(connection, RUNS)
        history.fill_waiting(connection, WAITING, delayed=WAITING)
        connection.execute("VACUUM ANALYZE")
    return LARGE


@pytest.fixture(scope="session")
def month_long(create: Callable[[str], None], django_db_blocker: Any) -> str:
    """A month with a million finished runs, and whatever else pages read."""
    create(MONTH)
    with django_db_blocker.unblock(), history.working_on(MONTH), history.server(MONTH) as connection:
        month.fill(connection)
        beside.fill(connection)
        connection.execute("VACUUM ANALYZE")
    return MONTH


@pytest.fixture(scope="session")
def small(create: Callable[[str], None]) -> str:
    """A hundred runs, half of them due."""
    create(SMALL)
    with history.server(SMALL) as connection:
        history.fill_finished(connection, 20)
        history.fill_waiting(connection, 50, delayed=30)
        connection.execute("VACUUM ANALYZE")
    return SMALL


@pytest.fixture(scope="session")
def empty(create: Callable[[str], None]) -> str:
    """No runs at first."""
    create(BESIDE)
    return BESIDE


@pytest.fixture
def fresh(create: Callable[[str], None]) -> Iterator[str]:
    """Empty tables whose statistics nobody refreshes, in use as the default database."""
    history.drop(FRESH)
    create(FRESH)
    with history.server(FRESH) as connection:
        for table in ("run", "runevent", "outbox", "claim"):
            connection.execute(f"ALTER TABLE openqueue_{table} SET (autovacuum_enabled = off)")
    with history.working_on(FRESH):
        yield FRESH


@pytest.fixture
def environment() -> Callable[[str], dict[str, str]]:
    """Environment for a real process that works on one of these databases."""

    def environment(name: str) -> dict[str, str]:
        return dict(os.environ) | databases.environment({"default": name})

    return environment
