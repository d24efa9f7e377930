"""The cases of carrying messages: what was published arrives, and nothing is lost on the way."""

from __future__ import annotations

import hashlib
import time
from uuid import UUID

import pytest

from openqueue.models import DeadLetter, Run, RunEvent
from openqueue.processes.worker.intake import Intake
from openqueue.processes.worker.ledger import Ledger
from openqueue.runtimes.base import Consumer, PoisonMessage, Receipt, Rereads, Runtime, decode
from openqueue.testing.conformance.suite import Declare, Suite, needs
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

    def test_with_no_open_queue_a_receive_waits(
        self, runtime: Runtime, queue: str, consumer: Consumer
    ) -> None:
        """Else a worker whose queues are all paused, or whose queues are all elsewhere, takes a whole core."""
        runtime.publish([self.message(queue)])
        consumer.pause([queue])
        none = runtime.consumer([], prefetch=1)
        for one in (consumer, none):
            began = time.monotonic()
            self.nothing_comes(one, within=0.3)
            assert time.monotonic() - began > 0.2
        none.close()
        consumer.resume([queue])
        self.receive(consumer)

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

    @needs("ahead")
    def test_a_message_that_is_due_soon_comes_when_it_is_due(
        self, runtime: Runtime, queue: str, consumer: Consumer
    ) -> None:
        due = time.monotonic() + min(0.5, runtime.capabilities.ahead)
        later, now = self.message(queue)._replace(due=due), self.message(queue)
        answers = runtime.publish([later, now])
        assert [answer.error for answer in answers] == [None, None]
        first, second = self.receive(consumer), self.receive(consumer)
        assert time.monotonic() >= due
        assert [decode(r.body)[0] for r in (*first, *second)] == [now.run_id, later.run_id]
        consumer.ack([*first, *second])
        self.nothing_comes(consumer)

    @needs("queue_order")
    def test_queues_give_in_the_order_that_is_asked_for(self, runtime: Runtime, queue: str) -> None:
        first, second = queue, f"{queue}-second"
        runtime.declare([first, second])
        consumer = runtime.consumer([second, first], prefetch=10)
        try:
            for name in (second, first):
                runtime.publish([self.message(name, priority=100 * (name == second)) for _ in range(3)])
            received: list[Receipt] = []
            for _ in range(3):
                some = consumer.receive(limit=2, timeout=self.soon, order=[first, second])
                assert not isinstance(some, Due)
                received += some
            assert [receipt.queue for receipt in received] == [first] * 3 + [second] * 3
            consumer.ack(received)
        finally:
            consumer.close()

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

    @needs("replay")
    def test_what_was_received_can_be_read_again_and_consumers_notice_nothing(
        self, runtime: Runtime, queue: str, consumer: Consumer
    ) -> None:
        assert isinstance(runtime, Rereads)
        messages = [self.message(queue) for _ in range(5)]
        runtime.publish(messages)
        consumer.ack(self.receive(consumer, 5))
        read = []
        for partition, (offset, until) in runtime.stretch(queue).items():
            while kept := runtime.reread(queue, partition=partition, offset=offset, until=until, limit=2):
                read += [decode(one.body)[0] for one in kept]
                offset = kept[-1].offset + 1
        assert sorted(read) == sorted(message.run_id for message in messages)
        self.nothing_comes(consumer)

    @needs("sets_aside")
    def test_what_is_set_aside_comes_to_whoever_has_room(
        self, runtime: Runtime, queue: str, consumer: Consumer
    ) -> None:
        held, free = self.message(queue, task_id="limited"), self.message(queue, task_id="other")
        runtime.publish([held, free])
        receipts = self.receive(consumer, 2)
        consumer.set_aside([r for r in receipts if decode(r.body)[0] == held.run_id], task="limited")
        consumer.ack([r for r in receipts if decode(r.body)[0] == free.run_id])
        consumer.let_in({"limited": 0})
        self.nothing_comes(consumer)
        other = runtime.consumer([queue], prefetch=1)
        other.let_in({"limited": 1})
        assert decode(self.receive(other)[0].body)[0] == held.run_id
        other.close()

    @needs("sets_aside")
    def test_what_is_set_aside_is_still_there(self, runtime: Runtime, queue: str, consumer: Consumer) -> None:
        """It is not missing, is not added again, counts, and comes to a consumer that knows no limit."""
        message = self.message(queue, task_id="limited")
        (answer,) = runtime.publish([message])
        consumer.set_aside(self.receive(consumer), task="limited")
        assert list(runtime.missing([message], [answer.ref])) == [False]
        runtime.publish([message])
        assert runtime.inspect(queue).depth in {1, None}
        (receipt,) = self.receive(consumer)
        consumer.ack([receipt])
        self.nothing_comes(consumer)

    @needs("sets_aside")
    def test_room_wakes_whoever_waits_for_what_is_set_aside(
        self, runtime: Runtime, queue: str, consumer: Consumer, declare: Declare
    ) -> None:
        """Twenty runs of a task that runs one at a time take no pause in between, and stop nobody else."""

        @declare(concurrency=1)
        def limited() -> None:
            time.sleep(0.01)

        @declare
        def other() -> None: ...

        runs = limited.trigger_many([{}] * 20)
        last = other.trigger()
        with self.worker(queue) as worker:
            self.eventually(lambda: worker.ledger.sure)
            began = time.monotonic()
            self.finish(last)
            for run in runs:
                self.finish(run)
        assert time.monotonic() - began < 5
        ends = RunEvent.objects.filter(kind="completed").order_by("at").values_list("run_id", flat=True)
        assert list(ends)[-1] != last.id, "the limited task held up another"
