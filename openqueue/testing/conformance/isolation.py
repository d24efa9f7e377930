"""Bodies in processes of their own, and coroutines without end: the same on every runtime."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import pytest

from openqueue import registry
from openqueue.flow import chain, enqueue_flow
from openqueue.models import RunEvent, RunLog
from openqueue.runtimes.base import Runtime
from openqueue.testing import conformance_tasks
from openqueue.testing.conformance.suite import Declare, Suite


class Isolation(Suite):
    """Timeouts that end what does not end itself, and children that die."""

    @pytest.fixture(autouse=True)
    def _known(self) -> Iterator[None]:
        """Have the tasks of the cases known, whatever another test made of the registry."""
        names = ("isolated", "deaf", "fatal", "stepped")
        tasks = [getattr(conformance_tasks, name) for name in names]
        for one in tasks:
            registry.add(one, given_id=one.given_id)
        yield
        for one in tasks:
            registry.remove(one)

    def test_an_isolated_body_runs_in_another_process(self, runtime: Runtime, queue: str) -> None:
        run = conformance_tasks.isolated.using(queue=queue).trigger()
        with self.worker(queue, slots=1):
            row = self.finish(run)
        assert row.result != os.getpid()
        assert list(RunLog.objects.filter(run_id=run.id).values_list("text", flat=True)) == ["from a child"]

    def test_an_isolated_body_has_steps_and_sees_its_flow(
        self, runtime: Runtime, queue: str, declare: Declare
    ) -> None:
        @declare
        def first() -> int:
            return 7

        bound = conformance_tasks.stepped.using(queue=queue).bind()
        flow = enqueue_flow(chain(first.bind(), bound))
        with self.worker(queue, slots=1):
            row = self.finish(flow.nodes["stepped"])
        assert row.result[2] == 7
        assert [event.data["result"] for event in RunEvent.objects.filter(kind="step")] == [row.result[0]]
        assert row.attempt == 2

    def test_an_isolated_body_is_killed_when_its_time_is_over(self, runtime: Runtime, queue: str) -> None:
        run = conformance_tasks.deaf.using(queue=queue, timeout=0.1).trigger()
        with self.worker(queue, slots=1):
            row = self.finish(run, status="failed")
        assert (row.reason, row.error["type"]) == ("timed_out", "openqueue.errors.TaskTimeout")

    def test_an_attempt_whose_process_ended_is_made_up_for(self, runtime: Runtime, queue: str) -> None:
        run = conformance_tasks.fatal.using(queue=queue).trigger()
        with self.worker(queue, slots=1):
            row = self.finish(run)
        assert (row.result, row.attempt, row.crash_count) == (2, 2, 1)
        assert self.story(run) == ["triggered", "started", "worker_lost", "started", "completed"]

    def test_a_coroutine_ends_at_its_timeout(self, runtime: Runtime, queue: str, declare: Declare) -> None:
        @declare(max_attempts=1, timeout=0.05)
        async def endless() -> None:
            await asyncio.sleep(3600)

        run = endless.trigger()
        with self.worker(queue):
            assert self.finish(run, status="failed").reason == "timed_out"
