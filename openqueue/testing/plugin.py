"""The pytest plugin: installing OpenQueue is enough for the fixture to be there."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from openqueue.testing.queued_runs import QueuedRuns

if find_spec("pytest_django"):

    @pytest.fixture
    def queued_runs(db: None) -> Iterator[QueuedRuns]:
        """What the test triggers: assert on it, and run it here and now. Opens the database as ``db`` does."""
        yield from made()

else:  # the project sets up Django and its databases by other means

    @pytest.fixture
    def queued_runs() -> Iterator[QueuedRuns]:
        """What the test triggers: assert on it, and run it here and now."""
        yield from made()


def made() -> Iterator[QueuedRuns]:
    # Django is set up only now, not when pytest loads its plugins.
    from openqueue.testing.queued_runs import QueuedRuns

    with QueuedRuns() as runs:
        yield runs
