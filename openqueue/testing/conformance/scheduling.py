"""Schedules live in the database: their runs reach bodies in the same way on every runtime."""

from __future__ import annotations

import threading
from typing import Any

from openqueue.models import Run, ScheduleTick
from openqueue.runtimes.base import Runtime
from openqueue.testing.conformance.suite import Declare, Suite, needs


class Scheduling(Suite):
    """Real workers, whose sweeps make the runs."""

    @needs("schedules")
    def test_each_tick_of_a_schedule_reaches_a_body(
        self, runtime: Runtime, queue: str, declare: Declare
    ) -> None:
        @declare
        def greet(ctx: Any, name: str) -> str:
            return f"hello {name}, it is {ctx.meta['tick']}"

        schedule = greet.schedules.create(every=1, key="greeting", payload={"name": "Zoë"})
        runs = Run.objects.filter(schedule_id=schedule.row.pk).order_by("scheduled_for")
        with self.worker(queue):
            self.eventually(lambda: runs.filter(status="completed").count() >= 2)
            schedule.pause()
            self.eventually(lambda: not runs.filter(outcome__isnull=True).exists())
        first, second = runs[:2]
        assert (second.scheduled_for - first.scheduled_for).total_seconds() == 1
        assert first.result == f"hello Zoë, it is {first.scheduled_for.isoformat()}"
        assert (first.queue, first.runtime, first.attempt) == (queue, "default", 1)
        ticks = ScheduleTick.objects.filter(schedule=schedule.row).order_by("tick")
        assert [tick.run_id for tick in ticks] == [run.pk for run in runs]

    @needs("schedules")
    def test_what_code_declares_runs_by_itself(self, runtime: Runtime, queue: str, declare: Declare) -> None:
        @declare(every=1)
        def often() -> str:
            return "by itself"

        with self.worker(queue):
            self.eventually(Run.objects.filter(task_id=often.id, status="completed").exists)
            assert Run.objects.filter(task_id=often.id)[0].payload == {}
            often.schedules.get("").pause()

    @needs("schedules")
    def test_a_tick_that_is_to_queue_runs_when_the_one_before_it_has_ended(
        self, runtime: Runtime, queue: str, declare: Declare
    ) -> None:
        begun, go_on = threading.Event(), threading.Event()

        @declare
        def hold() -> None:
            begun.set()
            go_on.wait(self.soon)

        schedule = hold.schedules.create(every=1, key="one", overlap="queue")
        with self.worker(queue):
            assert begun.wait(self.soon)
            ticks = ScheduleTick.objects.filter(schedule=schedule.row)
            self.eventually(lambda: ticks.filter(outcome="overlapped").exists())
            assert Run.objects.filter(schedule_id=schedule.row.pk).count() == 1
            waiting = ticks.get(outcome="waiting")
            go_on.set()
            self.eventually(lambda: ticks.filter(pk=waiting.pk, outcome="run").exists())
            schedule.pause()
        run_id = ticks.get(pk=waiting.pk).run_id
        assert run_id is not None
        assert Run.objects.get(pk=run_id).scheduled_for == waiting.tick

    @needs("schedules")
    def test_a_run_by_hand_reaches_a_body(self, runtime: Runtime, queue: str, declare: Declare) -> None:
        @declare
        def greet(name: str) -> str:
            return f"hello {name}"

        schedule = greet.schedules.create(cron="0 0 1 1 *", key="yearly", payload={"name": "Ada"})
        run = schedule.trigger_now()
        with self.worker(queue):
            assert self.finish(run).result == "hello Ada"
