"""Limits of the whole fleet are the same on every runtime: at most so many at once, so often, and in order."""

from __future__ import annotations

import threading
import time
from collections import Counter
from datetime import timedelta
from typing import Any

from openqueue import retry
from openqueue.models import Outbox, Permit
from openqueue.runtimes.base import Runtime
from openqueue.testing.conformance.suite import Declare, Suite


class Crowd:
    """Counts the bodies that are inside at the same time, by key."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.inside: Counter[Any] = Counter()
        self.most: Counter[Any] = Counter()
        self.begun: list[Any] = []

    def visit(self, key: Any, number: Any = None, *, seconds: float = 0.02) -> None:
        """Be inside for a moment."""
        with self.lock:
            self.begun.append(number)
            self.inside[key] += 1
            self.most[key] = max(self.most[key], self.inside[key])
        time.sleep(seconds)
        with self.lock:
            self.inside[key] -= 1


class Limits(Suite):
    """Two real workers on the runtime, with more slots than the limits allow."""

    def test_no_more_bodies_at_once_than_the_fleet_may_run(
        self, runtime: Runtime, queue: str, declare: Declare
    ) -> None:
        crowd = Crowd()

        @declare(max_concurrency=2)
        def tight() -> None:
            crowd.visit("tight")

        runs = tight.trigger_many([{}] * 12)
        with self.worker(queue), self.worker(queue):
            for run in runs:
                self.finish(run)
        assert crowd.most["tight"] == 2

    def test_a_key_is_made_of_the_arguments_and_counts_by_itself(
        self, runtime: Runtime, queue: str, declare: Declare
    ) -> None:
        crowd = Crowd()

        @declare(concurrency_key="customer:{customer}")
        def sync(customer: int) -> None:
            crowd.visit(customer, seconds=0.1)
            crowd.visit("any", seconds=0.0)

        runs = sync.trigger_many([{"customer": n % 3} for n in range(9)])
        assert runs[1].row.concurrency_key == "customer:1"
        with self.worker(queue), self.worker(queue):
            for run in runs:
                self.finish(run)
        assert {crowd.most[n] for n in range(3)} == {1}

    def test_runs_of_an_ordering_key_begin_one_after_the_other_in_due_order(
        self, runtime: Runtime, queue: str, declare: Declare
    ) -> None:
        crowd = Crowd()

        @declare(ordering_key="account:{account}")
        def book(account: int, number: int) -> None:
            crowd.visit(account, (account, number))

        runs = book.trigger_many([{"account": n % 2, "number": n} for n in range(16)])
        with self.worker(queue), self.worker(queue):
            for run in runs:
                self.finish(run)
        for account in (0, 1):
            assert [n for a, n in crowd.begun if a == account] == list(range(account, 16, 2))
            assert crowd.most[account] == 1

    def test_the_later_ones_of_an_ordering_key_wait_until_the_first_has_ended(
        self, runtime: Runtime, queue: str, declare: Declare
    ) -> None:
        begun = []

        @declare(ordering_key="account:7", max_attempts=2, backoff=retry.fixed(0.3))
        def book(number: int) -> None:
            begun.append(number)
            if number < 2:
                raise ValueError(number)

        runs = book.trigger_many([{"number": n} for n in range(3)])
        with self.worker(queue):
            self.finish(runs[2])
        assert begun == [0, 0, 1, 1, 2]
        assert [run.refresh().status for run in runs] == ["failed", "failed", "completed"]

    def test_no_more_starts_in_any_window_than_the_rate_allows(
        self, runtime: Runtime, queue: str, declare: Declare
    ) -> None:
        @declare(rate_limit="4/s")
        def send() -> None: ...

        runs = send.trigger_many([{}] * 10)
        with self.worker(queue), self.worker(queue):
            for run in runs:
                self.finish(run)
        starts = sorted(run.row.started_at for run in runs)
        window = timedelta(seconds=1 / 1.1)
        assert all(later - sooner > window for sooner, later in zip(starts, starts[4:], strict=False)), starts

    def test_who_waits_for_a_permit_holds_up_nobody_else(
        self, runtime: Runtime, queue: str, declare: Declare
    ) -> None:
        hold = threading.Event()

        @declare(max_concurrency=1)
        def tight() -> None:
            hold.wait(self.soon)

        @declare
        def other() -> None: ...

        waiting = tight.trigger_many([{}] * 5)
        with self.worker(queue):
            self.eventually(lambda: waiting[0].refresh().status == "running")
            self.finish(other.trigger())
            assert Outbox.objects.filter(waits_for=f"task:{tight.id}").count() == 4
            assert Permit.objects.count() == 1
            hold.set()
            for run in waiting:
                self.finish(run)
