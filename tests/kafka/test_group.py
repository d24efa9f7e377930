"""The group: who receives from which partition, and what happens when that changes."""

from __future__ import annotations

import time

import pytest
from kafka.coordinator.base import BaseCoordinator

from openqueue.runtimes.base import decode
from openqueue.runtimes.kafka import KafkaRuntime
from openqueue.runtimes.kafka.clients import kafka_python
from openqueue.runtimes.kafka.clients.kafka_python import KafkaPythonMember
from openqueue.runtimes.kafka.consumer import KafkaConsumer
from tests.eventually import eventually
from tests.kafka.conftest import committed, fresh, message, offsets, receive
from tests.servers.kafka import Kafka


def holds(consumer: KafkaConsumer) -> set[int]:
    return {place.partition for place in consumer.tenures}


def test_two_share_the_partitions_and_what_stays_goes_on_without_a_pause(runtime: KafkaRuntime, queue: str):
    """Cooperative: the first keeps its tenure of what it keeps, with what it has in hand."""
    runtime.publish([message(queue) for _ in range(30)])
    first = runtime.consumer([queue], prefetch=30)
    receipts = receive(first, 30)
    before = dict(first.tenures)
    second = runtime.consumer([queue], prefetch=10)
    eventually(lambda: holds(second) and len(holds(first)) + len(holds(second)) == 3)
    kept = holds(first)
    assert kept
    assert all(first.tenures[place] is before[place] for place in first.tenures)
    mine = [receipt for receipt in receipts if receipt.origin["partition"] in kept]
    first.ack(mine)
    assert first.committed(5)
    for number in kept:
        assert committed(runtime, queue)[number] == 1 + max(n for p, n in offsets(mine) if p == number)
    second.close()
    eventually(lambda: holds(first) == {0, 1, 2})
    first.close()


def test_what_was_revoked_settles_nothing_and_comes_to_the_other_from_what_was_committed(
    runtime: KafkaRuntime, queue: str
):
    runtime.publish([message(queue) for _ in range(30)])
    first = runtime.consumer([queue], prefetch=30)
    receipts = receive(first, 30)
    second = runtime.consumer([queue], prefetch=30)
    eventually(lambda: holds(second) and len(holds(first)) + len(holds(second)) == 3)
    gone = [receipt for receipt in receipts if receipt.origin["partition"] in holds(second)]
    first.ack(gone)
    first.release(gone)
    assert first.committed(5)
    assert {committed(runtime, queue)[number] for number in holds(second)} <= {None, 0}
    assert list(first.receive(limit=9, timeout=0.2)) == []
    assert sorted(offsets(receive(second, len(gone)))) == sorted(offsets(gone))
    first.close()
    second.close()


def test_revoked_and_assigned_again_while_paused_it_goes_on_from_what_is_committed(
    runtime: KafkaRuntime, queue: str
):
    told = [message(queue) for _ in range(30)]
    runtime.publish(told)
    first = runtime.consumer([queue], prefetch=30)
    receipts = receive(first, 10)
    first.ack(receipts)
    assert first.committed(5)
    came = {decode(receipt.body)[0] for receipt in receipts}
    first.pause([queue])
    for _ in range(3):
        second = runtime.consumer([queue], prefetch=1)
        eventually(lambda second=second: holds(second))
        second.pause([queue])
        second.close()
        eventually(lambda: holds(first) == {0, 1, 2})
    assert list(first.receive(limit=9, timeout=0.2)) == []
    first.resume([queue])
    rest = receive(first, 20)
    assert came | {decode(receipt.body)[0] for receipt in rest} == {one.run_id for one in told}
    first.close()


def test_full_hands_keep_polling_and_their_place_in_the_group(kafka_server: Kafka, queue: str):
    """A worker that receives nothing for three poll intervals is still a member, and what it holds stays its own."""
    options = kafka_server.options | fresh(poll_interval=1.5, session_timeout=2)
    runtime = KafkaRuntime("default", **options)
    runtime.publish([message(queue)])
    consumer = runtime.consumer([queue], prefetch=1)
    receipts = receive(consumer, 1)
    tenures = dict(consumer.tenures)
    until = time.monotonic() + 5
    eventually(lambda: time.monotonic() > until)
    assert consumer.tenures == tenures
    consumer.ack(receipts)
    eventually(lambda: sum(committed(runtime, queue)[n] or 0 for n in range(3)) == 1)
    consumer.close()
    runtime.close()


def test_a_consumer_that_was_taken_for_dead_joins_again_and_its_old_hands_settle_nothing(
    kafka_server: Kafka, queue: str, monkeypatch: pytest.MonkeyPatch
):
    """Its thread hangs for longer than the poll interval: the partitions are lost, not revoked."""
    runtime = KafkaRuntime("default", **kafka_server.options, **fresh(poll_interval=1, session_timeout=1))
    runtime.publish([message(queue) for _ in range(3)])
    consumer = runtime.consumer([queue], prefetch=3)
    receipts = receive(consumer, 3)
    heard: list[str] = []
    monkeypatch.setattr(
        consumer, "lost", lambda places, lost=consumer.lost: (heard.append("lost"), lost(places))
    )
    once = consumer.turn_once
    hang = [True]

    def hanging(member):
        if hang:
            hang.clear()
            until = time.monotonic() + 4
            eventually(lambda: time.monotonic() > until)
        once(member)

    monkeypatch.setattr(consumer, "turn_once", hanging)
    eventually(lambda: heard == ["lost"], within=30)
    consumer.ack(receipts)
    assert len(receive(consumer, 3)) == 3
    assert set(committed(runtime, queue).values()) <= {None, 0}
    consumer.close()
    runtime.close()


