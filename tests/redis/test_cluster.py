"""Three nodes share the slots; each queue is on one of them, whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from openqueue import runtimes
from openqueue.runtimes.base import Runtime, decode
from openqueue.runtimes.redis import RedisRuntime
from openqueue.testing.conformance import RuntimeConformance
from tests.eventually import eventually
from tests.redis.conftest import message
from tests.servers.ports import free_port
from tests.servers.redis import Redis

SLOTS = [(0, 5460), (5461, 10922), (10923, 16383)]


@pytest.fixture(scope="module")
def nodes(_redis_server: Redis) -> Iterator[list[Redis]]:
    with ExitStack() as stack:
        nodes = [
            Redis(
                password=_redis_server.password,
                cluster_enabled="yes",
                cluster_port=free_port(),
                cluster_node_timeout=2000,
            )
            for _ in SLOTS
        ]
        for node in nodes:
            node.open()
            stack.callback(node.close)
        for node, (first, last) in zip(nodes, SLOTS, strict=True):
            with node.client as admin:
                admin.execute_command("CLUSTER ADDSLOTSRANGE", first, last)
                admin.execute_command("ACL", "SETUSER", "openqueue", "+cluster|slots", "+command")
                for other in nodes:
                    admin.execute_command(
                        "CLUSTER MEET", "127.0.0.1", other.port, other.settings["cluster_port"]
                    )
        for node in nodes:
            with node.client as admin:
                eventually(
                    lambda admin=admin: admin.execute_command("CLUSTER INFO")["cluster_state"] == "ok",
                    within=30,
                )
                eventually(lambda admin=admin: len(admin.execute_command("CLUSTER SLOTS")) == 3, within=30)
        yield nodes


def options(nodes: list[Redis]) -> dict[str, Any]:
    return {"url": nodes[0].url, "cluster": True, "in_flight": 0.5, "timeout": 2}


class TestRedisClusterRuntime(RuntimeConformance):
    @pytest.fixture
    def runtime(self, settings: Any, nodes: list[Redis]) -> Iterator[Runtime]:
        entry = {"BACKEND": "openqueue.runtimes.redis.RedisRuntime", "OPTIONS": options(nodes)}
        settings.OPENQUEUE = {"RUNTIMES": {"default": entry}, "LEASE": 6, "HEARTBEAT": 0.1}
        yield runtimes.get("default")
        runtimes.close_all()


def test_one_consumer_serves_queues_on_every_node(nodes: list[Redis], queue: str):
    runtime = RedisRuntime("default", **options(nodes))
    names = [f"{queue}.{n}" for n in range(12)]
    messages = [message(name) for name in names]
    consumer = runtime.consumer(names, prefetch=20)
    assert list(consumer.receive(limit=20, timeout=0.2)) == []
    assert [answer.error for answer in runtime.publish(messages)] == [None] * 12
    found = []
    for _ in range(12):
        receipts = consumer.receive(limit=20, timeout=2)
        found += [decode(receipt.body)[0] for receipt in receipts]
        consumer.ack(receipts)
        if len(found) == 12:
            break
    assert sorted(found) == sorted(m.run_id for m in messages)
    used = 0
    for node in nodes:
        with node.client as admin:
            used += bool(admin.keys(f"*{queue}*"))
    assert used == 3
    consumer.close()
    runtime.close()


def test_a_slot_that_moves_is_followed(nodes: list[Redis]):
    runtime = RedisRuntime("default", **options(nodes))
    name = "moves"
    with nodes[0].client as admin:
        slot = admin.execute_command("CLUSTER KEYSLOT", runtime.keys(name).waiting)
    owner = next(n for n, (first, last) in enumerate(SLOTS) if first <= slot <= last)
    other = nodes[(owner + 1) % 3]
    consumer = runtime.consumer([name], prefetch=1)
    assert runtime.publish([message(name)])[0].error is None
    consumer.ack(consumer.receive(limit=1, timeout=1))
    with nodes[owner].client as admin:
        admin.flushall()  # an empty slot needs no migration
    with other.client as admin:
        new = str(admin.execute_command("CLUSTER MYID"), "ascii")
    try:
        for node in (other, *nodes):
            with node.client as admin:
                admin.execute_command("CLUSTER SETSLOT", slot, "NODE", new)
        told = message(name)
        assert runtime.publish([told])[0].error is None
        (receipt,) = consumer.receive(limit=1, timeout=1)
        assert decode(receipt.body)[0] == told.run_id
    finally:
        with nodes[owner].client as admin:
            old = str(admin.execute_command("CLUSTER MYID"), "ascii")
        consumer.ack(consumer.receive(limit=9, timeout=0))
        with other.client as admin:
            admin.flushall()
        for node in (nodes[owner], *nodes):
            with node.client as admin:
                admin.execute_command("CLUSTER SETSLOT", slot, "NODE", old)
    consumer.close()
    runtime.close()


def test_a_node_of_a_cluster_taken_for_a_server_says_what_to_add(nodes: list[Redis], queue: str):
    runtime = RedisRuntime("default", url=nodes[0].url)
    errors = [runtime.publish([message(f"{queue}.{n}")])[0].error for n in range(12)]
    assert any(error is not None and "'cluster': True" in error for error in errors)
    runtime.close()
