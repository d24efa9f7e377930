"""Publishing: idempotent, answered one by one, and honest about what nobody knows."""

from __future__ import annotations

import os
import time
from collections import Counter

from kafka import KafkaConsumer as Reader

from openqueue.runtimes.base import decode
from openqueue.runtimes.kafka import KafkaRuntime
from tests.eventually import eventually
from tests.kafka.conftest import fresh, message
from tests.proxy.proxy import Proxy
from tests.servers.kafka import Kafka


def everything_in(server: Kafka, queue: str, count: int):
    """Read a topic as a program would that knows nothing of OpenQueue."""
    records = []
    reader = Reader(f"openqueue.{queue}", auto_offset_reset="earliest", **server.administrator)
    try:
        eventually(
            lambda: (
                records.extend(r for some in reader.poll(200).values() for r in some) or len(records) >= count
            )
        )
        records.extend(r for some in reader.poll(300).values() for r in some)
    finally:
        reader.close()
    return records


def test_a_record_has_the_run_as_its_key_and_the_trace_in_its_headers(
    runtime: KafkaRuntime, kafka_server: Kafka, queue: str
):
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    told = message(queue)._replace(traceparent=trace)
    runtime.publish([told, message(queue)])
    by_key = {record.key.decode(): record for record in everything_in(kafka_server, queue, 2)}
    headers = dict(by_key[str(told.run_id)].headers)
    assert headers == {
        "openqueue-run": str(told.run_id).encode(),
        "openqueue-seq": b"1",
        "traceparent": trace.encode(),
    }
    assert decode(by_key[str(told.run_id)].value) == (told.run_id, 1)


def test_announcements_of_one_run_lie_in_one_partition(runtime: KafkaRuntime, queue: str):
    told = message(queue)
    refs = [runtime.publish([told._replace(seq=n)])[0].ref for n in range(1, 6)]
    assert len({str(ref).split(":")[1] for ref in refs}) == 1


def test_a_batch_is_answered_one_by_one(kafka_server: Kafka, queue: str):
    """One is too large for the broker, the others lie there."""
    options = fresh(client_options={"max_request_size": 4000})
    runtime = KafkaRuntime("default", **kafka_server.options, **options)
    large = message(queue)._replace(task_id="x" * 5000)
    answers = runtime.publish([message(queue), large, message(queue)])
    assert [answer.error is None for answer in answers] == [True, False, True]
    assert answers[1].certain
    assert "MessageSizeTooLarge" in str(answers[1].error)
    runtime.close()


def test_sent_again_after_a_lost_answer_it_lies_there_once(
    far: KafkaRuntime, own_kafka: Kafka, kafka_proxy: Proxy, queue: str
):
    """The client sends it again by itself, and the broker knows its number."""
    far.publish([message(queue)])
    for _ in range(3):
        kafka_proxy.lose_the_answer_to(b"Produce")
        assert far.publish([message(queue) for _ in range(5)])[0].error is None
    assert kafka_proxy.lost >= 3
    keys = Counter(record.key for record in everything_in(own_kafka, queue, 16))
    assert len(keys) == 16
    assert set(keys.values()) == {1}


def test_without_an_answer_in_time_nobody_knows_and_the_next_one_goes_through(
    far: KafkaRuntime, kafka_proxy: Proxy, queue: str
):
    """The producer that may still be trying is replaced."""
    assert far.publish([message(queue)])[0].error is None
    kafka_proxy.blackhole()
    began = time.monotonic()
    answers = far.publish([message(queue) for _ in range(3)])
    assert time.monotonic() - began < 5
    assert [answer.certain for answer in answers] == [False] * 3
    assert "Kafka at 127.0.0.1" in str(answers[0].error)
    kafka_proxy.reset()
    kafka_proxy.pass_on()
    eventually(lambda: far.publish([message(queue)])[0].error is None)


def test_a_broker_that_cannot_be_reached_has_certainly_nothing(
    own_kafka: Kafka, kafka_proxy: Proxy, queue: str
):
    runtime = KafkaRuntime("default", **own_kafka.options_at("PROXY"), **fresh(timeout=0.5))
    kafka_proxy.refuse()
    (answer,) = runtime.publish([message(queue)])
    assert answer.certain
    assert answer.error is not None
    assert own_kafka.password not in answer.error
    kafka_proxy.pass_on()
    eventually(lambda: runtime.publish([message(queue)])[0].error is None)
    runtime.close()


def test_a_child_has_connections_of_its_own(runtime: KafkaRuntime, queue: str):
    """After a fork the parent's threads are not there: its clients would wait for ever."""
    assert runtime.publish([message(queue)])[0].error is None
    child = os.fork()
    if not child:
        os._exit(0 if runtime.publish([message(queue)])[0].error is None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert runtime.publish([message(queue)])[0].error is None
    assert runtime.inspect(queue).depth == 3
