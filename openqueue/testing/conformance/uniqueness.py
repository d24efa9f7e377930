"""Keys, debounce, waiting for results and completing in a transaction: the same on every runtime."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import connections, transaction

from openqueue import retry
from openqueue.context import TaskContext
from openqueue.models import DedupeKey, Run
from openqueue.runtimes.base import Runtime
from openqueue.testing.conformance.suite import Declare, Suite


class Uniqueness(Suite):
    """Real workers, and triggers from several threads."""

    def test_of_many_triggers_with_one_key_one_is_executed(
        self, runtime: Runtime, queue: str, declare: Declare
    ) -> None:
        bodies = []

        @declare
        def once(n: int) -> int:
            bodies.append(n)
            return n

        start = threading.Barrier(10)

        def trigger(n: int) -> Any:
            try:
                start.wait()
                return once.using(dedupe_key="k").trigger(n)
            finally:
                connections.close_all()

        with ThreadPoolExecutor(10) as pool:
            runs = list(pool.map(trigger, range(10)))
        (first,) = [run for run in runs if run.created]
        assert {run.id for run in runs} == {first.id}
        with self.worker(queue):
            assert bodies == [] or bodies == [self.finish(first).result]
            assert [run.wait(self.soon) for run in runs] == [self.finish(first).result] * 10
            again = once.using(dedupe_key="k").trigger(11)
            assert again.wait(self.soon) == 11
        assert len(bodies) == 2
        assert not DedupeKey.objects.exists()

    def test_a_key_outlives_the_attempts_of_its_run(
        self, runtime: Runtime, queue: str, declare: Declare
    ) -> None:
        made = []

        @declare(max_attempts=2, backoff=retry.fixed(0.05))
        def fail() -> None:
            made.append(fail.using(dedupe_key="k").trigger().created)
            raise ValueError

        run = fail.using(dedupe_key="k").trigger()
        with self.worker(queue):
            self.finish(run, status="failed")
        assert made == [False, False]
        assert fail.using(dedupe_key="k").trigger().created

    def test_a_result_answers_within_its_window(self, runtime: Runtime, queue: str, declare: Declare) -> None:
        bodies = []

        @declare(dedupe_window=600)
        def quote(n: int) -> int:
            bodies.append(n)
            return n

        with self.worker(queue):
            results = [quote.using(dedupe_key="k").trigger(n).wait(self.soon) for n in range(3)]
        assert (results, bodies) == ([0, 0, 0], [0])

    def test_the_newest_payload_of_a_debounced_run_counts(
        self, runtime: Runtime, queue: str, declare: Declare
    ) -> None:
        @declare(debounce=0.5)
        def index(n: int) -> int:
            return n

        with self.worker(queue):
            runs = [index.using(dedupe_key="k").trigger(n) for n in range(5)]
            row = self.finish(runs[0])
        assert ({run.id for run in runs}, row.result) == ({runs[0].id}, 4)
        assert self.story(runs[0]) == ["triggered", *["debounced"] * 4, "started", "completed"]
        assert row.started_at >= row.scheduled_for

    def test_a_body_completes_in_its_own_transaction(
        self, runtime: Runtime, queue: str, declare: Declare
    ) -> None:
        @declare(max_attempts=2, backoff=retry.fixed(0))
        def pay(ctx: TaskContext) -> None:
            with transaction.atomic():
                ctx.complete_in_transaction(ctx.attempt)
                if ctx.attempt == 1:
                    raise ValueError
            assert Run.objects.get(pk=ctx.run_id).status == "completed"

        run = pay.trigger()
        with self.worker(queue):
            assert self.finish(run).result == 2
        assert self.story(run) == ["triggered", "started", "retrying", "started", "completed"]
