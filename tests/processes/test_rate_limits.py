"""A rate of the whole fleet, by the database's clock, however many workers there are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest

from openqueue import runtimes
from openqueue.models import Run
from openqueue.runtimes.base import Runtime
from openqueue.testing.conformance.suite import Declare, Suite

WORKERS, RATE, RUNS = 8, 10, 45


class TestRate(Suite):
    soon = 60.0

    @pytest.fixture
    def runtime(self, settings: Any) -> Iterator[Runtime]:
        settings.OPENQUEUE = {"LEASE": 30, "HEARTBEAT": 1}
        yield runtimes.get("default")
        runtimes.close_all()

    def test_eight_workers_start_no_more_than_the_rate_in_any_second(self, queue: str, declare: Declare):
        @declare(rate_limit=f"{RATE}/s")
        def send() -> None: ...

        runs = send.trigger_many([{}] * RUNS)
        with ExitStack() as workers:
            for _ in range(WORKERS):
                workers.enter_context(self.worker(queue, slots=2))
            for run in runs:
                self.finish(run)
        starts = list(Run.objects.order_by("started_at").values_list("started_at", flat=True))
        assert len(starts) == RUNS
        second = timedelta(seconds=1)
        busiest = max(sum(begun <= at < begun + second for at in starts) for begun in starts)
        assert busiest <= RATE * 1.1
        took = starts[-1] - starts[0]
        assert took < timedelta(seconds=3 * RUNS / RATE), f"the rate is not used: {took}"
