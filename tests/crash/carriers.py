"""What carries announcements in a crash test: our own broker, Redis, RabbitMQ or Kafka. All lose all when told to."""

from __future__ import annotations

import base64
import signal
from typing import Any, Protocol
from uuid import uuid4

from kafka import KafkaProducer

from openqueue.runtimes.kafka import KafkaRuntime
from openqueue.runtimes.rabbitmq import RabbitMQRuntime
from openqueue.runtimes.redis import RedisRuntime
from openqueue.runtimes.redis.keys import keys_of
from openqueue.runtimes.redis.scripts import SCRIPTS
from tests.broker.broker import Broker
from tests.eventually import eventually
from tests.proxy.proxy import Proxy
from tests.servers.kafka import Kafka
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import Redis


class Carrier(Protocol):
    port: int
    ack: bytes
    """How a proxy knows an acknowledgement."""

    @property
    def depth(self) -> int:
        """How many messages of the default queue wait or are in flight."""

    def settings(self, port: int) -> dict[str, Any]:
        """Return the entry of RUNTIMES that leads there by a port."""

    def proxy(self) -> Proxy:
        """Return a proxy in front of it."""

    def put(self, queue: str, body: bytes) -> None: ...
    def flush(self) -> None: ...
    def stop(self) -> None: ...
    def start(self) -> None: ...


class TestBroker:
    __test__ = False
    ack = b'"do": "ack"'

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.port = broker.port

    @property
    def depth(self) -> int:
        return self.broker.depth

    def settings(self, port: int) -> dict[str, Any]:
        return {"BACKEND": "tests.broker.runtime.BrokerRuntime", "OPTIONS": {"port": port}}

    def proxy(self) -> Proxy:
        return Proxy(self.port)

    def put(self, queue: str, body: bytes) -> None:
        self.broker.put(queue, body.decode())

    def flush(self) -> None:
        self.broker.flush()

    def stop(self) -> None:
        self.broker.stop()

    def start(self) -> None:
        self.broker.start()


class RealRedis:
    ack = SCRIPTS["ack"].sha.encode()

    def __init__(self, server: Redis) -> None:
        self.server = server
        self.port = server.port
        self.runtime = RedisRuntime("look", url=server.url)

    @property
    def depth(self) -> int:
        stats = self.runtime.inspect("default")
        return (stats.depth or 0) + (stats.unacked or 0)

    def settings(self, port: int) -> dict[str, Any]:
        url = self.server.url.replace(f":{self.port}/", f":{port}/")
        options = {"url": url, "in_flight": 2, "timeout": 2}
        return {"BACKEND": "openqueue.runtimes.redis.RedisRuntime", "OPTIONS": options}

    def proxy(self) -> Proxy:
        return Proxy(self.port)

    def put(self, queue: str, body: bytes) -> None:
        keys = keys_of("openqueue", queue)
        with self.server.client as admin:
            admin.zadd(keys.waiting, {body: 0})
            admin.rpush(keys.wake, "")

    def flush(self) -> None:
        with self.server.client as admin:
            admin.flushall()

    def stop(self) -> None:
        """Crash. It keeps nothing on disk."""
        self.server.stop(signal.SIGKILL)

    def start(self) -> None:
        self.server.start()


class RealRabbitMQ:
    ack = b"\x00\x3c\x00\x50"  # class and method of basic.ack

    def __init__(self, server: RabbitMQ) -> None:
        self.server = server
        self.port = server.port
        self.runtime = RabbitMQRuntime("look", url=server.url)

    @property
    def depth(self) -> int:
        """As the server counted half a second ago."""
        queues = self.server.queues()
        return sum(queue.get("messages", 0) for name, queue in queues.items() if "dlx" not in name)

    def settings(self, port: int) -> dict[str, Any]:
        url = self.server.url.replace(f":{self.port}/", f":{port}/")
        options = {"url": url, "in_flight": 2, "timeout": 2, "heartbeat": 2}
        return {"BACKEND": "openqueue.runtimes.rabbitmq.RabbitMQRuntime", "OPTIONS": options}

    def proxy(self) -> Proxy:
        return Proxy(self.port)

    def put(self, queue: str, body: bytes) -> None:
        self.runtime.declare([queue])
        told = {"payload": base64.b64encode(body).decode(), "payload_encoding": "base64"}
        path = f"exchanges/{self.server.vhost}/openqueue/publish"
        self.server.api("POST", path, properties={}, routing_key=queue, **told)

    def flush(self) -> None:
        for name in self.server.queues():
            self.server.delete_queue(name)

    def stop(self) -> None:
        """Crash."""
        self.server.stop(signal.SIGKILL)

    def start(self) -> None:
        self.server.start()


class RealKafka:
    """With a group of its own; the topic is made anew for it. `front` is the proxy that the broker is told of."""

    ack = b"OffsetCommit"

    def __init__(self, server: Kafka, front: Proxy) -> None:
        self.server = server
        self.front = front
        self.port = server.ports["CLIENT"]
        self.more = {
            "group_id": f"openqueue-{uuid4().hex[:8]}", "partitions": 2, "in_flight": 2, "timeout": 2,
            "session_timeout": 3,
        }  # fmt: skip
        self.runtime = KafkaRuntime("look", **server.options, **self.more)
        self.flush()

    @property
    def depth(self) -> int:
        return self.runtime.inspect("default").lag or 0

    def settings(self, port: int) -> dict[str, Any]:
        listener = "CLIENT" if port == self.port else "PROXY"
        options = self.server.options_at(listener) | self.more
        return {"BACKEND": "openqueue.runtimes.kafka.KafkaRuntime", "OPTIONS": options}

    def proxy(self) -> Proxy:
        return self.front

    def put(self, queue: str, body: bytes) -> None:
        self.runtime.declare([queue])
        producer = KafkaProducer(**self.server.administrator)
        producer.send(f"openqueue.{queue}", value=body).get(10)
        producer.close()

    def flush(self) -> None:
        """Lose every topic."""
        with self.server.admin() as admin:
            topics = [name for name in admin.list_topics() if name.startswith("openqueue.")]
            if topics:
                admin.delete_topics(topics)
                eventually(lambda: not set(topics) & set(admin.list_topics()))
        self.runtime.topics.clear()

    def stop(self) -> None:
        """Crash."""
        self.server.stop(signal.SIGKILL)

    def start(self) -> None:
        self.server.start()
