"""What stands in Redis: each announcement once, in order, in keys that belong together."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from openqueue.runtimes.base import Receipt, decode
from openqueue.runtimes.redis import RedisRuntime
from openqueue.runtimes.redis.consumer import RedisConsumer
from openqueue.runtimes.redis.keys import keys_of
from tests.eventually import eventually
from tests.redis.conftest import message
from tests.servers.redis import Redis


def received(runtime: RedisRuntime, queue: str, *, limit: int = 50) -> list[Receipt]:
    consumer = runtime.consumer([queue], prefetch=limit)
    taken = list(consumer.receive(limit=limit, timeout=0))
    consumer.mine.clear()  # not given back when it closes
    consumer.close()
    return taken


def let_time_pass(server: Redis) -> None:
    """Wait until it is later by the clock of flights, which goes by milliseconds."""
    with server.client as admin:

        def now() -> int:
            seconds, microseconds = admin.time()
            return seconds * 1000 + microseconds // 1000

        began = now()
        eventually(lambda: now() > began)


def test_an_announcement_that_waits_is_not_added_again(runtime: RedisRuntime, queue: str):
    told = message(queue)
    for _ in range(100):
        assert runtime.publish([told])[0].error is None
    assert runtime.inspect(queue).depth == 1


def test_an_announcement_that_is_published_in_flight_stands_once_and_comes_again(
    runtime: RedisRuntime, redis_server: Redis, queue: str
):
    told = message(queue, priority=3)
    runtime.publish([told])
    one, other = (runtime.consumer([queue], prefetch=1) for _ in range(2))
    first = one.receive(limit=1, timeout=0)
    with redis_server.client as admin:
        admin.delete(runtime.keys(queue).wake)
        runtime.publish([told])
        assert admin.llen(runtime.keys(queue).wake) == 1, "whoever is idle is woken for it"
    stats = runtime.inspect(queue)
    assert (stats.depth, stats.unacked) == (0, 1)
    one.ack(first)
    let_time_pass(redis_server)
    second = other.receive(limit=1, timeout=0)
    assert decode(second[0].body)[0] == told.run_id
    one.ack(first)
    assert runtime.inspect(queue).unacked == 1, "a settlement is of the flight that it was taken in"
    other.ack(second)
    assert runtime.inspect(queue).unacked == 0
    one.close()
    other.close()


def test_what_came_to_one_consumer_twice_is_given_back_when_it_closes(
    runtime: RedisRuntime, redis_server: Redis, queue: str
):
    told = message(queue)
    consumer = runtime.consumer([queue], prefetch=2)
    runtime.publish([told])
    first = consumer.receive(limit=1, timeout=0)
    runtime.publish([told])
    let_time_pass(redis_server)
    assert len(consumer.receive(limit=1, timeout=0)) == 1
    consumer.ack(first)
    consumer.close()
    assert runtime.inspect(queue).depth == 1


def test_an_announcement_that_is_published_again_keeps_its_place(runtime: RedisRuntime, queue: str):
    first, second = message(queue), message(queue)
    runtime.publish([first, second])
    runtime.publish([first])
    assert [decode(receipt.body)[0] for receipt in received(runtime, queue)] == [first.run_id, second.run_id]


def test_what_waits_and_what_flies_is_not_missing(runtime: RedisRuntime, queue: str):
    flies, waits, gone = message(queue, priority=1), message(queue), message(queue)
    runtime.publish([flies, waits])
    assert len(received(runtime, queue, limit=1)) == 1
    assert list(runtime.missing([flies, waits, gone], [None] * 3)) == [False, False, True]


def test_another_seq_of_the_same_run_is_another_announcement(runtime: RedisRuntime, queue: str):
    told = message(queue)
    runtime.publish([told, told._replace(seq=2)])
    assert runtime.inspect(queue).depth == 2


def test_priority_comes_before_order_and_order_is_kept(runtime: RedisRuntime, queue: str):
    lowest, *usual, highest = [message(queue, priority=priority) for priority in (-100, 0, 0, 0, 0, 100)]
    for some in ([lowest, usual[2]], [usual[0]], [usual[1], usual[3]], [highest]):
        runtime.publish(some)
    came = [decode(receipt.body)[0] for receipt in received(runtime, queue)]
    assert came == [m.run_id for m in (highest, usual[2], usual[0], usual[1], usual[3], lowest)]


def test_what_comes_back_goes_to_the_head_of_its_priority(runtime: RedisRuntime, queue: str):
    first, second, urgent = message(queue), message(queue), message(queue, priority=1)
    runtime.publish([first, second])
    consumer = runtime.consumer([queue], prefetch=1)
    consumer.release(consumer.receive(limit=1, timeout=0))
    runtime.publish([urgent])
    came = [decode(receipt.body)[0] for receipt in received(runtime, queue)]
    assert came == [urgent.run_id, first.run_id, second.run_id]
    consumer.close()


def test_a_release_that_comes_too_late_leaves_alone_what_another_has_taken(runtime: RedisRuntime, queue: str):
    runtime.publish([message(queue)])
    slow = runtime.consumer([queue], prefetch=1)
    held = slow.receive(limit=1, timeout=0)
    (again,) = eventually(lambda: received(runtime, queue))
    assert again.handle != held[0].handle
    slow.release(held)
    stats = runtime.inspect(queue)
    assert (stats.depth, stats.unacked) == (0, 1)
    slow.close()


def test_whoever_waits_hears_of_what_another_gives_back(
    runtime: RedisRuntime, redis_server: Redis, queue: str
):
    runtime.publish([message(queue)])
    busy, idle = (runtime.consumer([queue], prefetch=1) for _ in range(2))
    held = busy.receive(limit=1, timeout=0)
    assert idle.receive(limit=1, timeout=0.1) == [], "the token of the publish is spent"
    came = heard_by(idle, redis_server, act=lambda: busy.release(held))
    assert [receipt.body for receipt in came] == [held[0].body]
    busy.close()
    idle.close()


def test_whoever_waits_is_called_for_what_another_leaves(
    runtime: RedisRuntime, redis_server: Redis, queue: str
):
    busy, idle = (runtime.consumer([queue], prefetch=10) for _ in range(2))
    idle.take = later(idle.take)  # type: ignore[method-assign]  # it looked just before these came
    runtime.publish([message(queue) for _ in range(20)])
    with redis_server.client as admin:
        admin.delete(runtime.keys(queue).wake)  # others had these tokens, and took a message each
    assert heard_by(idle, redis_server, act=lambda: busy.receive(limit=5, timeout=0))
    busy.close()
    idle.close()


def later(take: Callable[..., list[Receipt]]) -> Callable[..., list[Receipt]]:
    """Find nothing at the first look."""
    looks: list[bool] = []

    def look(*arguments: Any) -> list[Receipt]:
        looks.append(True)
        return take(*arguments) if len(looks) > 1 else []

    return look


def heard_by(consumer: RedisConsumer, server: Redis, *, act: Callable[[], object]) -> list[Receipt]:
    """Return what a consumer receives that waits while something happens."""
    came: list[Receipt] = []
    waits = threading.Thread(target=lambda: came.extend(consumer.receive(limit=1, timeout=10)))
    waits.start()
    with server.client as admin:
        eventually(lambda: admin.info("clients")["blocked_clients"] == 1)
    act()
    waits.join(5)
    answer = list(came)
    consumer.wake()
    waits.join()
    return answer


def test_bytes_arrive_as_they_were_sent(runtime: RedisRuntime, redis_server: Redis, queue: str):
    """Integers above 2^53, floats, any script, and bytes that are no text: no script looks inside."""
    bodies = [
        b'{"n": 9223372036854775809, "f": 1e22, "z": -0.0}',
        "✓ \N{PILE OF POO}".encode(),
        b"\xff\x00\r\n",
    ]
    with redis_server.client as admin:
        admin.zadd(runtime.keys(queue).waiting, {body: n for n, body in enumerate(bodies)})
    assert [receipt.body for receipt in received(runtime, queue)] == bodies


def test_two_projects_on_one_server_hear_nothing_of_each_other(
    runtime: RedisRuntime, redis_server: Redis, queue: str, settings
):
    runtime.publish([message(queue)])
    settings.OPENQUEUE = {"NAMESPACE": "openqueue2"}
    assert runtime.keys(queue).waiting == f"{{openqueue2:{queue}}}:waiting"
    other = RedisRuntime(
        "default", url=f"redis://admin:{redis_server.password}@127.0.0.1:{redis_server.port}"
    )
    assert other.inspect(queue).depth == 0
    assert received(other, queue) == []
    other.close()


def test_every_key_of_a_queue_is_in_its_hash_tag(runtime: RedisRuntime, redis_server: Redis, queue: str):
    runtime.publish([message(queue) for _ in range(3)])
    consumer = runtime.consumer([queue], prefetch=3)
    first, second, _ = consumer.receive(limit=3, timeout=0)
    consumer.set_aside([first], task="shop.any")
    consumer.reject([second], reason="poison")
    with redis_server.client as admin:
        keys = {key.decode() for key in admin.keys(f"*{queue}*")}
    assert len(keys) >= 5
    assert {key.split("}")[0] for key in keys} == {f"{{openqueue:{queue}"}
    consumer.close()


def test_the_list_that_wakes_is_short_however_much_is_published(
    runtime: RedisRuntime, redis_server: Redis, queue: str
):
    for _ in range(20):
        runtime.publish([message(queue) for _ in range(20)])
    with redis_server.client as admin:
        assert admin.llen(keys_of("openqueue", queue).wake) == 8


def test_what_is_rejected_is_kept_for_a_look_and_not_for_ever(
    runtime: RedisRuntime, redis_server: Redis, queue: str
):
    consumer = runtime.consumer([queue], prefetch=1)
    poison = [Receipt(b"poison %d" % n, queue, 0) for n in range(1_200)]
    consumer.reject(poison, reason="poison")
    with redis_server.client as admin:
        rejected = admin.lrange(runtime.keys(queue).rejected, 0, -1)
    assert (len(rejected), rejected[0]) == (1_000, b"poison 1199")
    consumer.close()


def test_no_queue_of_several_starves(runtime: RedisRuntime, queue: str):
    names = [f"{queue}.{letter}" for letter in "abc"]
    runtime.publish([message(name) for name in names for _ in range(10)])
    consumer = runtime.consumer(names, prefetch=2)
    first = {consumer.receive(limit=2, timeout=0)[0].queue for _ in range(3)}
    assert first == set(names)
    consumer.close()


def test_inspect_tells_the_age_of_the_oldest(runtime: RedisRuntime, queue: str):
    assert runtime.inspect(queue).oldest is None
    runtime.publish([message(queue, priority=-1)])
    eventually(lambda: (runtime.inspect(queue).oldest or 0) >= 0.05)
    runtime.publish([message(queue, priority=1)])
    assert 0.05 <= (runtime.inspect(queue).oldest or 0) < 5


def test_a_large_batch_goes_out_in_portions_and_in_order(runtime: RedisRuntime, queue: str):
    messages = [message(queue) for _ in range(1_234)]
    assert all(answer.error is None for answer in runtime.publish(messages))
    came = [decode(receipt.body)[0] for receipt in received(runtime, queue, limit=2_000)]
    assert came == [m.run_id for m in messages]


@pytest.mark.parametrize("again", [False, True], ids=["by-hash", "after-script-flush"])
def test_a_server_that_forgot_the_scripts_is_told_them_again(
    runtime: RedisRuntime, redis_server: Redis, queue: str, again: bool
):
    for act in (
        lambda: runtime.publish([message(queue)])[0].error is None,
        lambda: runtime.inspect(queue).depth == 1,
        lambda: len(received(runtime, queue)) == 1,
        lambda: runtime.missing([message(queue)], [None]) == [True],
    ):
        if again:
            with redis_server.client as admin:
                admin.script_flush()
        assert act()
