from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from openqueue.ids import uuid7
from openqueue.runtimes.base import Message
from openqueue.runtimes.rabbitmq import RabbitMQRuntime
from tests.eventually import eventually
from tests.proxy.proxy import Proxy
from tests.servers.rabbitmq import ADMIN, RabbitMQ

Open = Callable[..., RabbitMQRuntime]


@pytest.fixture
def open_runtime(rabbitmq_server: RabbitMQ) -> Iterator[Open]:
    """Runtimes that are closed after the test; by OPTIONS beside the URL."""
    made: list[RabbitMQRuntime] = []

    def open_runtime(**options: Any) -> RabbitMQRuntime:
        made.append(RabbitMQRuntime("default", **{"url": rabbitmq_server.url} | options))
        return made[-1]

    yield open_runtime
    for runtime in made:
        runtime.close()


@pytest.fixture
def runtime(open_runtime: Open) -> RabbitMQRuntime:
    return open_runtime()


@pytest.fixture
def rabbitmq_proxy(rabbitmq_server: RabbitMQ) -> Iterator[Proxy]:
    with Proxy(rabbitmq_server.port) as proxy:
        yield proxy


@pytest.fixture
def far(rabbitmq_server: RabbitMQ, rabbitmq_proxy: Proxy, open_runtime: Open) -> RabbitMQRuntime:
    """Reaches its server through the proxy, and waits a second for anything."""
    url = rabbitmq_server.url.replace(f":{rabbitmq_server.port}/", f":{rabbitmq_proxy.port}/")
    return open_runtime(url=url, timeout=1.0, connect_timeout=1.0, heartbeat=2)


@pytest.fixture
def admin(rabbitmq_server: RabbitMQ) -> Iterator[BlockingChannel]:
    """A channel of an administrator's, on a plain connection."""
    connection = pika.BlockingConnection(pika.URLParameters(rabbitmq_server.url_of(ADMIN)))
    yield connection.channel()
    if connection.is_open:
        connection.close()


@pytest.fixture
def queue() -> str:
    return f"q-{uuid4().hex[:8]}"


def message(
    queue: str, *, priority: int = 0, task_id: str = "shop.any", seq: int = 1, **more: Any
) -> Message:
    return Message(uuid7(), seq, task_id, queue, priority=priority, **more)


def purge(server: RabbitMQ, runtime: RabbitMQRuntime, queue: str, *, of: int) -> None:
    """Empty a queue when so many messages stand in it: one that was looked at comes back on a channel of its own."""
    eventually(lambda: runtime.inspect(queue).depth == of)
    server.api("DELETE", f"queues/{server.vhost}/openqueue.{queue}/contents")
