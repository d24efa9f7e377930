"""A runtime that keeps no priorities, for tests that need no broker of such a kind."""

from __future__ import annotations

from openqueue.runtimes.base import Capabilities
from openqueue.runtimes.memory import MemoryRuntime


class PlainRuntime(MemoryRuntime):
    """As Kafka does."""

    capabilities = Capabilities(depth=True)
