"""The core behaviour: what a project sees is the same on every runtime."""

from __future__ import annotations

import threading
import time
from importlib import import_module
from typing import Any

import pytest
from django.db import transaction

from openqueue import retry, signals
from openqueue.context import TaskContext
from openqueue.control import overview
from openqueue.errors import PayloadInvalid
from openqueue.models import Outbox, QueueState, Run, RunEvent, RunLog
from openqueue.runtimes.base import Runtime
from openqueue.store import store
from openqueue.telemetry import otel
from openqueue.testing.conformance.suite import Declare, Suite

AT_ONCE = retry.fixed(0)


class Behaviour(Suite):
    """Real workers on the runtime."""

    def test_what_is_triggered_is_executed(self, runtime: Runtime, queue: str, declare: Declare) -> None:
        @declare
        def greet(name: str, times: int = 1) -> list[str]:
            return [f"hello {name}"] * times

        run = greet.trigger("Zoë \N{PILE OF POO}", times=2)
        with self.worker(queue):
            row = self.finish(run)
        assert row.result == ["hello Zoë \N{PILE OF POO}"] * 2
        assert (row.attempt, row.runtime, row.queue) == (1, "default", queue)
        assert row.created_at <= row.started_at <= row.finished_at

    def test_a_worker_that_waits_is_woken_by_a_commit(
        self, runtime: Runtime, queue: str, declare: Declare
    ) -> None:
        @declare
        def nothing() -> None: ...

        with self.worker(queue) as worker:
            self.eventually(lambda: worker.ledger.sure)
            with transaction.atomic():
                run = nothing.trigger()
            self.finish(run)

    def test_async_bodies_run(self, runtime: Runtime, queue: str, declare: Declare) -> None:
        @declare
        async def double(n: int) -> int:
            return 2 * n

        run = double.trigger(21)
        with self.worker(queue):
            assert self.finish(run).result == 42

    def test_a_payload_is_refused_before_anything_is_published(
        self, runtime: Runtime, queue: str, declare: Declare
    ) -> None:
        @declare
        def greet(name: str) -> None: ...

        with pytest.raises(PayloadInvalid):
            greet.trigger(name=object())
        assert not Run.objects.exists()
        assert not runtime.inspect(queue).depth

    def test_a_rolled_back_trigger_is_never_executed(
        self, runtime: Runtime, queue: str, declare: Declare
    ) -> None:
        bodies = []

        @declare
        def note(n: int) -> None:
            bodies.append(n)

        with transaction.atomic():
            note.trigger(1)
            transaction.set_rollback(True)
        run = note.trigger(2)
        with self.worker(queue):
            self.finish(run)
        assert bodies == [2]

    def test_the_trace_goes_on_in_the_body(self, runtime: Runtime, queue: str, declare: Declare) -> None:
        if not otel.AVAILABLE:
            pytest.skip("opentelemetry-api is not installed")  # optional: without it there is no trace
        trace = import_module("opentelemetry.trace")  # optional, and of another room

        @declare
        def traced() -> str:
            return f"{trace.get_current_span().get_span_context().trace_id:032x}"

        mine = trace.SpanContext(int("0af7651916cd43dd8448eb211c80319c", 16), 7, False, trace.TraceFlags(1))
        with trace.use_span(trace.NonRecordingSpan(mine)):
            run = traced.trigger()
        with self.worker(queue):
            row = self.finish(run)
        assert row.traceparent.split("-")[1] == row.result == "0af7651916cd43dd8448eb211c80319c"

    def test_the_life_of_a_run_is_told(self, runtime: Runtime, queue: str, declare: Declare) -> None:
        heard, hooked = [], []

        @declare(on_start=lambda ctx: hooked.append("start"), on_success=lambda ctx, got: hooked.append(got))
        def succeed(ctx: TaskContext) -> int:
            ctx.logger.info("half of %s", "it")
            ctx.progress(50, "half")
            return 7

        def hear(sender: Any, status: str, **facts: Any) -> None:
            heard.append(
                (sender.id, status, RunEvent.objects.filter(run_id=facts["run_id"], kind=status).count())
            )

        signals.run_settled.connect(hear)
        try:
            run = succeed.trigger()
            with self.worker(queue):
                self.finish(run)
                self.eventually(lambda: len(hooked) == 2 and heard)
        finally:
            signals.run_settled.disconnect(hear)
        assert self.story(run) == ["triggered", "started", "completed"]
        assert heard == [(succeed.id, "completed", 1)], "told after the commit"
        assert hooked == ["start", 7]
        assert RunEvent.objects.get(run_id=run.id, kind="progress").data == {"percent": 50, "message": "half"}
        assert RunLog.objects.get(run_id=run.id).text == "half of it"

    def test_a_delayed_run_is_executed_when_it_is_due_and_not_before(
        self, runtime: Runtime, queue: str, declare: Declare
    ) -> None:
        @declare
        def nothing() -> None: ...

        far, near = nothing.using(delay=3600).trigger(), nothing.using(delay=0.3).trigger()
        with self.worker(queue):
            row = self.finish(near)
            assert far.refresh().status == "scheduled"
        assert row.started_at >= row.scheduled_for

    def test_no_more_bodies_run_at_a_time_than_configured(
        self, runtime: Runtime, queue: str, declare: Declare
    ) -> None:
        lock = threading.Lock()
        most = {"one": 0, "all": 0}
        now = {"one": 0, "all": 0}

        def count(*names: str) -> None:
            with lock:
                for name in names:
                    now[name] += 1
                    most[name] = max(most[name], now[name])
            time.sleep(0.02)
            with lock:
                for name in names:
                    now[name] -= 1

        @declare(concurrency=1)
        def one() -> None:
            count("one", "all")

        @declare
        def free() -> None:
            count("all")

        runs = [task.trigger() for _ in range(3) for task in (one, free)]
        with self.worker(queue, slots=3):
            for run in runs:
                self.finish(run)
        assert most["one"] == 1
        assert 1 < most["all"] <= 3

    def test_a_graceful_stop_lets_bodies_end(self, runtime: Runtime, queue: str, declare: Declare) -> None:
        begun, go_on = threading.Event(), threading.Event()

        @declare
        def hold() -> str:
            begun.set()
            go_on.wait(self.soon)
            return "to the end"

        run = hold.trigger()
        with self.worker(queue) as worker:
            assert begun.wait(self.soon)
            worker.stop()
            self.eventually(lambda: all(intake.closed.is_set() for intake in worker.intakes))
            later = hold.trigger()
            go_on.set()
        row = run.refresh().row
        assert (row.status, row.result, row.attempt) == ("completed", "to the end", 1)
        assert later.refresh().status == "queued", "nothing is claimed after the stop"

    def test_a_stop_beyond_the_grace_gives_the_run_back(
        self, runtime: Runtime, queue: str, declare: Declare
    ) -> None:
        begun, go_on = threading.Event(), threading.Event()

        @declare
        def hold() -> str:
            begun.set()
            go_on.wait(self.soon)
            return "again"

        run = hold.trigger()
        with self.worker(queue) as worker:
            assert begun.wait(self.soon)
            worker.stop()
            worker.stop()
            self.eventually(lambda: run.refresh().status == "queued")
            go_on.set()
        assert run.row.attempt == 0, "the attempt is refunded"
        with self.worker(queue):
            assert self.finish(run).attempt == 1
        assert self.story(run) == ["triggered", "started", "released", "started", "completed"]

    def test_a_waiting_run_is_cancelled_for_good(
        self, runtime: Runtime, queue: str, declare: Declare
    ) -> None:
        bodies = []

        @declare
        def note(n: int) -> None:
            bodies.append(n)

        first, second = note.trigger(1), note.trigger(2)
        assert first.cancel(actor="anna") == "cancelled"
        with self.worker(queue):
            self.finish(second)
        assert bodies == [2]
        assert first.refresh().status == "cancelled"

    def test_a_running_body_hears_of_its_cancel(self, runtime: Runtime, queue: str, declare: Declare) -> None:
        begun = threading.Event()

        @declare
        def hold(ctx: TaskContext) -> None:
            begun.set()
            while True:
                ctx.raise_if_cancelled()
                time.sleep(0.01)

        run = hold.trigger()
        with self.worker(queue):
            assert begun.wait(self.soon)
            assert run.cancel(actor="anna") == "requested"
            row = self.finish(run, status="cancelled")
        assert row.reason == "by_user"

    def test_a_paused_queue_waits(self, runtime: Runtime, queue: str, declare: Declare) -> None:
        @declare
        def nothing() -> None: ...

        QueueState.objects.create(name=queue, paused=True)
        run = nothing.trigger()
        with self.worker(queue) as worker:
            self.eventually(lambda: worker.ledger.sure)
            self.eventually(lambda: worker.loops["watch"].is_alive())
            assert run.refresh().status == "queued"
            QueueState.objects.update(paused=False)
            Outbox.objects.filter(pk=run.id).update(announce_at=self.clock())
            self.finish(run)

    def test_the_state_of_queue_and_run_can_be_read(
        self, runtime: Runtime, queue: str, declare: Declare
    ) -> None:
        @declare
        def nothing() -> None: ...

        nothing.using(delay=3600).trigger()
        run = nothing.trigger()
        facts = {fact.name: fact for fact in self.queues()}
        assert (facts[queue].due, facts[queue].later, facts[queue].runtime) == (1, 1, "default")
        with self.worker(queue):
            self.finish(run)
        facts = {fact.name: fact for fact in self.queues()}
        assert (facts[queue].due, facts[queue].later) == (0, 1)
        assert run.refresh().row.is_final

    @staticmethod
    def clock() -> Any:
        """Return the database's clock."""
        return store().clock(None)

    @staticmethod
    def queues() -> Any:
        """Return what operators see of the queues."""
        return overview.read().queues
