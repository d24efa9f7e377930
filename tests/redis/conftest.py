from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from openqueue.ids import uuid7
from openqueue.runtimes.base import Message
from openqueue.runtimes.redis import RedisRuntime
from tests.proxy.proxy import Proxy
from tests.servers.redis import Redis


@pytest.fixture
def own_server(redis_server: Redis) -> Iterator[Redis]:
    """A Redis of the test's own, to break."""
    server = Redis(lua_time_limit=50)
    server.open()
    yield server
    server.close()


@pytest.fixture
def redis_proxy(own_server: Redis) -> Iterator[Proxy]:
    with Proxy(own_server.port) as proxy:
        yield proxy


@pytest.fixture
def runtime(redis_server: Redis) -> Iterator[RedisRuntime]:
    runtime = RedisRuntime("default", url=redis_server.url, in_flight=0.3)
    yield runtime
    runtime.close()


@pytest.fixture
def queue() -> str:
    return f"q-{uuid4().hex[:8]}"


def message(queue: str, *, priority: int = 0, task_id: str = "shop.any", seq: int = 1) -> Message:
    return Message(uuid7(), seq, task_id, queue, priority=priority)
