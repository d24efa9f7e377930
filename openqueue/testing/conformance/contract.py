"""The cases of the contract that every runtime keeps, whether it carries messages or only wakes."""

from __future__ import annotations

import threading
import time

import pytest
from django.db import connections

from openqueue.checks import task_problems
from openqueue.errors import UnsupportedCapability
from openqueue.models import Run
from openqueue.runtimes.base import Consumer, Runtime
from openqueue.testing.conformance.suite import Declare, Suite, needs
from openqueue.types import Due


class Contract(Suite):
    """What the core relies on."""

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
            try:
                consumer.receive(limit=1, timeout=5 * self.soon)
            finally:
                connections.close_all()

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
        # Where the outbox is the queue there is no row to wait for: only which queues it would claim from counts.
        received = consumer.receive(limit=9, timeout=self.soon if runtime.carries_messages else 0)
        assert list(received.queues if isinstance(received, Due) else received)

    def test_what_inspect_cannot_tell_is_none(self, runtime: Runtime, queue: str) -> None:
        stats = runtime.inspect(queue)
        assert (stats.depth is not None) == runtime.capabilities.depth
        assert (stats.unacked is not None) == runtime.capabilities.unacked
        assert (stats.lag is not None) == runtime.capabilities.lag

    def test_a_priority_is_kept_or_refused(self, runtime: Runtime, queue: str, declare: Declare) -> None:
        @declare(priority=5)
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
