"""The database runtime keeps the contract."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from openqueue import runtimes
from openqueue.runtimes.base import Runtime
from openqueue.testing.conformance import OutboxConformance


class TestDatabaseRuntime(OutboxConformance):
    @pytest.fixture
    def runtime(self, settings: Any) -> Iterator[Runtime]:
        settings.OPENQUEUE = {"LEASE": 6, "HEARTBEAT": 0.1}
        yield runtimes.get("default")
        runtimes.close_all()
