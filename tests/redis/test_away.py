"""Redis goes away in every way a network knows: nothing hangs, nothing is claimed to be certain that is not."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator

import pytest

from openqueue.runtimes.base import Receipt, decode
from openqueue.runtimes.redis import RedisRuntime
from openqueue.runtimes.redis.consumer import RedisConsumer
from openqueue.runtimes.redis.link import RedisFailed
from tests.eventually import eventually
from tests.proxy.proxy import Proxy
from tests.redis.conftest import message
from tests.servers.redis import Redis


@pytest.fixture
def far(own_server: Redis, redis_proxy: Proxy) -> Iterator[RedisRuntime]:
    """Reaches its server through the proxy, and waits half a second for anything."""
    url = own_server.url.replace(f":{own_server.port}/", f":{redis_proxy.port}/")
    runtime = RedisRuntime("default", url=url, timeout=0.5, in_flight=0.5)
    yield runtime
    runtime.close()


@pytest.fixture
def consumer(far: RedisRuntime, queue: str) -> Iterator[RedisConsumer]:
    consumer = far.consumer([queue], prefetch=5)
    yield consumer
    consumer.close()


def next_one(consumer: RedisConsumer) -> Receipt | None:
    """Receive as a worker's loop does: what fails is tried again."""
    try:
        receipts = consumer.receive(limit=1, timeout=0.2)
    except RedisFailed:
        return None
    consumer.ack(receipts)
    return receipts[0] if receipts else None


def test_an_answer_that_is_lost_leaves_the_outcome_open_and_the_second_publish_adds_nothing(
    far: RedisRuntime, redis_proxy: Proxy, queue: str
):
    told = message(queue)
    assert far.inspect(queue).depth == 0
    redis_proxy.lose_the_answer_to(b"EVAL")
    (answer,) = far.publish([told])
    assert answer.error is not None
    assert not answer.certain
    assert far.publish([told])[0].error is None
    assert far.inspect(queue).depth == 1


def test_a_server_that_cannot_be_reached_has_certainly_done_nothing(
    far: RedisRuntime, redis_proxy: Proxy, queue: str
):
    redis_proxy.refuse()
    (answer,) = far.publish([message(queue)])
    assert answer.error is not None
    assert answer.certain
    redis_proxy.pass_on()
    assert far.publish([message(queue)])[0].error is None


def test_in_a_black_hole_nothing_waits_longer_than_its_timeout(
    far: RedisRuntime, redis_proxy: Proxy, consumer: RedisConsumer, queue: str
):
    assert far.inspect(queue).depth == 0
    redis_proxy.blackhole()
    began = time.monotonic()
    (answer,) = far.publish([message(queue)])
    assert not answer.certain
    assert time.monotonic() - began < 3
    with pytest.raises(RedisFailed):
        consumer.receive(limit=1, timeout=0)
    assert time.monotonic() - began < 6


def test_health_answers_within_two_seconds_in_a_black_hole(own_server: Redis, redis_proxy: Proxy):
    url = own_server.url.replace(f":{own_server.port}/", f":{redis_proxy.port}/")
    runtime = RedisRuntime("default", url=url, timeout=10)
    assert runtime.health().ok
    redis_proxy.blackhole()
    began = time.monotonic()
    health = runtime.health()
    assert time.monotonic() - began < 2.5
    assert not health.ok
    assert own_server.password not in health.detail
    redis_proxy.pass_on()
    runtime.close()


def test_a_wait_that_nobody_will_end_is_given_up_and_the_same_consumer_goes_on(
    far: RedisRuntime, redis_proxy: Proxy, consumer: RedisConsumer, queue: str
):
    """Half-open: the other end has forgotten the connection and says nothing."""
    assert list(consumer.receive(limit=1, timeout=0.1)) == []
    began = time.monotonic()
    redis_proxy.blackhole(behind=b"BLPOP")
    with pytest.raises(RedisFailed):
        consumer.receive(limit=1, timeout=0.2)
    assert time.monotonic() - began < 10
    redis_proxy.reset()
    redis_proxy.pass_on()
    told = message(queue)
    eventually(lambda: far.publish([told])[0].error is None)
    assert decode(eventually(lambda: next_one(consumer)).body) == (told.run_id, 1)


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_after_a_restart_the_same_consumer_goes_on(
    own_server: Redis, far: RedisRuntime, consumer: RedisConsumer, queue: str, how: str
):
    assert list(consumer.receive(limit=1, timeout=0.1)) == []
    own_server.stop(signal.SIGTERM if how == "stop" else signal.SIGKILL)
    with pytest.raises(RedisFailed):
        consumer.receive(limit=1, timeout=0.2)
    own_server.start()
    assert far.publish([message(queue)])[0].error is None
    assert eventually(lambda: next_one(consumer))


def test_a_frozen_server_is_waited_for_no_longer_than_any(
    own_server: Redis, far: RedisRuntime, consumer: RedisConsumer, queue: str
):
    assert far.publish([message(queue)])[0].error is None
    own_server.send(signal.SIGSTOP)
    try:
        assert not far.publish([message(queue)])[0].certain
        assert not far.health().ok
    finally:
        own_server.send(signal.SIGCONT)
    assert eventually(lambda: next_one(consumer))


def test_connections_that_are_killed_again_and_again_do_not_stop_the_flow(
    own_server: Redis, far: RedisRuntime, consumer: RedisConsumer, queue: str
):
    told = {message(queue) for _ in range(30)}
    came: set[object] = set()
    with own_server.client as admin:
        for one in told:
            eventually(lambda one=one: far.publish([one])[0].error is None)
            admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            if receipt := next_one(consumer):
                came.add(decode(receipt.body)[0])

    def all_came() -> bool:
        if receipt := next_one(consumer):
            came.add(decode(receipt.body)[0])
        return len(came) == 30

    eventually(all_came)


def test_a_message_wakes_who_waits_and_a_call_does_too(
    own_server: Redis, far: RedisRuntime, consumer: RedisConsumer, queue: str
):
    took: list[float] = []

    def receive() -> None:
        began = time.monotonic()
        consumer.receive(limit=1, timeout=10)
        took.append(time.monotonic() - began)

    for end in (lambda: far.publish([message(queue)]), consumer.wake):
        thread = threading.Thread(target=receive)
        thread.start()
        with own_server.client as admin:
            eventually(lambda admin=admin: any(c["cmd"] == "blpop" for c in admin.client_list()))
        end()
        thread.join(10)
    assert len(took) == 2
    assert max(took) < 5


def test_a_token_that_came_as_the_wait_was_called_off_is_not_lost(
    far: RedisRuntime, consumer: RedisConsumer, queue: str
):
    """Whoever calls the wait off looks once more."""
    for _ in range(50):
        thread = threading.Thread(target=consumer.wake)
        thread.start()
        far.publish([message(queue)])
        thread.join()
        receipts = consumer.receive(limit=1, timeout=5) or consumer.receive(limit=1, timeout=5)
        assert len(receipts) == 1
        consumer.ack(receipts)
