"""The RabbitMQ runtime keeps the whole contract, on a real server, as a user with few rights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from openqueue import runtimes
from openqueue.runtimes.base import Runtime
from openqueue.testing.conformance import RuntimeConformance
from openqueue.testing.conformance.carrying import Carrying
from openqueue.testing.conformance.contract import Contract
from openqueue.testing.conformance.deferrals import Deferrals
from openqueue.testing.conformance.endings import Endings
from tests.servers.rabbitmq import ADMIN, RabbitMQ

pytestmark = pytest.mark.contract("rabbitmq")


class TestRabbitMQRuntime(RuntimeConformance):
    @pytest.fixture
    def runtime(self, settings: Any, rabbitmq_server: RabbitMQ) -> Iterator[Runtime]:
        entry = {
            "BACKEND": "openqueue.runtimes.rabbitmq.RabbitMQRuntime",
            "OPTIONS": {"url": rabbitmq_server.url, "in_flight": 0.5},
        }
        settings.OPENQUEUE = {"RUNTIMES": {"default": entry}, "LEASE": 6, "HEARTBEAT": 0.1}
        yield runtimes.get("default")
        runtimes.close_all()


class TestDelayLanes(Carrying, Deferrals, Endings):
    """With lanes for short delays; the user has no other rights."""

    @pytest.fixture
    def runtime(self, settings: Any, rabbitmq_server: RabbitMQ) -> Iterator[Runtime]:
        options = {"url": rabbitmq_server.url, "in_flight": 0.5, "delay_lanes": [1, 5]}
        entry = {"BACKEND": "openqueue.runtimes.rabbitmq.RabbitMQRuntime", "OPTIONS": options}
        settings.OPENQUEUE = {"RUNTIMES": {"default": entry}, "LEASE": 6, "HEARTBEAT": 0.1}
        yield runtimes.get("default")
        runtimes.close_all()


@pytest.mark.postgresql
class TestClassicQueuesOfATopic(Contract, Carrying, Deferrals):
    """The other ways to set it up carry as well: native priorities, a topic, and the management API."""

    @pytest.fixture
    def runtime(self, settings: Any, rabbitmq_server: RabbitMQ) -> Iterator[Runtime]:
        options = {
            "url": rabbitmq_server.url_of(ADMIN),
            "management": rabbitmq_server.management,
            "queue_type": "classic",
            "priorities": "native",
            "exchange_type": "topic",
        }
        entry = {"BACKEND": "openqueue.runtimes.rabbitmq.RabbitMQRuntime", "OPTIONS": options}
        settings.OPENQUEUE = {"RUNTIMES": {"default": entry}, "LEASE": 6, "HEARTBEAT": 0.1}
        yield runtimes.get("default")
        runtimes.close_all()
