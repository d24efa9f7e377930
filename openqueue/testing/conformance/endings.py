"""How attempts end that did not succeed, and what follows: the same on every runtime."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

from openqueue import retry
from openqueue.context import TaskContext
from openqueue.errors import NonRetryableError, RetryableError
from openqueue.models import Outbox, RunEvent
from openqueue.runtimes.base import Runtime
from openqueue.store import store
from openqueue.testing.conformance.suite import Declare, Suite

AT_ONCE = retry.fixed(0)


class Endings(Suite):
    """Errors, retries, timeouts, expiry."""

    def test_an_error_is_kept_with_the_run(self, runtime: Runtime, queue: str, declare: Declare) -> None:
        @declare(max_attempts=1)
        def fail() -> None:
            raise ValueError("Zoë is not \N{PILE OF POO}")

        run = fail.trigger()
        with self.worker(queue):
            row = self.finish(run, status="failed")
        assert row.reason == "error"
        assert (row.error["type"], row.error["message"]) == ("ValueError", "Zoë is not \N{PILE OF POO}")
        assert "fail" in row.error["traceback"]

    def test_a_failed_attempt_is_followed_by_another(
        self, runtime: Runtime, queue: str, declare: Declare
    ) -> None:
        @declare(max_attempts=3, backoff=retry.exponential(base=0.01, factor=2, jitter=0))
        def third_time_lucky(ctx: TaskContext) -> int:
            if ctx.attempt < 3:
                raise ValueError(ctx.attempt)
            return ctx.attempt

        run = third_time_lucky.trigger()
        with self.worker(queue):
            row = self.finish(run)
        assert (row.result, row.attempt, row.error) == (3, 3, None)
        again = ["started", "retrying"] * 2
        assert self.story(run) == ["triggered", *again, "started", "completed"]
        decisions = list(RunEvent.objects.filter(run_id=run.id, kind="retrying").order_by("id"))
        waits = [
            (event.attempt, event.data["backoff"], event.data["error"]["message"]) for event in decisions
        ]
        assert waits == [(1, "exponential", "1"), (2, "exponential", "2")]

    def test_attempts_end(self, runtime: Runtime, queue: str, declare: Declare) -> None:
        @declare(max_attempts=2, backoff=AT_ONCE)
        def fail() -> None:
            raise ValueError

        run = fail.trigger()
        with self.worker(queue):
            assert self.finish(run, status="failed").attempt == 2

    def test_back_off_grows(self, runtime: Runtime, queue: str, declare: Declare) -> None:
        @declare(max_attempts=9, backoff=retry.exponential(base=3600, factor=2, max=99999, jitter=0))
        def fail() -> None:
            raise ValueError

        run = fail.trigger()
        waits: list[int] = []
        with self.worker(queue):
            for _ in range(3):
                self.eventually(lambda: (run.refresh().status, run.attempt) == ("retrying", len(waits) + 1))
                place = Outbox.objects.get(pk=run.id)
                settled = RunEvent.objects.filter(run_id=run.id, kind="retrying").latest("id").at
                waits.append(round((place.due_at - settled).total_seconds()))
                Outbox.objects.filter(pk=run.id).update(due_at=settled, announce_at=settled)
        assert waits == [3600, 7200, 14400]

    def test_a_retry_with_a_short_delay_begins_once_and_not_before_it_is_due(
        self, runtime: Runtime, queue: str, declare: Declare
    ) -> None:
        """Whoever keeps the time, the sweeps or the broker as well: the database's clock decides."""

        @declare(max_attempts=2, backoff=0.4)
        def second_time_lucky(ctx: TaskContext) -> None:
            if ctx.attempt < 2:
                raise ValueError

        runs = [second_time_lucky.trigger(), second_time_lucky.using(delay=0.3).trigger()]
        with self.worker(queue):
            for run in runs:
                assert self.finish(run).attempt == 2
        again = ["started", "retrying", "started", "completed"]
        for run in runs:
            assert self.story(run) == ["triggered", *again]
            decided, begun = (
                RunEvent.objects.filter(run_id=run.id, kind=kind).latest("id")
                for kind in ("retrying", "started")
            )
            assert begun.at >= datetime.fromisoformat(decided.data["next_run_at"])
            assert run.row.scheduled_for <= RunEvent.objects.filter(run_id=run.id, kind="started")[0].at

    def test_a_task_may_say_when_to_try_again(self, runtime: Runtime, queue: str, declare: Declare) -> None:
        @declare
        def busy() -> None:
            raise RetryableError("429", delay=timedelta(hours=1))

        run = busy.trigger()
        with self.worker(queue):
            self.eventually(lambda: run.refresh().status == "retrying")
        event = RunEvent.objects.get(run_id=run.id, kind="retrying")
        assert round((Outbox.objects.get(pk=run.id).due_at - event.at).total_seconds()) == 3600

    def test_an_error_that_no_attempt_can_mend_ends_the_run(
        self, runtime: Runtime, queue: str, declare: Declare
    ) -> None:
        @declare(max_attempts=5, no_retry_on=[KeyError])
        def refuse(kind: str) -> None:
            raise {"own": NonRetryableError("never"), "listed": KeyError("k")}[kind]

        runs = refuse.trigger_many([{"kind": "own"}, {"kind": "listed"}])
        with self.worker(queue):
            rows = [self.finish(run, status="failed") for run in runs]
        assert [(row.attempt, row.reason) for row in rows] == [(1, "non_retryable")] * 2

    def test_a_timeout_ends_an_attempt(self, runtime: Runtime, queue: str, declare: Declare) -> None:
        @declare(max_attempts=1, timeout=0.05)
        def slow(ctx: TaskContext) -> None:
            while True:
                ctx.heartbeat()
                time.sleep(0.01)

        run = slow.trigger()
        with self.worker(queue):
            row = self.finish(run, status="failed")
        assert (row.reason, row.error["type"]) == ("timed_out", "openqueue.errors.TaskTimeout")

    def test_a_run_that_nobody_started_in_time_expires(
        self, runtime: Runtime, queue: str, declare: Declare
    ) -> None:
        bodies = []

        @declare
        def late() -> None:
            bodies.append(1)

        run = late.using(ttl=0.001).trigger()
        self.eventually(lambda: Outbox.objects.get(pk=run.id).expires_at < store().clock(None))
        with self.worker(queue):
            self.finish(run, status="expired")
        assert bodies == []
        assert self.story(run) == ["triggered", "expired"]
