"""UUIDv7 ids that rise strictly within a process, so that the newest row is also the last in its index."""

from __future__ import annotations

import os
import threading
import time
from array import array
from collections.abc import Iterator
from typing import Final
from uuid import UUID

# RFC 9562, section 6.2, method 1, as CPython 3.14 lays it out:
# 48 bits milliseconds | version | 12 bits counter | variant | 30 bits counter | 32 bits random
COUNTER_BITS: Final = 42
_LOW_BITS: Final = 30
_TAIL_BITS: Final = 32
_LOW: Final = (1 << _LOW_BITS) - 1
_HIGH: Final = (1 << (COUNTER_BITS - _LOW_BITS)) - 1
_VERSION: Final = 7 << 76
_VARIANT: Final = 0b10 << 62
_TAILS_AT_ONCE: Final = 512

_lock = threading.Lock()
_last = 0  # milliseconds and counter of the newest id, in one number
_tails: Iterator[int] = iter(())


def uuid7() -> UUID:
    """Return an id above every id this process has made before, whatever its clock does."""
    global _last, _tails
    millisecond = time.time_ns() // 1_000_000
    with _lock:
        _last = _seed(millisecond) if millisecond > _last >> COUNTER_BITS else _last + 1
        stamp = _last
        tail = next(_tails, None)
        if tail is None:
            # Not `random`: a program that seeds it (tests do) would make the same ids in two processes.
            _tails = iter(array("I", os.urandom(4 * _TAILS_AT_ONCE)))
            tail = next(_tails)
    return UUID(
        int=(stamp >> COUNTER_BITS << 80)
        | _VERSION
        | ((stamp >> _LOW_BITS & _HIGH) << 64)
        | _VARIANT
        | ((stamp & _LOW) << _TAIL_BITS)
        | tail
    )


def made_at(made: UUID) -> float:
    """Return when an id of `uuid7` was made, by the clock of whoever made it: seconds since 1970."""
    return (made.int >> 80) / 1000


def _seed(millisecond: int) -> int:
    """Start a counter at random, its top bit clear: two million million ids fit before it spills over."""
    return (millisecond << COUNTER_BITS) | (int.from_bytes(os.urandom(6), "big") >> 7)


def _part_from_parent() -> None:
    """Leave the parent's sequence, and its lock, which another thread may have held at the fork."""
    global _lock, _last, _tails
    _lock = threading.Lock()
    _last = _seed((_last >> COUNTER_BITS) + 1)
    _tails = iter(())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_part_from_parent)
