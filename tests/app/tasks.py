"""Tasks for the tests."""

from __future__ import annotations

from openqueue import task
from tests.app import crash_tasks as crash_tasks


@task
def add(a: int, b: int) -> int:
    return a + b
