from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime

import pytest
from django.db import transaction

from openqueue import NonRetryableError, TaskContext, TaskFailed, TaskTimeout, signals
from openqueue.models import Claim, Outbox, Run, RunEvent, RunLog
from tests.app.models import Customer
from tests.app.tasks import add


def story(run_id):
    return list(RunEvent.objects.filter(run_id=run_id).order_by("id").values_list("kind", flat=True))


def test_what_is_due_is_executed_in_the_transaction_of_the_test(queued_runs):
    run = add.trigger(1, 2)
    (done,) = queued_runs.run_all()
    assert (done.status, done.result, done.attempt, done.task_id) == ("completed", 3, 1, "app.add")
    assert run.refresh().result == 3
    assert story(run.id) == ["triggered", "started", "completed"]
    assert not Claim.objects.exists()
    assert not Outbox.objects.exists()
    assert queued_runs.run_all() == []


def test_bodies_run_in_the_thread_of_the_test_with_typed_arguments(queued_runs, declare):
    seen = []

    @declare
    def look(ctx: TaskContext, at: datetime) -> None:
        seen.append((threading.current_thread(), at, ctx.attempt, ctx.queue, ctx.meta))

    at = datetime(2027, 3, 1, 9, tzinfo=UTC)
    look.using(queue="slow", meta={"tenant": 3}).trigger(at)
    queued_runs.run_all()
    assert seen == [(threading.current_thread(), at, 1, "slow", {"tenant": 3})]


def test_higher_priority_comes_first_then_what_is_due_longer(queued_runs, declare):
    order = []

    @declare
    def note(name: str) -> None:
        order.append(name)

    note.trigger("first")
    note.trigger("second")
    note.using(priority=9, queue="other").trigger("urgent")
    queued_runs.run_all()
    assert order == ["urgent", "first", "second"]


def test_what_tasks_trigger_is_executed_too(queued_runs, declare):
    @declare
    def countdown(n: int) -> int:
        if n:
            countdown.trigger(n - 1)
        return n

    countdown.trigger(3)
    assert [done.result for done in queued_runs.run_all()] == [3, 2, 1, 0]
    assert len(queued_runs.of(countdown)) == 4


def test_a_task_without_end_is_noticed(queued_runs, declare):
    @declare
    def again() -> None:
        again.trigger()

    again.trigger()
    with pytest.raises(RuntimeError, match=r"executed 7 attempts and test.again is still due"):
        queued_runs.run_all(most=7)


def test_a_failing_body_raises_at_the_caller_and_its_run_is_settled(queued_runs, declare):
    @declare
    def burn() -> None:
        raise ZeroDivisionError("burnt")

    run = burn.trigger()
    with pytest.raises(ZeroDivisionError, match="burnt") as caught:
        queued_runs.run_all()
    assert caught.traceback[-1].name == "burn"
    assert run.refresh().status == "retrying"
    assert run.error["type"] == "ZeroDivisionError"


def test_errors_can_be_looked_at_instead(queued_runs, declare):
    @declare(max_attempts=1)
    def burn() -> None:
        raise ZeroDivisionError("burnt")

    @declare
    def give_up() -> None:
        raise NonRetryableError("no")

    burn.trigger()
    give_up.trigger()
    first, second = queued_runs.run_all(raises=False)
    assert (first.status, first.reason, first.error["message"]) == ("failed", "error", "burnt")
    assert isinstance(first.exception, ZeroDivisionError)
    assert (second.status, second.reason, second.result) == ("failed", "non_retryable", None)


def test_a_payload_that_no_longer_fits_raises_what_a_waiter_would_get(queued_runs, declare):
    @declare
    def typed(number: int) -> None:
        """Its signature has changed since."""

    run = queued_runs.trigger_unchecked(typed, {"number": "seven"})
    with pytest.raises(TaskFailed, match="payload_invalid"):
        queued_runs.run_all()
    assert (run.refresh().status, run.reason) == ("failed", "payload_invalid")
    assert queued_runs[0].arguments == {"number": "seven"}


def test_a_result_that_cannot_be_stored_raises_too(queued_runs, declare):
    @declare
    def odd() -> object:
        return object()

    run = odd.trigger()
    with pytest.raises(TaskFailed, match="result_invalid"):
        queued_runs.run_all()
    assert run.refresh().reason == "result_invalid"


