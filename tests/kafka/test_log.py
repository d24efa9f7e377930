"""A log forgets: what was deleted unread is missing and comes again; whoever stood there goes on where it begins."""

from __future__ import annotations

from kafka import TopicPartition

from openqueue.runtimes.base import decode
from openqueue.runtimes.kafka import KafkaRuntime
from tests.eventually import eventually
from tests.kafka.conftest import committed, fresh, message, receive
from tests.servers.kafka import Kafka


def test_what_was_deleted_unread_is_missing_and_the_consumer_goes_on_behind_it(
    kafka_server: Kafka, queue: str
):
    runtime = KafkaRuntime("default", **kafka_server.options, **fresh(partitions=1))
    told = [message(queue) for _ in range(10)]
    refs = [answer.ref for answer in runtime.publish(told)]
    consumer = runtime.consumer([queue], prefetch=2)
    consumer.ack(receive(consumer, 10)[:2])
    assert consumer.committed(5)
    consumer.close()
    with kafka_server.admin() as admin:
        admin.delete_records({TopicPartition(f"openqueue.{queue}", 0): 7})
    assert list(runtime.missing(told, refs)) == [True] * 7 + [False] * 3
    stats = runtime.inspect(queue)
    assert (stats.lag, stats.partitions[0].first, stats.partitions[0].committed) == (3, 7, 2)
    other = runtime.consumer([queue], prefetch=10)
    receipts = receive(other, 3)
    assert [decode(receipt.body)[0] for receipt in receipts] == [one.run_id for one in told[7:]]
    other.ack(receipts)
    eventually(lambda: committed(runtime, queue) == {0: 10})
    other.close()
    runtime.close()


def test_a_group_that_begins_reads_from_the_oldest(runtime: KafkaRuntime, queue: str):
    """What was announced before the first worker ever came is not skipped."""
    told = [message(queue) for _ in range(5)]
    runtime.publish(told)
    consumer = runtime.consumer([queue], prefetch=5)
    assert {decode(r.body)[0] for r in receive(consumer, 5)} == {one.run_id for one in told}
    consumer.close()


def test_two_projects_on_one_cluster_hear_nothing_of_each_other(
    runtime: KafkaRuntime, kafka_server: Kafka, queue: str, settings
):
    runtime.publish([message(queue)])
    settings.OPENQUEUE = {"NAMESPACE": "openqueue-b"}
    other = KafkaRuntime("default", **kafka_server.options, partitions=1)
    assert other.inspect(queue).depth == 0
    other.declare([queue])
    consumer = other.consumer([queue], prefetch=1)
    eventually(lambda: consumer.tenures)
    assert list(consumer.receive(limit=1, timeout=0.3)) == []
    assert other.group == "openqueue-b"
    consumer.close()
    other.close()
