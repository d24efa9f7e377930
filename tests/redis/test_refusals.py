"""A server that refuses says why, what to do, and no password; nothing was done, and nobody waits for it."""

from __future__ import annotations

import contextlib
import logging
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from openqueue.runtimes.redis import RedisRuntime
from openqueue.runtimes.redis.link import RedisFailed
from tests.eventually import eventually
from tests.redis.conftest import message
from tests.servers.ports import free_port
from tests.servers.redis import Redis


@contextlib.contextmanager
def full(server: Redis) -> Iterator[None]:
    with server.client as admin:
        admin.config_set("maxmemory", 1)
        yield
        admin.config_set("maxmemory", 0)


@contextlib.contextmanager
def a_replica(server: Redis) -> Iterator[None]:
    with server.client as admin:
        admin.replicaof("127.0.0.1", free_port())
        yield
        admin.replicaof("NO", "ONE")


@contextlib.contextmanager
def without_a_disk(server: Redis) -> Iterator[None]:
    assert server.folder is not None
    gone = server.folder / "gone"
    gone.mkdir()
    with server.client as admin:
        admin.config_set("dir", str(gone))
        shutil.rmtree(gone)
        admin.config_set("save", "1 1")
        admin.set("openqueue", 1)
        with contextlib.suppress(redis.ResponseError):  # one is under way
            admin.bgsave()
        eventually(lambda: admin.info("persistence")["rdb_last_bgsave_status"] == "err")
        yield
        admin.config_set("save", "")
        admin.config_set("dir", str(server.folder))
        admin.bgsave()
        eventually(lambda: admin.info("persistence")["rdb_last_bgsave_status"] == "ok")


@contextlib.contextmanager
def busy(server: Redis) -> Iterator[None]:
    def spin() -> None:
        with contextlib.suppress(redis.RedisError), server.client as tenant:
            tenant.eval("while true do end", 0)

    spinning = threading.Thread(target=spin)
    spinning.start()
    with server.client as admin:

        def is_busy() -> bool:
            try:
                admin.get("openqueue")
            except redis.ResponseError:
                return True
            return False

        eventually(is_busy)
        yield
        admin.script_kill()
    spinning.join()


@contextlib.contextmanager
def loading(server: Redis) -> Iterator[None]:
    server.settings = {"appendonly": "yes", "appendfsync": "always"}
    server.stop()
    server.start()
    with server.client as admin:
        pipe = admin.pipeline(transaction=False)
        for n in range(30_000):
            pipe.set(f"filler:{n}", "x")
        pipe.execute()
    server.settings |= {
        "key-load-delay": 100,
        "loading-process-events-interval-bytes": 1024,
        "aof-use-rdb-preamble": "no",
    }
    server.stop(signal.SIGKILL)
    server.start(wait=False)
    waiting = RedisRuntime("default", url=server.url)
    eventually(lambda: "loading its data" in waiting.health().detail)
    waiting.close()
    yield
    server.wait_until_it_answers()


@contextlib.contextmanager
def without_rights(server: Redis) -> Iterator[None]:
    with server.client as admin:
        admin.execute_command("ACL", "SETUSER", "openqueue", "-evalsha")
        yield
        admin.execute_command("ACL", "SETUSER", "openqueue", "+evalsha")


@contextlib.contextmanager
def another_password(server: Redis) -> Iterator[None]:
    with server.client as admin:
        admin.execute_command("ACL", "SETUSER", "openqueue", "resetpass", ">another")
        admin.client_kill_filter(user="openqueue")
        yield
        admin.execute_command("ACL", "SETUSER", "openqueue", "resetpass", f">{server.password}")


REFUSALS: dict[str, tuple[Callable[[Redis], Any], str]] = {
    "OOM": (full, "maxmemory"),
    "READONLY": (a_replica, "primary"),
    "MISCONF": (without_a_disk, "disk"),
    "BUSY": (busy, "script"),
    "LOADING": (loading, "loading"),
    "NOPERM": (without_rights, "rules"),
    "WRONGPASS": (another_password, "URL"),
}


@pytest.mark.parametrize("word", REFUSALS)
def test_what_a_server_refuses_is_told_with_its_remedy_and_goes_on_afterwards(
    own_server: Redis, queue: str, word: str, caplog
):
    refusing, remedy = REFUSALS[word]
    runtime = RedisRuntime("default", url=own_server.url)
    consumer = runtime.consumer([queue], prefetch=1)
    assert consumer.receive(limit=1, timeout=0) == []
    caplog.set_level(logging.DEBUG)
    told = message(queue)
    with refusing(own_server):
        (answer,) = runtime.publish([told])
        assert answer.certain
        assert answer.error is not None
        assert remedy in answer.error
        assert f"127.0.0.1:{own_server.port}" in answer.error
        assert own_server.password not in answer.error + caplog.text + runtime.health().detail
        if word not in {"OOM", "MISCONF"}:  # a full server can still be drained, and has nothing to hand out
            with pytest.raises(RedisFailed):
                consumer.receive(limit=1, timeout=0)
    assert runtime.inspect(queue).depth == 0
    assert runtime.publish([told])[0].error is None
    assert len(consumer.receive(limit=1, timeout=1)) == 1
    consumer.close()
    runtime.close()


def test_a_full_server_can_still_be_drained(own_server: Redis, queue: str):
    runtime = RedisRuntime("default", url=own_server.url)
    consumer = runtime.consumer([queue], prefetch=9)
    runtime.publish([message(queue) for _ in range(9)])
    with full(own_server):
        first, second, *others = consumer.receive(limit=9, timeout=0)
        consumer.release([first])
        consumer.set_aside([second], task="shop.any")
        consumer.ack(others)
        again = consumer.receive(limit=9, timeout=0)
        assert {receipt.body for receipt in again} == {first.body, second.body}
        consumer.ack(again)
        stats = runtime.inspect(queue)
        assert (stats.depth, stats.unacked) == (0, 0)
    consumer.close()
    runtime.close()


def test_where_nobody_listens_nothing_was_done(queue: str):
    runtime = RedisRuntime("default", url=f"redis://anna:secret@127.0.0.1:{free_port()}")
    (answer,) = runtime.publish([message(queue)])
    assert answer.certain
    assert "secret" not in str(answer.error)
    health = runtime.health()
    assert not health.ok
    assert "secret" not in health.detail
    consumer = runtime.consumer([queue], prefetch=1)
    with pytest.raises(RedisFailed) as caught:
        consumer.receive(limit=1, timeout=0)
    consumer.close()
    assert "secret" not in str(caught.value) + repr(caught.value)
    runtime.close()


def test_a_server_that_throws_keys_away_is_warned_of(own_server: Redis, queue: str, caplog):
    runtime = RedisRuntime("default", url=own_server.url)
    runtime.declare([queue])
    assert not caplog.records
    with own_server.client as admin:
        admin.config_set("maxmemory-policy", "allkeys-lru")
    runtime.declare([queue])
    assert "set maxmemory-policy to noeviction" in caplog.text
    facts = runtime.configuration()
    assert (facts.software, facts.role, facts.eviction_policy) == ("redis", "master", "allkeys-lru")
    assert facts.version.count(".") == 2
    assert facts.persistence == ()
    assert facts.used_memory
    assert facts.max_memory == 0
    runtime.close()
