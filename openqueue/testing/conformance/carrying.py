"""The cases of carrying messages: what was published arrives, and nothing is lost on the way."""

from __future__ import annotations

import hashlib
import time
from uuid import UUID

import pytest

from openqueue.models import DeadLetter, Run
from openqueue.processes.worker.intake import Intake
from openqueue.processes.worker.ledger import Ledger
from openqueue.runtimes.base import Consumer, PoisonMessage, Receipt, Runtime, decode
from openqueue.testing.conformance.suite import Suite, needs
from openqueue.types import Due

POISON = [
    b"",
    b"\xff\xfe",
    b"not json",
    b"[]",
    b'{"v": 1}',
    b'{"v": 99, "id": "x", "seq": 1}',
    b"cos\nsystem\n(S'x'\ntR.",
]


class Carrying(Suite):
    """What a runtime does for messages."""

    def test_a_published_message_is_received_once(
        self, runtime: Runtime, queue: str, consumer: Consumer
    ) -> None:
        message = self.message(queue)
        runtime.publish([message])
        (receipt,) = self.receive(consumer)
        assert decode(receipt.body) == (message.run_id, message.seq)
        assert receipt.queue == queue
        self.nothing_comes(consumer)

    def test_two_consumers_share_what_was_published(self, runtime: Runtime, queue: str) -> None:
        messages = [self.message(queue) for _ in range(10)]
        runtime.publish(messages)
        consumers = [runtime.consumer([queue], prefetch=2) for _ in range(2)]
        found: list[UUID] = []
        until = time.monotonic() + self.soon
        while len(found) < 10 and time.monotonic() < until:
            for consumer in consumers:
                receipts = consumer.receive(limit=2, timeout=0.2)
                assert not isinstance(receipts, Due)
                found += [decode(receipt.body)[0] for receipt in receipts]
                consumer.ack(receipts)
        for consumer in consumers:
            consumer.close()
        assert sorted(found) == sorted(message.run_id for message in messages)

    def test_received_and_never_acked_comes_again(
        self, runtime: Runtime, queue: str, consumer: Consumer
    ) -> None:
        message = self.message(queue)
        runtime.publish([message])
        self.receive(consumer)
        (again,) = self.receive(consumer)
        assert decode(again.body) == (message.run_id, message.seq)

    def test_ack_settles(self, runtime: Runtime, queue: str, consumer: Consumer) -> None:
        runtime.publish([self.message(queue)])
        consumer.ack(self.receive(consumer))
        consumer.close()
        other = runtime.consumer([queue], prefetch=1)
        self.nothing_comes(other)
        other.close()

    def test_release_gives_back(self, runtime: Runtime, queue: str, consumer: Consumer) -> None:
        message = self.message(queue)
        runtime.publish([message])
        consumer.release(self.receive(consumer))
        (again,) = self.receive(consumer)
        assert decode(again.body)[0] == message.run_id

    def test_closing_hands_unsettled_messages_back(
        self, runtime: Runtime, queue: str, consumer: Consumer
    ) -> None:
        settled, unsettled = self.message(queue), self.message(queue)
        runtime.publish([settled, unsettled])
        for receipt in self.receive(consumer, 2):
            if decode(receipt.body)[0] == settled.run_id:
                consumer.ack([receipt])
        consumer.close()
        if runtime.capabilities.unacked:  # given back, not left to its deadline
            self.eventually(lambda: runtime.inspect(queue).unacked == 0)
        other = runtime.consumer([queue], prefetch=10)
        (receipt,) = self.receive(other)
        assert decode(receipt.body)[0] == unsettled.run_id
        other.close()

    def test_a_queue_that_is_not_consumed_is_left_alone(
        self, runtime: Runtime, queue: str, consumer: Consumer
    ) -> None:
        runtime.declare([f"{queue}.other"])
        runtime.publish([self.message(f"{queue}.other")])
        self.nothing_comes(consumer)

    def test_names_in_any_script_arrive_as_they_are(
        self, runtime: Runtime, queue: str, consumer: Consumer
    ) -> None:
        name = "konformität.✓ \N{PILE OF POO} \u202e \"'\\"
        runtime.publish([self.message(queue, task_id=name)])
        (receipt,) = self.receive(consumer)
        assert decode(receipt.body)
        assert name.encode() in receipt.body or ascii(name)[1:8].encode() in receipt.body

    def test_poison_is_moved_aside_and_does_not_stop_the_next(
        self, runtime: Runtime, queue: str, consumer: Consumer
    ) -> None:
        message = self.message(queue)
        runtime.publish([message])
        (receipt,) = self.receive(consumer)
        intake = Intake(runtime, queues=[queue], ledger=Ledger(slots=1, lease=30), submit=lambda job: None)
        intake.consumer = consumer
        for body in POISON:
            with pytest.raises(PoisonMessage):
                decode(body)
        intake.bury(Receipt(body=POISON[1], queue=queue, handle=receipt.handle), reason="conformance")
        letter = DeadLetter.objects.get()
        assert (letter.queue, letter.size, letter.head) == (queue, 2, "fffe")
        assert letter.sha256 == hashlib.sha256(POISON[1]).hexdigest()
        following = self.message(queue)
        runtime.publish([following])
        (receipt,) = self.receive(consumer)
        assert decode(receipt.body)[0] == following.run_id

    def test_a_message_at_the_broker_is_not_missing(
        self, runtime: Runtime, queue: str, consumer: Consumer
    ) -> None:
        """`missing` may always say True; it must never say False of what is gone."""
        message = self.message(queue)
        (answer,) = runtime.publish([message])
        assert len(runtime.missing([message], [answer.ref])) == 1
        consumer.ack(self.receive(consumer))
        assert list(runtime.missing([message], [answer.ref])) == [True]

    def test_a_message_for_a_run_that_does_not_exist_is_dropped(self, runtime: Runtime, queue: str) -> None:
        with self.worker(queue) as worker:
            runtime.publish([self.message(queue)])
            self.eventually(lambda: any(intake.claims for intake in worker.intakes))
            self.eventually(lambda: runtime.inspect(queue).unacked in {0, None})
        assert not Run.objects.exists()

    @needs("priorities")
    def test_higher_priority_comes_first(self, runtime: Runtime, queue: str, consumer: Consumer) -> None:
        messages = [self.message(queue, priority=priority) for priority in (-100, 0, 100)]
        runtime.publish(messages)
        received = [decode(self.receive(consumer)[0].body)[0] for _ in messages]
        assert received == [message.run_id for message in reversed(messages)]

    @needs("depth")
    def test_inspect_knows_the_depth(self, runtime: Runtime, queue: str, consumer: Consumer) -> None:
        assert runtime.inspect(queue).depth == 0
        runtime.publish([self.message(queue) for _ in range(3)])
        self.eventually(lambda: runtime.inspect(queue).depth == 3)
        consumer.ack(self.receive(consumer, 3))
        self.eventually(lambda: runtime.inspect(queue).depth == 0)

    @needs("unacked")
    def test_inspect_knows_what_is_in_flight(self, runtime: Runtime, queue: str, consumer: Consumer) -> None:
        runtime.publish([self.message(queue)])
        receipts = self.receive(consumer)
        self.eventually(lambda: runtime.inspect(queue).unacked == 1)
        consumer.ack(receipts)
        self.eventually(lambda: runtime.inspect(queue).unacked == 0)
