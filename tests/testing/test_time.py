from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from openqueue import RetryableError, TaskContext
from openqueue.models import QueueState, RunEvent
from tests.app.tasks import add


def tens(span: timedelta) -> int:
    """Return the seconds without what the test itself took of them."""
    return int(span.total_seconds() // 10 * 10)


def test_what_is_due_later_waits_until_time_has_passed(queued_runs):
    add.using(delay=600).trigger(1, 2)
    assert queued_runs.run_all() == []
    queued_runs.advance(400)
    assert queued_runs.run_all() == []
    queued_runs.advance(timedelta(seconds=200))
    assert [done.status for done in queued_runs.run_all()] == ["completed"]
    with pytest.raises(ValueError, match="time does not go back"):
        queued_runs.advance(-1)


def test_time_passes_from_one_due_moment_to_the_next(queued_runs, declare):
    began, seen = queued_runs.now, []

    @declare
    def tick(name: str, then: int = 0) -> None:
        seen.append((name, tens(queued_runs.now - began)))
        if then:
            tick.using(delay=then).trigger(f"{name}+")

    tick.using(delay=100).trigger("b")
    tick.using(delay=10).trigger("a", then=50)
    tick.using(delay=1_000).trigger("late")
    queued_runs.run_all(until=timedelta(minutes=5))
    assert seen == [("a", 10), ("a+", 60), ("b", 100)]
    assert tens(queued_runs.now - began) == 300
    queued_runs.run_all(until=began + timedelta(seconds=1_030))
    assert seen[-1] == ("late", 1_000)
    with pytest.raises(ValueError, match="aware"):
        queued_runs.run_all(until=datetime(2027, 3, 1))  # noqa: DTZ001  # as the test says


def test_retries_happen_as_time_passes(queued_runs, declare):
    @declare(max_attempts=3, backoff=60)
    def flaky(ctx: TaskContext) -> int:
        if ctx.attempt < 3:
            raise RetryableError("not yet")
        return ctx.attempt

    run = flaky.trigger()
    done = queued_runs.run_all(until=119, raises=False)
    assert [(d.attempt, d.status) for d in done] == [(1, "retrying"), (2, "retrying")]
    (last,) = queued_runs.run_all(until=1)
    assert (last.attempt, last.status, last.result) == (3, "completed", 3)
    at = dict(RunEvent.objects.filter(run_id=run.id, kind="started").values_list("attempt", "at"))
    assert tens(at[3] - at[1]) == 120


def test_a_run_that_is_not_started_in_time_expires(queued_runs):
    run = add.using(ttl=30).trigger(1, 2)
    queued_runs.advance(31)
    assert queued_runs.run_all() == []
    assert run.refresh().status == "expired"


def test_a_paused_queue_waits(queued_runs):
    QueueState.objects.create(name="default", paused=True)
    add.trigger(1, 2)
    add.using(queue="open").trigger(3, 4)
    assert [done.result for done in queued_runs.run_all(until=3_600)] == [7]
    QueueState.objects.update(paused=False)
    assert [done.result for done in queued_runs.run_all()] == [3]
