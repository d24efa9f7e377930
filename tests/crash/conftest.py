from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from tests.broker.broker import Broker
from tests.crash.carriers import Carrier, RealKafka, RealRabbitMQ, RealRedis, TestBroker
from tests.crash.invariants import check
from tests.crash.stage import Gates, Stage
from tests.proxy import mariadb, postgresql
from tests.proxy.proxy import Proxy
from tests.servers import databases
from tests.servers.kafka import Kafka
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import Redis

READERS = {"postgresql": postgresql.statements, "mysql": mariadb.statements}


@pytest.fixture
def stage(tmp_path: Path, process_environment: Callable[..., dict[str, str]]) -> Iterator[Stage]:
    """Workers with short leases. However the test ends, what stands in the tables must make sense."""
    stage = Stage(tmp_path, process_environment)
    try:
        yield stage
    finally:
        stage.close()
        if stage.workers:
            print(stage.report())
    check(None if stage.amnesia else stage.gates, in_time=not stage.clock_was_set)


@pytest.fixture
def gates(stage: Stage) -> Gates:
    return stage.gates


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """A proxy in front of the session's server."""
    with Proxy(databases.address().port, reader=READERS[connection.vendor]) as proxy:
        yield proxy


@pytest.fixture
def broker() -> Iterator[Broker]:
    with Broker() as broker:
        yield broker


@pytest.fixture(params=["broker", "redis", "rabbitmq", "kafka"])
def carrier(request: pytest.FixtureRequest, stage: Stage, settings: Any) -> Iterator[Carrier]:
    """Every queue lives on it, here and in the workers; the test happens once on each."""
    carrier: Carrier
    if request.param == "redis":
        carrier = RealRedis(request.getfixturevalue("own_redis"))
    elif request.param == "rabbitmq":
        carrier = RealRabbitMQ(request.getfixturevalue("rabbitmq_server"))
    elif request.param == "kafka":
        carrier = RealKafka(request.getfixturevalue("own_kafka"), request.getfixturevalue("kafka_proxy"))
    else:
        carrier = TestBroker(request.getfixturevalue("broker"))
    stage.settings["RUNTIMES"] = {"default": carrier.settings(carrier.port)}
    settings.OPENQUEUE = stage.settings
    yield carrier
    if not isinstance(carrier, TestBroker):
        carrier.runtime.close()


@pytest.fixture
def own_redis(redis_server: Redis) -> Iterator[Redis]:
    """A Redis of the test's own that keeps nothing on disk; without one here, the test is left out."""
    server = Redis()
    server.open()
    yield server
    server.close()


@pytest.fixture
def on_redis(stage: Stage, own_redis: Redis, settings: Any) -> Iterator[RealRedis]:
    carrier = RealRedis(own_redis)
    stage.settings["RUNTIMES"] = {"default": carrier.settings(carrier.port)}
    settings.OPENQUEUE = stage.settings
    yield carrier
    carrier.runtime.close()


@pytest.fixture
def on_rabbitmq(stage: Stage, rabbitmq_server: RabbitMQ, settings: Any) -> Iterator[RealRabbitMQ]:
    carrier = RealRabbitMQ(rabbitmq_server)
    stage.settings["RUNTIMES"] = {"default": carrier.settings(carrier.port)}
    settings.OPENQUEUE = stage.settings
    yield carrier
    carrier.runtime.close()


@pytest.fixture
def on_kafka(stage: Stage, own_kafka: Kafka, kafka_proxy: Proxy, settings: Any) -> Iterator[RealKafka]:
    carrier = RealKafka(own_kafka, kafka_proxy)
    stage.settings["RUNTIMES"] = {"default": carrier.settings(carrier.port)}
    settings.OPENQUEUE = stage.settings
    yield carrier
    carrier.runtime.close()


@pytest.fixture(params=["database", "broker"])
def runtime(request: pytest.FixtureRequest) -> str:
    """What carries the announcements: the test happens once on each."""
    if request.param == "broker":
        request.getfixturevalue("on_broker")
    return str(request.param)


@pytest.fixture
def on_broker(stage: Stage, broker: Broker, settings: Any) -> Broker:
    """Every queue lives on the test broker, here and in the workers."""
    runtime = {"BACKEND": "tests.broker.runtime.BrokerRuntime", "OPTIONS": {"port": broker.port}}
    stage.settings["RUNTIMES"] = {"default": runtime}
    settings.OPENQUEUE = stage.settings
    return broker
