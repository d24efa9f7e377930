"""What operators do to runs, whatever carries them."""

from __future__ import annotations

from uuid import UUID

import pytest

from openqueue.control import run_acts
from openqueue.control.actor import Actor
from openqueue.control.callers import Caller
from openqueue.errors import UnsupportedCapability, WrongState
from openqueue.models import Outbox, Run
from openqueue.runtimes.base import Runtime
from openqueue.testing.conformance.suite import Declare, Suite, needs

ANNA = Caller.operator(Actor(name="anna"))
MANY = 6


class Acts(Suite):
    """Promote, prioritise, retry, replay."""

    def test_a_promoted_run_is_executed_now(self, runtime: Runtime, queue: str, declare: Declare) -> None:
        @declare
        def nothing() -> None: ...

        run = nothing.using(delay=3600).trigger()
        with self.worker(queue) as worker:
            self.eventually(lambda: worker.ledger.sure)
            assert run_acts.promote(run.id, caller=ANNA).outcome == "promoted"
            assert self.finish(run).attempt == 1
            with pytest.raises(WrongState):
                run_acts.promote(run.id, caller=ANNA)
        assert self.story(run) == ["triggered", "promoted", "started", "completed"]

    def test_an_attempt_that_is_put_off_is_promoted(
        self, runtime: Runtime, queue: str, declare: Declare
    ) -> None:
        begun: list[int] = []

        @declare(max_attempts=2, backoff=3600)
        def second_time(n: int) -> int:
            begun.append(n)
            if len(begun) == 1:
                raise ValueError("not yet")
            return n

        run = second_time.trigger(7)
        with self.worker(queue):
            self.eventually(lambda: run.refresh().status == "retrying")
            run_acts.promote(run.id, caller=ANNA)
            row = self.finish(run)
        assert (row.attempt, row.result) == (2, 7)

    @needs("priorities")
    def test_a_run_of_a_higher_priority_comes_before_those_announced_earlier(
        self, runtime: Runtime, queue: str, declare: Declare
    ) -> None:
        bodies = []

        @declare
        def note(n: int) -> None:
            bodies.append(n)

        made = [note.trigger(n) for n in range(MANY)]
        if runtime.carries_messages:
            self.eventually(
                lambda: Outbox.objects.filter(queue=queue, announced_at__isnull=False).count() == MANY
            )
        run_acts.prioritise(made[-1].id, priority=50, caller=ANNA)
        if runtime.carries_messages:
            self.eventually(lambda: Outbox.objects.get(pk=made[-1].id).announced_at is not None)
        with self.worker(queue, slots=1):
            for run in made:
                self.finish(run)
        assert sorted(bodies) == list(range(MANY)), "each once: the announcement before was gone"
        assert bodies.index(MANY - 1) <= 1
        assert self.story(made[-1]) == ["triggered", "prioritised", "started", "completed"]

    def test_a_new_priority_is_kept_or_refused(self, runtime: Runtime, queue: str, declare: Declare) -> None:
        @declare
        def nothing() -> None: ...

        run = nothing.using(delay=3600).trigger()
        if runtime.capabilities.priorities:
            assert run_acts.prioritise(run.id, priority=50, caller=ANNA).run.priority == 50
        else:
            with pytest.raises(UnsupportedCapability):
                run_acts.prioritise(run.id, priority=50, caller=ANNA)
            assert run.refresh().row.priority == 0

    def test_a_failed_run_is_retried_and_replayed_with_other_arguments(
        self, runtime: Runtime, queue: str, declare: Declare
    ) -> None:
        @declare(max_attempts=1)
        def halve(n: int) -> int:
            if n % 2:
                raise ValueError("odd")
            return n // 2

        run = halve.trigger(7)
        with self.worker(queue):
            self.finish(run, status="failed")
            assert run_acts.retry(run.id, caller=ANNA).outcome == "requeued"
            self.eventually(lambda: self.story(run).count("failed") == 2)
            new = run_acts.replay(run.id, payload={"n": 8}, caller=ANNA).run
            assert self.outcome(new.id) == ("completed", 4, run.id)
        assert run.refresh().status == "failed"

    def outcome(self, run: UUID) -> tuple[str, object, UUID | None]:
        """Wait until a run has ended; return how, with what, and which one it repeats."""
        row = self.eventually(lambda: Run.objects.filter(pk=run, outcome__isnull=False).first())
        assert row is not None
        return row.status, row.result, row.replay_of