def test_partitions_that_are_added_are_received_from(kafka_server: Kafka, queue: str):
    runtime = KafkaRuntime("default", **kafka_server.options, **fresh(partitions=1, metadata_age=1))
    runtime.publish([message(queue)])
    consumer = runtime.consumer([queue], prefetch=50)
    consumer.ack(receive(consumer, 1))
    with kafka_server.admin() as admin:
        admin.create_partitions({f"openqueue.{queue}": 4})
    eventually(lambda: len(runtime.inspect(queue).partitions) == 4)
    told = [message(queue) for _ in range(40)]

    def all_partitions() -> bool:
        runtime.publish([message(queue) for _ in range(10)])
        return all(one.following for one in runtime.inspect(queue).partitions)

    runtime.publish(told)
    eventually(all_partitions, every=0.5)
    eventually(lambda: holds(consumer) == {0, 1, 2, 3})
    found: set[object] = set()

    def all_came() -> bool:
        receipts = consumer.receive(limit=50, timeout=0.2)
        consumer.ack(receipts)
        found.update(decode(receipt.body)[0] for receipt in receipts)
        return found >= {one.run_id for one in told}

    eventually(all_came)
    consumer.close()
    runtime.close()


def test_inspect_tells_lag_offsets_and_who_holds_what(runtime: KafkaRuntime, queue: str):
    assert runtime.inspect(queue).lag == 0
    runtime.publish([message(queue) for _ in range(20)])
    stats = runtime.inspect(queue)
    assert (stats.lag, stats.depth, stats.consumers) == (20, 20, 0)
    assert [one.number for one in stats.partitions] == [0, 1, 2]
    assert sum(one.following for one in stats.partitions) == 20
    consumer = runtime.consumer([queue], prefetch=20)
    receipts = receive(consumer, 20)
    consumer.ack([receipt for receipt in receipts if receipt.origin["partition"] == 1])
    assert consumer.committed(5)
    eventually(lambda: runtime.inspect(queue).group == "Stable")
    stats = runtime.inspect(queue)
    assert stats.consumers == 1
    assert {one.holder.split("@")[0] for one in stats.partitions} == {"openqueue.default"}
    assert [one.lag for one in stats.partitions] == [
        0 if one.number == 1 else one.following for one in stats.partitions
    ]
    consumer.close()


def test_a_queue_that_is_slow_does_not_stop_another(runtime: KafkaRuntime, queue: str):
    """Its records are in hand and unsettled, its partitions full: the other queue flows."""
    other = f"{queue}-other"
    runtime.publish([message(queue) for _ in range(1500)])
    consumer = runtime.consumer([queue, other], prefetch=5)
    slow = receive(consumer, 5)
    assert {receipt.queue for receipt in slow} == {queue}
    told = message(other)
    runtime.publish([told])
    consumer.pause([queue])
    (receipt,) = receive(consumer, 1)
    assert decode(receipt.body)[0] == told.run_id
    consumer.close()


def test_a_member_that_polls_by_glances_joins_all_the_same(
    runtime: KafkaRuntime, queue: str, monkeypatch: pytest.MonkeyPatch
):
    """kafka-python forgets a join that ends between two polls: on a busy machine none ended within a glance."""
    poll = KafkaPythonMember.poll

    def spinning(member: KafkaPythonMember, timeout: float):
        member.spins = True
        return poll(member, timeout)

    monkeypatch.setattr(kafka_python, "GLANCE", 0.001)
    monkeypatch.setattr(KafkaPythonMember, "poll", spinning)
    runtime.declare([queue])
    runtime.publish([message(queue)])
    consumer = runtime.consumer([queue], prefetch=1)
    receive(consumer, 1)
    consumer.close()


def test_a_group_that_answers_between_two_polls_is_heard(
    kafka_server: Kafka, queue: str, monkeypatch: pytest.MonkeyPatch
):
    """kafka-python wants no join any more once it has assigned new partitions: nobody heard that they were its own."""
    runtime = KafkaRuntime("default", **kafka_server.options, **fresh(partitions=1, metadata_age=1))
    runtime.publish([message(queue)])
    consumer = runtime.consumer([queue], prefetch=50)
    consumer.ack(receive(consumer, 1))
    join = BaseCoordinator._do_join_and_sync_async

    async def slowly(coordinator: BaseCoordinator):
        answer = await join(coordinator)
        await coordinator._manager._net.sleep(1.5)  # longer than any poll
        return answer

    monkeypatch.setattr(BaseCoordinator, "_do_join_and_sync_async", slowly)
    with kafka_server.admin() as admin:
        admin.create_partitions({f"openqueue.{queue}": 4})
    eventually(lambda: holds(consumer) == {0, 1, 2, 3})
    consumer.close()
    runtime.close()
