"""The runtime that the crash tests trust keeps the contract, as a third party's would."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from openqueue import runtimes
from openqueue.runtimes.base import Runtime
from openqueue.testing.conformance import RuntimeConformance
from tests.broker.broker import Broker

pytestmark = pytest.mark.contract("broker")


class TestBrokerRuntime(RuntimeConformance):
    @pytest.fixture
    def runtime(self, settings: Any) -> Iterator[Runtime]:
        with Broker(in_flight=0.5) as broker:
            entry = {"BACKEND": "tests.broker.runtime.BrokerRuntime", "OPTIONS": {"port": broker.port}}
            settings.OPENQUEUE = {"RUNTIMES": {"default": entry}, "LEASE": 6, "HEARTBEAT": 0.1}
            yield runtimes.get("default")
            runtimes.close_all()
