from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from openqueue.processes.sweeps.schedules import Schedules


@pytest.fixture
def report(declare: Callable[..., Any]) -> Any:
    """A task."""

    @declare
    def report(customer: int = 0) -> None: ...

    return report


@pytest.fixture
def sweep() -> Schedules:
    """The sweep of a process that has looked at what code declares."""
    sweep = Schedules()
    sweep.is_synchronised = True
    return sweep
