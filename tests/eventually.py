"""Waiting for what other processes do, the only place where a test looks at the clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(condition: Callable[[], T], *, within: float = 15.0, every: float = 0.02) -> T:
    """Return the first true answer of `condition`; fail with its last answer when none came in time."""
    deadline = time.monotonic() + within
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s; the last answer was {answer!r}")
        time.sleep(every)
