"""The keys of a queue: all in one hash tag, so that a Cluster keeps them together; the namespace is always in it."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple


class Keys(NamedTuple):
    """What each holds stands on top of lua/publish.lua."""

    waiting: str
    flying: str
    stamp: str
    wake: str
    asides: str
    rejected: str

    def aside(self, task: str) -> str:
        return f"{self.asides}:{task}"

    def wake_of(self, task: str) -> str:
        return f"{self.wake}:{task}"


@lru_cache(maxsize=1024)
def keys_of(namespace: str, queue: str) -> Keys:
    """Return the keys of a queue."""
    prefix = f"{{{namespace}:{queue}}}:"
    return Keys(*(prefix + name for name in ("waiting", "flying", "stamp", "wake", "asides", "rejected")))
