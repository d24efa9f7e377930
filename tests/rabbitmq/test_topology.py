"""What stands in RabbitMQ: durable, of the kind that was asked for, and declared as often as one likes."""

from __future__ import annotations

import json

import pytest
from pika.adapters.blocking_connection import BlockingChannel

from openqueue.runtimes.base import decode
from openqueue.runtimes.rabbitmq import RabbitMQRuntime
from openqueue.runtimes.rabbitmq.refusals import TopologyDiffers
from tests.eventually import eventually
from tests.rabbitmq.conftest import Open, message
from tests.servers.rabbitmq import RabbitMQ


def test_queues_are_durable_quorum_queues_that_reject_into_a_queue_of_their_own(
    runtime: RabbitMQRuntime, rabbitmq_server: RabbitMQ, queue: str
):
    runtime.declare([queue])
    found = rabbitmq_server.queues()
    assert set(found) == {f"openqueue.{queue}{lane}" for lane in ("", ":high", ":low")} | {
        "openqueue.dlx:rejected"
    }
    for name, one in found.items():
        assert (one["durable"], one["arguments"]["x-queue-type"]) == (True, "quorum")
        assert (
            name == "openqueue.dlx:rejected" or one["arguments"]["x-dead-letter-exchange"] == "openqueue.dlx"
        )
    exchanges = {one["name"]: one for one in rabbitmq_server.api("GET", f"exchanges/{rabbitmq_server.vhost}")}
    assert (exchanges["openqueue"]["type"], exchanges["openqueue"]["durable"]) == ("direct", True)
    assert (exchanges["openqueue.dlx"]["type"], exchanges["openqueue.dlx"]["durable"]) == ("fanout", True)


def test_messages_are_persistent_say_who_they_are_and_carry_the_trace_in_a_header(
    runtime: RabbitMQRuntime, admin: BlockingChannel, queue: str
):
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    told = message(queue, seq=7, traceparent=trace)
    assert runtime.publish([told])[0].error is None
    _, properties, body = eventually(lambda: first(admin, f"openqueue.{queue}"))
    assert properties.delivery_mode == 2
    assert properties.message_id == f"{told.run_id}:7"
    assert properties.content_type == "application/json"
    assert properties.headers["traceparent"] == trace
    assert "traceparent" not in json.loads(body)
    assert decode(body) == (told.run_id, 7)


def first(admin: BlockingChannel, name: str):
    got = admin.basic_get(name, auto_ack=True)
    return got if got[0] is not None else None


@pytest.mark.parametrize("exchange_type", ["direct", "topic"])
def test_a_queue_gets_what_is_for_it_and_nothing_of_one_whose_name_goes_on(
    open_runtime: Open, queue: str, exchange_type: str
):
    """In a topic key a dot parts words: a queue "mail" must not get what is for "mail.urgent"."""
    runtime = open_runtime(exchange_type=exchange_type)
    names = [queue, f"{queue}.urgent", f"{queue}.urgent.more"]
    runtime.declare(names)
    runtime.publish([message(name, task_id=f"{name}.task") for name in names for _ in range(3)])
    for name in names:
        eventually(lambda name=name: runtime.inspect(name).depth == 3)


def test_others_may_listen_to_a_topic_by_queue_and_task(
    open_runtime: Open, admin: BlockingChannel, queue: str
):
    runtime = open_runtime(exchange_type="topic")
    runtime.declare([queue])
    admin.queue_declare("audit", exclusive=True)
    admin.queue_bind("audit", "openqueue", "*.shop.send_invoice")
    runtime.publish([message(queue, task_id="shop.send_invoice"), message(queue, task_id="shop.other")])
    method, _, body = eventually(lambda: first(admin, "audit"))
    assert method.routing_key == f"{queue}.shop.send_invoice"
    assert json.loads(body)["task_id"] == "shop.send_invoice"
    assert first(admin, "audit") is None


def test_a_queue_that_was_declared_otherwise_is_named_with_what_differs(
    open_runtime: Open, admin: BlockingChannel, queue: str
):
    admin.queue_declare(
        f"openqueue.{queue}", durable=True, arguments={"x-dead-letter-exchange": "openqueue.dlx"}
    )
    runtime = open_runtime()
    with pytest.raises(TopologyDiffers) as caught:
        runtime.declare([queue])
    assert f"openqueue.{queue}" in str(caught.value)
    assert "x-queue-type" in str(caught.value)
    assert "delete it" in str(caught.value)
    answers = runtime.publish([message(queue), message(queue)])
    assert all(answer.error == str(caught.value) for answer in answers)
    admin.queue_delete(f"openqueue.{queue}")
    runtime.declare([queue])
    assert runtime.publish([message(queue)])[0].error is None


def test_native_priorities_live_in_one_classic_queue(
    open_runtime: Open, rabbitmq_server: RabbitMQ, queue: str
):
    runtime = open_runtime(queue_type="classic", priorities="native")
    assert runtime.capabilities.priorities == "native"
    runtime.publish([message(queue, priority=priority) for priority in (-100, 0, 100, 0)])
    eventually(lambda: runtime.inspect(queue).depth == 4)
    one = rabbitmq_server.queues()[f"openqueue.{queue}"]
    assert (one["arguments"]["x-max-priority"], one["durable"]) == (10, True)
    assert f"openqueue.{queue}:high" not in rabbitmq_server.queues()
    consumer = runtime.consumer([queue], prefetch=1)
    came = []
    for _ in range(4):
        receipts = eventually(lambda: list(consumer.receive(limit=1, timeout=0.5)))
        came.append(json.loads(receipts[0].body)["priority"])
        consumer.ack(receipts)
    assert came == [100, 0, 0, -100]
    consumer.close()


def test_two_projects_on_one_virtual_host_hear_nothing_of_each_other(
    open_runtime: Open, rabbitmq_server: RabbitMQ, queue: str, settings
):
    runtime = open_runtime()
    runtime.publish([message(queue)])
    settings.OPENQUEUE = {"NAMESPACE": "another"}
    other = open_runtime(url=rabbitmq_server.url_of("admin"))
    other.declare([queue])
    assert other.inspect(queue).depth == 0
    settings.OPENQUEUE = {"NAMESPACE": "openqueue"}
    eventually(lambda: runtime.inspect(queue).depth == 1)


def test_looking_at_a_queue_that_nobody_made_makes_none(
    runtime: RabbitMQRuntime, rabbitmq_server: RabbitMQ, queue: str
):
    assert runtime.inspect(queue).depth == 0
    assert rabbitmq_server.queues() == {}


def test_without_priorities_there_is_one_queue_and_using_them_is_refused(
    open_runtime: Open, rabbitmq_server: RabbitMQ, queue: str
):
    runtime = open_runtime(priorities=False)
    assert runtime.capabilities.priorities is False
    runtime.declare([queue])
    assert set(rabbitmq_server.queues()) == {f"openqueue.{queue}", "openqueue.dlx:rejected"}
