"""The memory runtime keeps the contract."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from openqueue import runtimes
from openqueue.runtimes.base import Runtime
from openqueue.testing.conformance import RuntimeConformance

pytestmark = pytest.mark.contract("memory")


class TestMemoryRuntime(RuntimeConformance):
    @pytest.fixture
    def runtime(self, settings: Any) -> Iterator[Runtime]:
        entry = {"BACKEND": "openqueue.runtimes.memory.MemoryRuntime", "OPTIONS": {"in_flight": 0.5}}
        settings.OPENQUEUE = {"RUNTIMES": {"default": entry}, "LEASE": 6, "HEARTBEAT": 0.1}
        yield runtimes.get("default")
        runtimes.close_all()
