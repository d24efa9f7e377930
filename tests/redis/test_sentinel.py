"""A primary dies before its replica heard of the last writes; Sentinel names the replica, and OpenQueue follows."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
import redis

from openqueue.runtimes.base import decode
from openqueue.runtimes.redis import RedisRuntime
from openqueue.runtimes.redis.consumer import RedisConsumer
from openqueue.runtimes.redis.link import RedisFailed
from tests.eventually import eventually
from tests.redis.conftest import message
from tests.servers.redis import Redis, Sentinel


@pytest.fixture
def primary(own_server: Redis) -> Redis:
    return own_server


@pytest.fixture
def replica(primary: Redis) -> Iterator[Redis]:
    server = Redis(password=primary.password, replicaof=f"127.0.0.1 {primary.port}")
    server.open()
    yield server
    server.close()


@pytest.fixture
def sentinel(primary: Redis, replica: Redis) -> Iterator[Sentinel]:
    sentinel = Sentinel(primary)
    sentinel.open()
    with sentinel.client as admin:
        eventually(lambda: admin.sentinel_master(sentinel.service)["num-slaves"] == 1, within=30)
    yield sentinel
    sentinel.close()


@pytest.fixture
def watched(sentinel: Sentinel) -> Iterator[RedisRuntime]:
    runtime = RedisRuntime("default", **options(sentinel))
    yield runtime
    runtime.close()


def options(sentinel: Sentinel) -> dict[str, object]:
    return {
        "url": f"redis://openqueue:{sentinel.password}@",
        "sentinels": [f"127.0.0.1:{sentinel.port}"],
        "service": sentinel.service,
        "sentinel_username": "openqueue",
        "sentinel_password": sentinel.password,
        "timeout": 1,
    }


def cut_off(primary: Redis, replica: Redis) -> None:
    """Let the replica hear no more of its primary."""
    with primary.client as admin:
        eventually(lambda: admin.info("replication")["connected_slaves"] == 1)
        admin.execute_command("ACL", "SETUSER", "replica", "-psync")
        admin.execute_command("CLIENT", "KILL", "TYPE", "replica")
    with replica.client as admin:
        eventually(lambda: admin.info("replication")["master_link_status"] == "down")


def role(server: Redis) -> str:
    """Return what a server is; it throws its clients out when that changes."""
    try:
        with server.client as admin:
            return str(admin.info("replication")["role"])
    except redis.ConnectionError:
        return ""


def received(consumer: RedisConsumer) -> list[object]:
    try:
        receipts = consumer.receive(limit=9, timeout=0.2)
    except RedisFailed:
        return []
    consumer.ack(receipts)
    return [decode(receipt.body)[0] for receipt in receipts]


def test_a_failover_that_loses_writes_is_followed_and_what_was_lost_is_missing(
    primary: Redis, replica: Redis, sentinel: Sentinel, watched: RedisRuntime, queue: str
):
    consumer = watched.consumer([queue], prefetch=9)
    kept, lost = message(queue), message(queue)
    assert watched.publish([kept])[0].error is None
    with replica.client as admin:
        eventually(lambda: admin.exists(watched.keys(queue).waiting))
    cut_off(primary, replica)
    assert watched.publish([lost])[0].error is None
    primary.stop(signal.SIGKILL)
    assert watched.publish([kept])[0].error is not None
    eventually(lambda: watched.health().ok, within=30)
    eventually(lambda: watched.configuration().role == "master", within=30)
    assert list(watched.missing([kept, lost], [None, None])) == [False, True]
    assert eventually(lambda: received(consumer)) == [kept.run_id]
    assert watched.publish([lost])[0].error is None
    assert eventually(lambda: received(consumer)) == [lost.run_id]
    consumer.close()


def test_a_primary_that_was_demoted_while_it_lives_is_left(
    primary: Redis, replica: Redis, sentinel: Sentinel, watched: RedisRuntime, queue: str
):
    consumer = watched.consumer([queue], prefetch=9)
    assert received(consumer) == []
    with sentinel.client as admin:
        eventually(lambda: admin.sentinel_slaves(sentinel.service)[0]["flags"] == "slave", within=30)
        assert admin.execute_command("SENTINEL", "FAILOVER", sentinel.service)
    eventually(lambda: (role(replica), role(primary)) == ("master", "slave"), within=30)
    told = message(queue)
    eventually(lambda: watched.publish([told])[0].error is None, within=30)
    assert eventually(lambda: received(consumer), within=30) == [told.run_id]
    consumer.close()
