"""The Redis runtime: announcements wait in sorted sets, one scripted step moves them, a list wakes who is idle."""

from __future__ import annotations

from openqueue.runtimes.redis.runtime import RedisRuntime

__all__ = ["RedisRuntime"]
