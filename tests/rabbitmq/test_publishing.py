"""Each message is answered for: confirmed, refused, returned, or nobody knows."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from openqueue.runtimes.base import decode
from openqueue.runtimes.rabbitmq import RabbitMQRuntime
from tests.eventually import eventually
from tests.proxy.proxy import Proxy
from tests.rabbitmq.conftest import Open, message
from tests.servers.rabbitmq import RabbitMQ

PUBLISH = b"\x00\x3c\x00\x28"
"""Class and method of basic.publish."""


def test_a_large_batch_goes_out_in_a_window_and_in_order(open_runtime: Open, queue: str):
    runtime = open_runtime(window=50)
    messages = [message(queue) for _ in range(1_234)]
    assert all(answer.error is None for answer in runtime.publish(messages))
    consumer = runtime.consumer([queue], prefetch=500)
    came: list[object] = []
    while len(came) < len(messages):
        receipts = consumer.receive(limit=500, timeout=5)
        assert receipts
        consumer.ack(receipts)
        came += [decode(receipt.body)[0] for receipt in receipts]
    assert came == [m.run_id for m in messages]
    consumer.close()


def test_never_more_than_the_window_is_on_its_way(
    open_runtime: Open, queue: str, monkeypatch: pytest.MonkeyPatch
):
    from openqueue.runtimes.rabbitmq import publisher

    most = 0
    send = publisher.Outlet.send

    def watched(outlet: publisher.Outlet) -> None:
        nonlocal most
        send(outlet)
        most = max(most, len(outlet.unconfirmed))

    monkeypatch.setattr(publisher.Outlet, "send", watched)
    runtime = open_runtime(window=40)
    assert all(answer.error is None for answer in runtime.publish([message(queue) for _ in range(400)]))
    assert most == 40


def test_several_threads_publish_at_a_time_and_each_gets_its_own_answers(
    runtime: RabbitMQRuntime, queue: str
):
    runtime.declare([queue])
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: runtime.publish([message(queue) for _ in range(50)]), range(16)))
    assert [len(some) for some in answers] == [50] * 16
    assert all(answer.error is None for some in answers for answer in some)
    eventually(lambda: runtime.inspect(queue).depth == 800)


def test_a_message_that_no_queue_takes_is_sent_again_when_the_queue_is_made_again(
    runtime: RabbitMQRuntime, rabbitmq_server: RabbitMQ, queue: str
):
    assert runtime.publish([message(queue)])[0].error is None
    rabbitmq_server.delete_queue(f"openqueue.{queue}")
    answers = runtime.publish([message(queue), message(queue, priority=1)])
    assert [answer.error for answer in answers] == [None, None]
    eventually(lambda: runtime.inspect(queue).depth == 2)


def test_a_message_that_comes_back_again_is_certainly_nowhere(
    runtime: RabbitMQRuntime, rabbitmq_server: RabbitMQ, queue: str, monkeypatch: pytest.MonkeyPatch
):
    runtime.declare([queue])
    rabbitmq_server.delete_queue(f"openqueue.{queue}")
    monkeypatch.setattr(runtime.broker, "unknown", lambda queues: None)  # nobody makes it again
    lost, fine = runtime.publish([message(queue), message(queue, priority=1)])
    assert lost.error is not None
    assert "No queue took the message" in lost.error
    assert lost.certain
    assert fine.error is None


def test_an_exchange_that_was_deleted_is_made_again(
    runtime: RabbitMQRuntime, rabbitmq_server: RabbitMQ, queue: str
):
    assert runtime.publish([message(queue)])[0].error is None
    rabbitmq_server.api("DELETE", f"exchanges/{rabbitmq_server.vhost}/openqueue")
    eventually(lambda: runtime.publish([message(queue)])[0].error is None)
    eventually(lambda: runtime.inspect(queue).depth == 2)


def test_a_confirm_that_is_lost_leaves_the_outcome_open(
    far: RabbitMQRuntime, rabbitmq_proxy: Proxy, queue: str
):
    far.declare([queue])
    assert far.publish([message(queue)])[0].error is None
    rabbitmq_proxy.lose_the_answer_to(PUBLISH)
    (answer,) = far.publish([message(queue)])
    assert answer.error is not None
    assert not answer.certain
    eventually(lambda: far.inspect(queue).depth == 2)


def test_a_server_that_cannot_be_reached_has_certainly_done_nothing(
    far: RabbitMQRuntime, rabbitmq_proxy: Proxy, queue: str
):
    rabbitmq_proxy.refuse()
    (answer,) = far.publish([message(queue)])
    assert answer.error is not None
    assert answer.certain
    assert "Is RabbitMQ running?" in answer.error
    rabbitmq_proxy.pass_on()
    assert far.publish([message(queue)])[0].error is None


def test_in_a_black_hole_nothing_waits_longer_than_its_timeout(
    far: RabbitMQRuntime, rabbitmq_proxy: Proxy, queue: str
):
    assert far.publish([message(queue)])[0].error is None
    rabbitmq_proxy.blackhole()
    began = time.monotonic()
    (answer,) = far.publish([message(queue)])
    assert answer.error is not None
    assert not answer.certain
    assert time.monotonic() - began < 4
    rabbitmq_proxy.pass_on()
    eventually(lambda: far.publish([message(queue)])[0].error is None)


@pytest.mark.parametrize("what", ["memory", "disk"])
def test_a_server_that_is_short_of_something_takes_no_messages_says_so_and_can_be_drained(
    open_runtime: Open, rabbitmq_server: RabbitMQ, queue: str, what: str
):
    runtime = open_runtime(timeout=1.0)
    assert runtime.publish([message(queue)])[0].error is None
    with rabbitmq_server.short_of(what):
        (answer,) = runtime.publish([message(queue)])
        assert answer.error is not None
        assert not answer.certain  # it was on its way before we knew
        eventually(lambda: "blocked" in runtime.health().detail)
        assert not runtime.health().ok
        assert "low on" in runtime.configuration().refuses_writes
        began = time.monotonic()
        (answer,) = runtime.publish([message(queue)])
        assert answer.error is not None
        assert answer.certain  # it was not even tried
        assert time.monotonic() - began < 0.5
        consumer = runtime.consumer([queue], prefetch=5)
        consumer.ack(eventually(lambda: consumer.receive(limit=1, timeout=1)))
        consumer.close()
    eventually(lambda: runtime.publish([message(queue)])[0].error is None)
    assert runtime.health().ok


def test_what_was_confirmed_outlives_a_crash_of_the_server(
    runtime: RabbitMQRuntime, rabbitmq_server: RabbitMQ, queue: str
):
    messages = [message(queue) for _ in range(100)]
    assert all(answer.error is None for answer in runtime.publish(messages))
    rabbitmq_server.stop(signal.SIGKILL)
    (answer,) = runtime.publish([message(queue)])
    assert answer.error is not None
    rabbitmq_server.start()
    consumer = eventually(lambda: runtime.consumer([queue], prefetch=100))
    came: set[object] = set()

    def all_came() -> bool:
        try:
            receipts = consumer.receive(limit=100, timeout=0.5)
        except ConnectionError:
            return False
        consumer.ack(receipts)
        came.update(decode(receipt.body)[0] for receipt in receipts)
        return came >= {m.run_id for m in messages}

    eventually(all_came)
    consumer.close()


def test_a_child_after_a_fork_has_connections_of_its_own(runtime: RabbitMQRuntime, queue: str):
    assert runtime.publish([message(queue)])[0].error is None
    child = os.fork()
    if child == 0:
        told = runtime.publish([message(queue)])
        os._exit(0 if told[0].error is None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert runtime.publish([message(queue)])[0].error is None
    eventually(lambda: runtime.inspect(queue).depth == 3)


def test_closing_ends_every_thread_and_the_next_need_begins_anew(runtime: RabbitMQRuntime, queue: str):
    assert runtime.publish([message(queue)])[0].error is None
    runtime.close()
    ours = [thread.name for thread in threading.enumerate() if thread.name.startswith("openqueue-rabbitmq-")]
    assert ours == []
    assert runtime.publish([message(queue)])[0].error is None
