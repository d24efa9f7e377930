from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import _no_counts_of_others, api  # noqa: F401  (fixtures)
from tests.crash.stage import Gates
from tests.remote.fleet import Fleet
from tests.remote.program import Remote, define


@pytest.fixture
def remote(api: Any) -> Remote:  # noqa: F811  (the fixture)
    """A worker with a token for all queues, and a task that it has defined."""
    program = api("worker")
    assert define(program).status_code == 201
    return Remote(program)


@pytest.fixture
def fleet(tmp_path: Path, process_environment: Any) -> Iterator[Fleet]:
    """A live server, and workers in three languages that work for it."""
    made = Fleet(tmp_path, process_environment)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def gates(fleet: Fleet) -> Gates:
    """The gates of the bodies, in whatever language."""
    return fleet.gates
