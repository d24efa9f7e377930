"""Counts, and sizes as people write them: a number of bytes, or text such as "512MB"."""

from __future__ import annotations

import re
from typing import Any, Final

SIZE: Final = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[KMG])i?B", re.IGNORECASE)


def is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def size(value: Any) -> int:
    """Return a size in bytes: a whole number, or text such as "512MB", where a kilobyte is 1,024 bytes.

    Raises:
        ValueError: it is neither.
    """
    if is_count(value):
        return int(value)
    found = SIZE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(value)
    return int(float(found["number"]) * 1024 ** "BKMG".index(found["unit"].upper()))
