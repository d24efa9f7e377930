"""What operators decide about queues and workers holds within a second, on every runtime."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any, Final

import pytest

from openqueue.control import queue_acts, queue_doors, worker_acts, workers
from openqueue.control.actor import Actor
from openqueue.errors import QueueClosed
from openqueue.models import Run, RunEvent
from openqueue.processes.worker.worker import Worker
from openqueue.runtimes.base import Runtime
from openqueue.store import store
from openqueue.testing.conformance.suite import Declare, Suite, needs

ANNA: Final = Actor(name="anna")
MOST: Final = timedelta(seconds=1)
"""After the commit of a pause nothing begins that much later."""


class Operating(Suite):
    """Real workers, told through the database."""

    def looks(self, worker: Worker, times: int = 2) -> None:
        """Wait until a worker has looked so many times at what operators want, and at what is due."""
        loops = [loop for name, loop in worker.loops.items() if name == "watch" or name.startswith("intake-")]
        until = [loop.turns + times for loop in loops]
        self.eventually(lambda: all(loop.turns >= turns for loop, turns in zip(loops, until, strict=True)))

    @needs("pause_resume")
    def test_after_a_pause_nothing_begins_until_the_queue_is_resumed_by_whichever_worker(
        self, runtime: Runtime, queue: str, declare: Declare
    ) -> None:
        @declare
        def nothing() -> None: ...

        with self.worker(queue) as worker:
            self.finish(nothing.trigger())
            queue_acts.pause([queue], actor=ANNA, reason="provider is down")
            paused_at = store().clock(None)
            runs = [nothing.trigger() for _ in range(5)]
            self.looks(worker)
        with self.worker(queue) as successor:  # the pause outlives the worker
            self.eventually(lambda: successor.ledger.sure)
            self.looks(successor)
            started = RunEvent.objects.filter(kind="started", run_id__in=[run.id for run in runs])
            assert all(at <= paused_at + MOST for at in started.values_list("at", flat=True))
            held = [run for run in runs if not run.refresh().row.is_final]
            assert held, "all began though the queue was paused"
            queue_acts.resume([queue], actor=ANNA)
            for run in runs:
                self.finish(run)

    @needs("pause_resume")
    @pytest.mark.parametrize("behaviour", queue_doors.BEHAVIOURS)
    def test_a_disabled_queue_starts_nothing_and_what_comes_waits_is_refused_or_never_runs(
        self, runtime: Runtime, queue: str, declare: Declare, behaviour: str
    ) -> None:
        @declare
        def nothing() -> None: ...

        queue_doors.disable([queue], behaviour=behaviour, actor=ANNA)
        run = None
        with self.worker(queue) as worker:
            self.eventually(lambda: worker.ledger.sure)
            if behaviour == queue_doors.REJECT:
                with pytest.raises(QueueClosed, match="anna"):
                    nothing.trigger()
            else:
                run = nothing.trigger()
                self.looks(worker)
                assert run.refresh().status == ("queued" if behaviour == queue_doors.HOLD else "cancelled")
            queue_doors.enable([queue], actor=ANNA)
            self.finish(nothing.trigger())
            if run is not None:
                self.finish(run, status="completed" if behaviour == queue_doors.HOLD else "cancelled")
        assert Run.objects.count() == (1 if run is None else 2)

    @needs("pause_resume")
    def test_a_draining_queue_works_off_what_is_there_and_takes_in_nothing(
        self, runtime: Runtime, queue: str, declare: Declare
    ) -> None:
        @declare
        def nothing() -> None: ...

        runs = [nothing.trigger() for _ in range(3)]
        queue_doors.drain([queue], actor=ANNA)
        with pytest.raises(QueueClosed):
            nothing.trigger()
        with self.worker(queue):
            for run in runs:
                self.finish(run)
        assert queue_acts.left(queue).nothing

    def test_a_quiet_worker_claims_nothing_ends_its_bodies_and_goes_on_when_told(
        self, runtime: Runtime, queue: str, declare: Declare
    ) -> None:
        begun, go_on = threading.Event(), threading.Event()

        @declare
        def hold() -> None:
            begun.set()
            go_on.wait(self.soon)

        first = hold.trigger()
        with self.worker(queue) as worker:
            assert begun.wait(self.soon)
            assert list(worker_acts.quiet([worker.ledger.worker_id], actor=ANNA).values()) == ["asked"]
            self.eventually(lambda: self.state(worker) == workers.QUIET)
            second = hold.trigger()
            self.looks(worker)
            go_on.set()
            self.finish(first)
            self.looks(worker)
            assert second.refresh().status == "queued"
            worker_acts.resume([worker.ledger.worker_id], actor=ANNA)
            self.finish(second)
            assert self.state(worker) == workers.RUNNING

    def test_a_worker_that_is_told_to_stop_gives_its_bodies_their_grace_and_signs_off(
        self, runtime: Runtime, queue: str, declare: Declare
    ) -> None:
        begun, go_on = threading.Event(), threading.Event()

        @declare
        def hold() -> None:
            begun.set()
            go_on.wait(self.soon)

        run = hold.trigger()
        with self.worker(queue) as worker:
            assert begun.wait(self.soon)
            told = worker.ledger.worker_id
            worker_acts.stop([told], actor=ANNA)
            self.eventually(lambda: worker.ledger.stopping)
            waiting = hold.trigger()
            go_on.set()
            self.finish(run)
            self.eventually(lambda: worker_acts.stop([told], actor=ANNA)[told] == worker_acts.GONE)
            assert Run.objects.get(pk=waiting.id).status == "queued"

    @staticmethod
    def state(worker: Worker) -> Any:
        """Return how a worker stands, as operators see it."""
        return next((w.state for w in workers.listing() if w.id == worker.ledger.worker_id), None)
