"""Poison: in the dead letters with its coordinates, in the dead-letter topic with its bytes, and passed by."""

from __future__ import annotations

import pytest
from kafka import KafkaProducer

from openqueue.models import DeadLetter
from openqueue.processes.worker.intake import Intake
from openqueue.processes.worker.ledger import Ledger
from openqueue.runtimes.base import PoisonMessage, decode
from openqueue.runtimes.kafka import KafkaRuntime
from tests.eventually import eventually
from tests.kafka.conftest import message, receive
from tests.kafka.test_publish import everything_in
from tests.servers.kafka import Kafka


def put(server: Kafka, queue: str, body: bytes) -> None:
    producer = KafkaProducer(**server.administrator)
    producer.send(f"openqueue.{queue}", value=body, partition=0, headers=[("from", b"\xffelsewhere")]).get(10)
    producer.close()


@pytest.mark.django_db
def test_poison_at_the_head_is_put_aside_and_what_is_behind_it_flows(
    runtime: KafkaRuntime, kafka_server: Kafka, queue: str
):
    runtime.declare([queue])
    put(kafka_server, queue, b"\xff\xfe")
    told = [message(queue) for _ in range(20)]
    runtime.publish(told)
    consumer = runtime.consumer([queue], prefetch=30)
    intake = Intake(runtime, queues=[queue], ledger=Ledger(slots=1, lease=30), submit=lambda job: None)
    intake.consumer = consumer
    receipts = receive(consumer, 21)
    for receipt in receipts:
        try:
            decode(receipt.body)
        except PoisonMessage as error:
            intake.bury(receipt, reason=str(error))
        else:
            consumer.ack([receipt])
    letter = DeadLetter.objects.get()
    assert letter.origin == {
        "topic": f"openqueue.{queue}", "partition": 0, "offset": 0, "headers": {"from": "\\xffelsewhere"},
    }  # fmt: skip
    eventually(lambda: runtime.inspect(queue).lag == 0)
    (kept,) = everything_in(kafka_server, f"{queue}.dlt", 1)
    assert kept.value == b"\xff\xfe"
    headers = dict(kept.headers)
    assert headers["from"] == b"\xffelsewhere"
    assert headers["openqueue-topic"] == f"openqueue.{queue}".encode()
    assert (headers["openqueue-partition"], headers["openqueue-offset"]) == (b"0", b"0")
    assert b"not an announcement" in headers["openqueue-reason"]
    consumer.close()


def test_where_there_can_be_no_dead_letter_topic_poison_is_passed_by_all_the_same(
    runtime: KafkaRuntime, kafka_server: Kafka, queue: str, caplog: pytest.LogCaptureFixture
):
    object.__setattr__(runtime.options, "create_topics", False)
    with kafka_server.admin() as admin:
        admin.create_topics({f"openqueue.{queue}": {"num_partitions": 1, "replication_factor": 1}})
    put(kafka_server, queue, b"poison")
    consumer = runtime.consumer([queue], prefetch=1)
    consumer.reject(receive(consumer, 1), reason="conformance")
    eventually(lambda: runtime.inspect(queue).lag == 0)
    assert "could not copy a message to the dead-letter topic" in caplog.text
    consumer.close()
