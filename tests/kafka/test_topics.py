"""Topics are made as configured; where they must not be made, everybody says so and nobody hangs."""

from __future__ import annotations

import time

import pytest

from openqueue.runtimes.kafka import KafkaRuntime
from openqueue.runtimes.kafka.refusals import KafkaFailed
from tests.eventually import eventually
from tests.kafka.conftest import fresh, message, receive
from tests.servers.kafka import Kafka


@pytest.fixture
def strict(kafka_server: Kafka):
    """May not make topics."""
    runtime = KafkaRuntime("default", **kafka_server.options, **fresh(create_topics=False))
    yield runtime
    runtime.close()


def test_a_topic_has_the_partitions_of_its_queue(kafka_server: Kafka, queue: str):
    options = fresh(partitions=2, topics={f"{queue}-wide": {"partitions": 5}})
    runtime = KafkaRuntime("default", **kafka_server.options, **options)
    runtime.declare([queue, f"{queue}-wide"])
    with kafka_server.admin() as admin:
        told = {
            one["name"]: one
            for one in admin.describe_topics([f"openqueue.{queue}", f"openqueue.{queue}-wide"])
        }
    assert len(told[f"openqueue.{queue}"]["partitions"]) == 2
    assert len(told[f"openqueue.{queue}-wide"]["partitions"]) == 5
    runtime.close()


def test_more_copies_than_brokers_are_refused_with_the_remedy(kafka_server: Kafka, queue: str):
    runtime = KafkaRuntime("default", **kafka_server.options, **fresh(replication=3))
    with pytest.raises(KafkaFailed, match="more copies than there are brokers"):
        runtime.declare([queue])
    runtime.close()


def test_a_topic_that_is_not_there_and_must_not_be_made_is_an_error_at_once(strict: KafkaRuntime, queue: str):
    began = time.monotonic()
    with pytest.raises(KafkaFailed, match=rf"no topic openqueue.{queue}.*Create it"):
        strict.declare([queue])
    (answer,) = strict.publish([message(queue)])
    assert answer.certain
    assert f"no topic openqueue.{queue}" in str(answer.error)
    assert strict.inspect(queue).depth == 0
    consumer = strict.consumer([queue], prefetch=1)
    assert list(consumer.receive(limit=1, timeout=0.2)) == []
    assert time.monotonic() - began < 5
    consumer.close()


def test_once_somebody_has_made_it_all_goes_on(strict: KafkaRuntime, kafka_server: Kafka, queue: str):
    consumer = strict.consumer([queue], prefetch=1)
    assert list(consumer.receive(limit=1, timeout=0.2)) == []
    with kafka_server.admin() as admin:
        admin.create_topics({f"openqueue.{queue}": {"num_partitions": 1, "replication_factor": 1}})
    eventually(lambda: strict.publish([message(queue)])[0].error is None)
    receive(consumer, 1)
    consumer.close()


def test_one_queue_without_a_topic_does_not_keep_back_the_others(
    strict: KafkaRuntime, kafka_server: Kafka, queue: str
):
    with kafka_server.admin() as admin:
        admin.create_topics({f"openqueue.{queue}": {"num_partitions": 1, "replication_factor": 1}})
    there, absent = message(queue), message(f"{queue}-absent")
    eventually(lambda: strict.publish([there])[0].error is None)
    answers = strict.publish([absent, there, absent])
    assert [answer.error is None for answer in answers] == [False, True, False]


def test_a_topic_that_is_deleted_is_made_again(runtime: KafkaRuntime, kafka_server: Kafka, queue: str):
    assert runtime.publish([message(queue)])[0].error is None
    with kafka_server.admin() as admin:
        admin.delete_topics([f"openqueue.{queue}"])
    eventually(lambda: runtime.publish([message(queue)])[0].error is None, within=30)
    assert len(runtime.inspect(queue).partitions) == 3


def test_a_user_who_may_not_is_told_what_to_do(kafka_server: Kafka):
    """The rules are for names that begin with the namespace."""
    runtime = KafkaRuntime("default", **kafka_server.options, group_id="theirs")
    with pytest.raises(KafkaFailed, match=r"may not use the consumer group.*page of this runtime"):
        runtime.cluster.group("theirs")
    with pytest.raises(KafkaFailed, match="may not"):
        runtime.make({"theirs.default": runtime.options.shape})
    runtime.close()
