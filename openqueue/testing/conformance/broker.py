"""The cases of carrying messages: what was published arrives, and nothing is lost on the way."""

from __future__ import annotations

import hashlib
import threading
import time
from uuid import uuid4

import pytest

from openqueue.checks import task_problems
from openqueue.errors import UnsupportedCapability
from openqueue.models import DeadLetter, Run
from openqueue.processes.worker.intake import Intake
from openqueue.processes.worker.ledger import Ledger
from openqueue.runtimes.base import Consumer, Due, PoisonMessage, Receipt, Runtime, decode
from openqueue.testing.conformance.suite import Suite, needs

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

    # --- every runtime ----------------------------------------------------------------------------------------

    def test_declaring_twice_changes_nothing(self, runtime: Runtime, queue: str) -> None:
        runtime.declare([queue])
        runtime.declare([queue, f"{queue}.more"])

    def test_closing_twice_is_safe(self, runtime: Runtime, queue: str) -> None:
        consumer = runtime.consumer([queue], prefetch=1)
        consumer.close()
        consumer.close()
        runtime.close()
        runtime.close()

    def test_publishing_nothing_does_nothing(self, runtime: Runtime) -> None:
        assert list(runtime.publish([])) == []

    def test_health_answers_within_two_seconds(self, runtime: Runtime) -> None:
        began = time.monotonic()
        assert runtime.health().ok
        assert time.monotonic() - began < 2

    def test_every_message_is_answered_for(self, runtime: Runtime, queue: str) -> None:
        answers = runtime.publish([self.message(queue) for _ in range(3)])
        assert [answer.error for answer in answers] == [None] * 3

    def test_wake_ends_a_receive_that_waits(self, consumer: Consumer) -> None:
        waiting = threading.Event()

        def wait() -> None:
            waiting.set()
            consumer.receive(limit=1, timeout=5 * self.soon)

        thread = threading.Thread(target=wait, daemon=True)
        thread.start()
        waiting.wait()
        until = time.monotonic() + self.soon
        while thread.is_alive() and time.monotonic() < until:
            consumer.wake()
            thread.join(0.1)
        assert not thread.is_alive(), "receive went on waiting"

    def test_receive_waits_no_longer_than_it_may(self, consumer: Consumer) -> None:
        began = time.monotonic()
        consumer.receive(limit=1, timeout=0)
        consumer.receive(limit=1, timeout=0.1)
        assert time.monotonic() - began < self.soon / 2

    @needs("pause_resume")
    def test_a_paused_queue_is_not_received_from(
        self, runtime: Runtime, queue: str, consumer: Consumer
    ) -> None:
        consumer.pause([queue])
        runtime.publish([self.message(queue)])
        received = consumer.receive(limit=9, timeout=0.2)
        assert list(received.queues if isinstance(received, Due) else received) == []
        consumer.resume([queue])
        received = consumer.receive(limit=9, timeout=self.soon)
        assert list(received.queues if isinstance(received, Due) else received)

    # --- runtimes that carry messages -----------------------------------------------------------------------

    @needs("messages")
    def test_a_published_message_is_received_once(
        self, runtime: Runtime, queue: str, consumer: Consumer
    ) -> None:
        message = self.message(queue)
        runtime.publish([message])
        (receipt,) = self.receive(consumer)
        assert decode(receipt.body) == (message.run_id, message.seq)
        assert receipt.queue == queue
        self.nothing_comes(consumer)

    @needs("messages")
    def test_two_consumers_share_what_was_published(self, runtime: Runtime, queue: str) -> None:
        messages = [self.message(queue) for _ in range(10)]
        runtime.publish(messages)
        consumers = [runtime.consumer([queue], prefetch=2) for _ in range(2)]
        found = []
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

    @needs("messages")
    def test_received_and_never_acked_comes_again(
        self, runtime: Runtime, queue: str, consumer: Consumer
    ) -> None:
        message = self.message(queue)
        runtime.publish([message])
        self.receive(consumer)
        (again,) = self.receive(consumer)
        assert decode(again.body) == (message.run_id, message.seq)

    @needs("messages")
    def test_ack_settles(self, runtime: Runtime, queue: str, consumer: Consumer) -> None:
        runtime.publish([self.message(queue)])
        consumer.ack(self.receive(consumer))
        consumer.close()
        other = runtime.consumer([queue], prefetch=1)
        self.nothing_comes(other)
        other.close()

    @needs("messages")
    def test_release_gives_back(self, runtime: Runtime, queue: str, consumer: Consumer) -> None:
        message = self.message(queue)
        runtime.publish([message])
        consumer.release(self.receive(consumer))
        (again,) = self.receive(consumer)
        assert decode(again.body)[0] == message.run_id

    @needs("messages")
    def test_closing_hands_unsettled_messages_back(
        self, runtime: Runtime, queue: str, consumer: Consumer
    ) -> None:
        settled, unsettled = self.message(queue), self.message(queue)
        runtime.publish([settled, unsettled])
        for receipt in self.receive(consumer, 2):
            if decode(receipt.body)[0] == settled.run_id:
                consumer.ack([receipt])
        consumer.close()
        other = runtime.consumer([queue], prefetch=10)
        (receipt,) = self.receive(other)
        assert decode(receipt.body)[0] == unsettled.run_id
        other.close()

    @needs("messages")
    def test_a_queue_that_is_not_consumed_is_left_alone(
        self, runtime: Runtime, queue: str, consumer: Consumer
    ) -> None:
        runtime.declare([f"{queue}.other"])
        runtime.publish([self.message(f"{queue}.other")])
        self.nothing_comes(consumer)

    @needs("messages")
    def test_names_in_any_script_arrive_as_they_are(
        self, runtime: Runtime, queue: str, consumer: Consumer
    ) -> None:
        name = "konformität.✓ \N{PILE OF POO} \u202e \"'\\"
        runtime.publish([self.message(queue, task_id=name)])
        (receipt,) = self.receive(consumer)
        assert decode(receipt.body)
        assert name.encode() in receipt.body or ascii(name)[1:8].encode() in receipt.body

    @needs("messages")
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

    @needs("messages")
    def test_a_message_at_the_broker_is_not_missing(
        self, runtime: Runtime, queue: str, consumer: Consumer
    ) -> None:
        """`missing` may always say True; it must never say False of what is gone."""
        message = self.message(queue)
        (answer,) = runtime.publish([message])
        assert len(runtime.missing([message], [answer.ref])) == 1
        consumer.ack(self.receive(consumer))
        assert list(runtime.missing([message], [answer.ref])) == [True]

    @needs("messages")
    def test_a_message_for_a_run_that_does_not_exist_is_dropped(self, runtime: Runtime, queue: str) -> None:
        with self.worker(queue) as worker:
            runtime.publish([self.message(queue)])
            self.eventually(lambda: any(intake.claims for intake in worker.intakes))
            self.eventually(lambda: runtime.inspect(queue).unacked in {0, None})
        assert not Run.objects.exists()

    # --- capabilities ----------------------------------------------------------------------------------------

    @needs("messages", "priorities")
    def test_higher_priority_comes_first(self, runtime: Runtime, queue: str, consumer: Consumer) -> None:
        messages = [self.message(queue, priority=priority) for priority in (-100, 0, 100)]
        runtime.publish(messages)
        received = [decode(self.receive(consumer)[0].body)[0] for _ in messages]
        assert received == [message.run_id for message in reversed(messages)]

    @needs("messages", "depth")
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

    def test_what_inspect_cannot_tell_is_none(self, runtime: Runtime, queue: str) -> None:
        stats = runtime.inspect(queue)
        assert (stats.depth is not None) == runtime.capabilities.depth
        assert (stats.unacked is not None) == runtime.capabilities.unacked

    def test_a_priority_is_kept_or_refused(self, runtime: Runtime, queue: str, declare: object) -> None:
        @declare(priority=5, id=f"conformance.{uuid4().hex}")  # type: ignore[operator]  # the fixture
        def important() -> None: ...

        found = {problem.id for problem in task_problems(important)}
        if runtime.capabilities.priorities:
            assert not found
            assert important.trigger().row.priority == 5
        else:
            assert found == {"openqueue.E034"}
            with pytest.raises(UnsupportedCapability):
                important.trigger()
            assert not Run.objects.exists()
