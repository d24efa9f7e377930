"""Tasks for the tests."""

from __future__ import annotations

from openqueue import task


@task
def add(a: int, b: int) -> int:
    return a + b