def test_ctrl_c_is_never_swallowed(queued_runs, declare):
    @declare
    def stuck() -> None:
        raise KeyboardInterrupt

    stuck.trigger()
    with pytest.raises(KeyboardInterrupt):
        queued_runs.run_all(raises=False)


def test_logs_and_progress_are_kept_and_returned(queued_runs, declare):
    @declare
    def render(ctx: TaskContext) -> None:
        ctx.logger.info("rendering")
        logging.getLogger("shop").warning("slow printer")
        ctx.progress(10, "begun")
        ctx.progress(50, "half")

    run = render.trigger()
    (done,) = queued_runs.run_all()
    assert (list(done.logs), done.progress) == (
        ["rendering", "slow printer"],
        {"percent": 50, "message": "half"},
    )
    assert [line.text for line in RunLog.objects.filter(run_id=run.id)] == ["rendering", "slow printer"]
    assert story(run.id) == ["triggered", "started", "progress", "completed"]


def test_hooks_and_signals_are_told(queued_runs, declare):
    told = []

    @declare(
        on_start=lambda ctx: told.append("start"),
        on_retry=lambda ctx, error: told.append(f"retry {error['message']}"),
        on_success=lambda ctx, result: told.append(f"success {result}"),
        backoff=0,
    )
    def flaky(ctx: TaskContext) -> str:
        if ctx.attempt == 1:
            raise ValueError("no")
        return "yes"

    def settled(sender, status, **facts):
        told.append((sender.id, status))

    signals.run_settled.connect(settled)
    try:
        flaky.trigger()
        queued_runs.run_all(raises=False)
    finally:
        signals.run_settled.disconnect(settled)
    assert told == [
        "start", ("test.flaky", "retrying"), "retry no", "start", ("test.flaky", "completed"), "success yes",
    ]  # fmt: skip


def test_async_tasks_run_too_and_see_the_rows_of_the_test(queued_runs, declare):
    @declare(max_attempts=1)
    async def greet(ctx: TaskContext, pk: int) -> str:
        customer = await Customer.objects.aget(pk=pk)
        ctx.progress(100, "done")
        await add.atrigger(1, 2)
        return customer.name

    ada = Customer.objects.create(name="Ada", email="ada@shop.example")
    greet.trigger(ada.pk)
    first, second = queued_runs.run_all()
    assert (first.result, first.progress["message"], second.result) == ("Ada", "done", 3)
    greet.trigger(0)
    with pytest.raises(Customer.DoesNotExist):
        queued_runs.run_all()


def test_an_async_body_that_takes_too_long_is_timed_out(queued_runs, declare):
    import asyncio

    @declare(timeout=0.01, max_attempts=1)
    async def slow() -> None:
        await asyncio.sleep(60)

    slow.trigger()
    with pytest.raises(TaskTimeout):
        queued_runs.run_all()
    assert (queued_runs[0].status, queued_runs[0].reason) == ("failed", "timed_out")


def test_a_sync_body_that_takes_too_long_hears_of_it_at_its_next_checkpoint(queued_runs, declare):
    @declare(timeout=0.001, max_attempts=1)
    def slow(ctx: TaskContext) -> None:
        while True:
            ctx.heartbeat()

    slow.trigger()
    with pytest.raises(TaskTimeout):
        queued_runs.run_all()
    assert queued_runs[0].reason == "timed_out"


def test_whatever_runtime_a_queue_is_on_its_runs_are_executed_and_nobody_is_asked(queued_runs, settings):
    away = {"BACKEND": "tests.broker.runtime.BrokerRuntime", "OPTIONS": {"port": 1}}
    settings.OPENQUEUE = {"RUNTIMES": {"default": away}}
    with transaction.atomic():
        add.trigger(1, 2)
    assert queued_runs[0].runtime == "default"
    assert [done.status for done in queued_runs.run_all()] == ["completed"]


def test_one_attempt_costs_the_same_whatever_the_backlog(queued_runs, django_assert_max_num_queries):
    add.trigger_many([{"a": n, "b": n} for n in range(50)])
    with django_assert_max_num_queries(20), pytest.raises(RuntimeError, match="most="):
        queued_runs.run_all(most=1)
    assert Run.objects.filter(status="completed").count() == 1
