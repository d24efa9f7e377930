from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from openqueue import TaskCancelled, TaskContext
from openqueue.models import Claim, RunEvent

NOW = datetime(2027, 3, 1, tzinfo=UTC)


def story(run_id):
    return list(RunEvent.objects.filter(run_id=run_id).order_by("id").values_list("kind", flat=True))


@pytest.fixture
def effects():
    return []


@pytest.fixture
def charge(declare, effects):
    @declare(max_attempts=2, backoff=30)
    def charge(ctx: TaskContext, order: int = 1) -> int:
        effects.append(ctx.attempt)
        return order

    return charge


def test_an_attempt_fails_as_asked_and_is_not_raised(queued_runs, charge, effects):
    run = charge.trigger()
    queued_runs.fail(charge, ConnectionError("down"), attempt=1)
    first, second = queued_runs.run_all(until=30)
    assert (first.status, first.injected, first.error["type"]) == ("retrying", True, "ConnectionError")
    assert (second.status, second.attempt, second.injected) == ("completed", 2, False)
    assert effects == [2]
    assert story(run.id) == ["triggered", "started", "retrying", "started", "completed"]


def test_every_attempt_can_fail(queued_runs, charge, effects):
    run = charge.trigger()
    queued_runs.fail(charge, attempt=None)
    done = queued_runs.run_all(until=timedelta(hours=1))
    assert [(d.attempt, d.status) for d in done] == [(1, "retrying"), (2, "failed")]
    assert "asked for this" in run.refresh().error["message"]
    assert effects == []


def test_a_fault_may_be_meant_for_one_run(queued_runs, charge):
    one, other = charge.trigger(1), charge.trigger(2)
    queued_runs.fail(one)
    queued_runs.run_all()
    assert (one.refresh().status, other.refresh().status) == ("retrying", "completed")
    queued_runs.fail(queued_runs[0], attempt=2)
    queued_runs.run_all(until=30)
    assert one.refresh().status == "failed"


def test_an_attempt_times_out_as_asked(queued_runs, charge):
    run = charge.trigger()
    queued_runs.time_out(charge)
    first, second = queued_runs.run_all(until=30)
    assert (first.status, first.reason) == ("retrying", "timed_out")
    assert second.status == "completed"
    assert run.refresh().attempt == 2


def test_a_worker_that_is_lost_before_the_body_costs_a_crash_and_no_attempt(queued_runs, charge, effects):
    run = charge.trigger()
    queued_runs.lose(charge, attempt=1)
    queued_runs.fail(charge, attempt=2)
    lost, failed, done = queued_runs.run_all(until=30)
    assert (lost.status, lost.reason, lost.attempt) == ("queued", "worker_lost", 1)
    assert (failed.status, done.status, done.attempt) == ("retrying", "completed", 3)
    assert run.refresh().row.crash_count == 1
    assert effects == [3]
    assert story(run.id)[:4] == ["triggered", "started", "worker_lost", "started"]
    assert not Claim.objects.exists()


def test_a_worker_that_is_lost_after_the_body_makes_it_run_twice_and_one_result_count(
    queued_runs, charge, effects
):
    run = charge.trigger()
    queued_runs.lose(charge, after_body=True)
    lost, done = queued_runs.run_all()
    assert (lost.status, done.status, done.result) == ("queued", "completed", 1)
    assert effects == [1, 2]
    assert story(run.id) == [
        "triggered", "started", "worker_lost", "late_result_discarded", "started", "completed",
    ]  # fmt: skip


def test_the_third_lost_worker_fails_the_run(queued_runs, charge):
    run = charge.trigger()
    queued_runs.lose(charge, attempt=None)
    done = queued_runs.run_all()
    assert [d.status for d in done] == ["queued", "queued", "failed"]
    assert (run.refresh().status, run.reason) == ("failed", "worker_lost")


def test_a_task_that_must_not_run_again_fails_with_its_first_lost_worker(queued_runs, declare):
    @declare(on_worker_lost="fail")
    def once() -> None:
        """Never runs here."""

    run = once.trigger()
    queued_runs.lose(once)
    assert [d.status for d in queued_runs.run_all()] == ["failed"]
    assert run.refresh().reason == "worker_lost"


def test_a_running_body_is_cancelled_and_may_notice(queued_runs, declare):
    told = []

    @declare(on_cancel=lambda ctx: told.append("cancelled"))
    def patient(ctx: TaskContext) -> None:
        ctx.raise_if_cancelled()

    run = patient.trigger()
    queued_runs.cancel_running(patient)
    (done,) = queued_runs.run_all()
    assert (done.status, done.reason, done.injected) == ("cancelled", "by_user", True)
    assert isinstance(done.exception, TaskCancelled)
    assert told == ["cancelled"]
    assert "cancel_requested" in story(run.id)


def test_a_cancel_beats_a_retry(queued_runs, declare):
    @declare
    def burn() -> None:
        raise ValueError("no")

    burn.trigger()
    queued_runs.cancel_running(burn)
    (done,) = queued_runs.run_all(raises=False)
    assert done.status == "cancelled"


def test_a_coroutine_is_cancelled_at_its_next_await(queued_runs, declare):
    reached = []

    @declare
    async def sleepy() -> None:
        reached.append("begun")
        await asyncio.sleep(60)
        reached.append("slept")

    run = sleepy.trigger()
    queued_runs.cancel_running(sleepy)
    (done,) = queued_runs.run_all()
    assert (done.status, done.injected) == ("cancelled", True)
    assert reached == ["begun"]
    assert run.refresh().reason == "by_user"


def test_faults_of_async_tasks(queued_runs, declare):
    @declare(max_attempts=3, backoff=0)
    async def greet(ctx: TaskContext) -> int:
        ctx.raise_if_cancelled()
        return ctx.attempt

    greet.trigger()
    queued_runs.fail(greet, attempt=1)
    queued_runs.lose(greet, attempt=2, after_body=True)
    queued_runs.cancel_running(greet, attempt=3)
    done = queued_runs.run_all()
    assert [d.status for d in done] == ["retrying", "queued", "cancelled"]


@pytest.mark.parametrize("target", ["shop.charge", None, 3])
def test_a_fault_needs_a_task_or_a_run(target, queued_runs):
    with pytest.raises(TypeError, match="neither a task nor a run"):
        queued_runs.fail(target)


def test_attempts_count_from_one(queued_runs, charge):
    with pytest.raises(ValueError, match="attempts count from 1"):
        queued_runs.lose(charge, attempt=0)
