"""A rehearsal: a test executes what it triggers by itself, at moments of its own, and nobody else is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

_clock: Callable[[], datetime] | None = None


@contextmanager
def rehearsing(clock: Callable[[], datetime]) -> Iterator[None]:
    """Have what is triggered inside the block stamped by ``clock``, and announced to nobody. Process-wide."""
    global _clock
    before, _clock = _clock, clock
    try:
        yield
    finally:
        _clock = before


def is_on() -> bool:
    """Tell whether a rehearsal goes on in this process."""
    return _clock is not None


def moment() -> datetime | None:
    """Return the rehearsal's moment; None, the database's clock, without one."""
    return None if _clock is None else _clock()
