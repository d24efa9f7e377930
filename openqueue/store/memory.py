"""What a worker tells of its memory, as the heartbeat's statement takes it."""

from __future__ import annotations

from openqueue import codec
from openqueue.types import Memory

LIMIT = 100_000
"""Bytes of a history: an hour of it is two thousand."""


def columns(memory: Memory | None) -> tuple[int | None, str | None]:
    """Return bytes, and the history as text; None: what is in the row stays."""
    if memory is None:
        return None, None
    history = memory.history
    text = (
        None
        if history is None
        else codec.encode([list(one) for one in history], what="memories", limit=LIMIT)
    )
    return memory.resident, text
