"""The Redis runtime keeps the whole contract, on a real server, as a user with few rights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from openqueue import runtimes
from openqueue.runtimes.base import Runtime
from openqueue.testing.conformance import RuntimeConformance
from tests.servers.redis import Redis

pytestmark = pytest.mark.contract("redis")


class TestRedisRuntime(RuntimeConformance):
    @pytest.fixture
    def runtime(self, settings: Any, redis_server: Redis) -> Iterator[Runtime]:
        entry = {
            "BACKEND": "openqueue.runtimes.redis.RedisRuntime",
            "OPTIONS": {"url": redis_server.url, "in_flight": 0.5},
        }
        settings.OPENQUEUE = {"RUNTIMES": {"default": entry}, "LEASE": 6, "HEARTBEAT": 0.1}
        yield runtimes.get("default")
        runtimes.close_all()
