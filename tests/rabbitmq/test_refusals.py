"""A server that refuses says why, what to do, and no password; nothing was done, and it is tried again."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from openqueue.control.doctor.brokers import judge
from openqueue.runtimes.base import BrokerFacts
from openqueue.runtimes.rabbitmq.refusals import RabbitMQFailed
from tests.eventually import eventually
from tests.rabbitmq.conftest import Open, message
from tests.servers.ports import free_port
from tests.servers.rabbitmq import ADMIN, RULES, USER, RabbitMQ


@contextlib.contextmanager
def without_rights(server: RabbitMQ) -> Iterator[None]:
    server.permit(USER, "^elsewhere$")
    yield
    server.permit(USER, RULES)


@contextlib.contextmanager
def another_password(server: RabbitMQ) -> Iterator[None]:
    server.api("PUT", f"users/{USER}", password="another", tags="")
    yield
    server.api("PUT", f"users/{USER}", password=server.password, tags="")


@contextlib.contextmanager
def without_the_virtual_host(server: RabbitMQ) -> Iterator[None]:
    server.api("DELETE", f"permissions/{server.vhost}/{USER}")
    yield
    server.permit(USER, RULES)


REFUSALS: dict[str, tuple[Callable[[RabbitMQ], Any], str]] = {
    "rights": (without_rights, "permissions that it needs"),
    "password": (another_password, "Put the right ones into the URL"),
    "virtual host": (without_the_virtual_host, "the user may not use it"),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_what_a_server_refuses_is_told_with_its_remedy_and_goes_on_afterwards(
    open_runtime: Open, rabbitmq_server: RabbitMQ, queue: str, what: str, caplog: pytest.LogCaptureFixture
):
    refusing, remedy = REFUSALS[what]
    caplog.set_level(logging.DEBUG)
    told = message(queue)
    with refusing(rabbitmq_server):
        runtime = open_runtime()
        (answer,) = runtime.publish([told])
        assert answer.error is not None
        assert answer.certain
        assert remedy in answer.error
        assert f"127.0.0.1:{rabbitmq_server.port}" in answer.error
        assert rabbitmq_server.password not in answer.error + caplog.text + runtime.health().detail
        consumer = runtime.consumer([queue], prefetch=1)
        with pytest.raises(RabbitMQFailed):
            consumer.receive(limit=1, timeout=0)
    eventually(lambda: runtime.publish([told])[0].error is None)
    consumer.ack(eventually(lambda: consumer.receive(limit=1, timeout=1)))
    consumer.close()


def test_where_nobody_listens_nothing_was_done(
    open_runtime: Open, queue: str, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    runtime = open_runtime(url=f"amqp://anna:secret@127.0.0.1:{free_port()}")
    (answer,) = runtime.publish([message(queue)])
    assert answer.certain
    health = runtime.health()
    assert not health.ok
    consumer = runtime.consumer([queue], prefetch=1)
    with pytest.raises(RabbitMQFailed) as caught:
        consumer.receive(limit=1, timeout=0)
    consumer.close()
    said = str(answer.error) + health.detail + repr(caught.value) + caplog.text
    assert "secret" not in said
    pika = [record for record in caplog.records if record.name.startswith("pika")]
    assert [record.message for record in pika if record.levelno >= logging.INFO] == []


def test_the_next_node_is_tried_when_one_does_not_answer(
    open_runtime: Open, rabbitmq_server: RabbitMQ, queue: str
):
    nodes = [f"127.0.0.1:{free_port()}", f"127.0.0.1:{rabbitmq_server.port}"]
    assert open_runtime(nodes=nodes).publish([message(queue)])[0].error is None


def test_what_the_management_api_knows_is_told(open_runtime: Open, rabbitmq_server: RabbitMQ, queue: str):
    rabbitmq_server.api("PUT", f"users/{USER}", password=rabbitmq_server.password, tags="monitoring")
    try:
        runtime = open_runtime(management=rabbitmq_server.management)
        assert runtime.capabilities.unacked
        runtime.publish([message(queue) for _ in range(3)])
        consumer = runtime.consumer([queue], prefetch=3)
        receipts = eventually(lambda: consumer.receive(limit=2, timeout=1))
        eventually(lambda: (runtime.inspect(queue).unacked or 0) >= len(receipts))
        consumer.close()
        eventually(lambda: runtime.inspect(queue).unacked == 0)
        facts = runtime.configuration()
        assert (facts.software, facts.version.count(".")) == ("rabbitmq", 2)
        assert facts.used_memory
        assert facts.max_memory
        assert facts.cpu_seconds
        assert (facts.refuses_writes, facts.outdated, facts.differing) == ("", "", ())
        assert runtime.health().ok
    finally:
        rabbitmq_server.api("PUT", f"users/{USER}", password=rabbitmq_server.password, tags="")


def test_a_user_who_may_not_ask_the_management_api_is_told_how_and_messages_flow(
    open_runtime: Open, rabbitmq_server: RabbitMQ, queue: str
):
    runtime = open_runtime(management=rabbitmq_server.management)
    assert runtime.publish([message(queue)])[0].error is None
    stats = runtime.inspect(queue)
    assert (stats.depth, stats.unacked) == (1, None)
    with pytest.raises(RabbitMQFailed, match="set_user_tags"):
        runtime.configuration()
    assert "set_user_tags" in runtime.health().detail


def test_queues_that_differ_are_found_by_the_doctor(
    open_runtime: Open, rabbitmq_server: RabbitMQ, queue: str
):
    rabbitmq_server.api(
        "PUT", f"queues/{rabbitmq_server.vhost}/openqueue.{queue}", durable=True, arguments={}
    )
    runtime = open_runtime(url=rabbitmq_server.url_of(ADMIN), management=rabbitmq_server.management)
    facts = runtime.configuration()
    (found,) = facts.differing
    assert f"openqueue.{queue}" in found
    assert "x-queue-type" in found
    assert {finding.id for finding in judge("default", facts)} == {"queue_differs"}


def test_a_server_that_is_too_old_is_found_by_the_doctor():
    from openqueue.runtimes.rabbitmq.facts import outdated

    assert outdated("3.8.9")
    assert not outdated("3.10.8")
    assert not outdated("4.2.0")
    facts = BrokerFacts(
        software="rabbitmq", version="3.8.9", persistence=("quorum",), outdated=outdated("3.8.9")
    )
    assert [finding.id for finding in judge("default", facts)] == ["broker_outdated"]
