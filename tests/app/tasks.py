"""Tasks for the tests."""

from __future__ import annotations

import os
from importlib import import_module

from openqueue import task
from tests.app import crash_tasks as crash_tasks

if more := os.environ.get("OPENQUEUE_TEST_MORE_TASKS"):  # of a process that a test starts
    import_module(more)


@task
def add(a: int, b: int) -> int:
    return a + b
