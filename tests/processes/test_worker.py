"""A whole worker on the database runtime: what it runs, when it stops, what it gives back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from openqueue import TaskContext, fixed
from openqueue.models import Claim, Outbox, QueueState, Run, RunEvent, Worker
from openqueue.processes.worker import intake
from openqueue.store import store
from tests.eventually import eventually

pytestmark = pytest.mark.django_db(transaction=True)
Declare = Callable[..., Any]


def test_drain_executes_what_is_due_and_leaves_what_is_not(declare: Declare, drain: Callable[..., int]):
    @declare
    def double(n: int) -> int:
        return 2 * n

    runs = double.trigger_many([{"n": n} for n in range(50)])
    later = double.using(delay=3600).trigger(1)
    assert drain() == 0
    assert [run.refresh().result for run in runs] == [2 * n for n in range(50)]
    assert later.refresh().status == "scheduled"
    assert not Claim.objects.exists()
    assert Worker.objects.get().state == "stopped"


def test_drain_executes_in_order_of_priority(declare: Declare, drain: Callable[..., int]):
    order: list[int] = []

    @declare
    def note(n: int) -> None:
        order.append(n)

    for n in (3, -7, 50, 0):
        note.using(priority=n).trigger(n)
    drain(slots=1)
    assert order == [50, 3, 0, -7]


@pytest.mark.parametrize("reason", ["expired", "another runtime", "paused", "unknown task"])
def test_drain_does_not_wait_for_what_it_cannot_run(declare: Declare, drain: Callable[..., int], reason: str):
    @declare
    def nothing() -> None: ...

    run = nothing.using(ttl=0.001 if reason == "expired" else None).trigger()
    match reason:
        case "expired":
            Outbox.objects.update(expires_at=datetime(2020, 1, 1, tzinfo=UTC))
        case "another runtime":
            Outbox.objects.update(runtime="gone")
        case "paused":
            QueueState.objects.create(name="default", paused=True)
        case "unknown task":
            Outbox.objects.update(task_id="test.newer")
    assert drain(sweeps=False) == 0
    assert run.refresh().status == "queued"


def test_once_executes_one_batch(declare: Declare, quick: Any):
    from openqueue.processes.worker.worker import Worker as Process

    @declare
    def nothing() -> None: ...

    nothing.trigger_many([{}] * 5)
    assert Process(queues=["default"], slots=2, once=True).run() == 0
    assert Run.objects.filter(status="completed").count() == 2


def test_a_task_s_own_concurrency_holds_while_others_go_on(declare: Declare, serving: Any):
    gate, lock = threading.Event(), threading.Lock()
    now, most = 0, 0

    @declare(concurrency=2)
    def limited() -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        gate.wait(20)
        with lock:
            now -= 1

    @declare
    def free() -> None: ...

    held = limited.trigger_many([{}] * 4)
    with serving(slots=5):
        eventually(lambda: now == 2)
        passing = free.trigger_many([{}] * 10)
        eventually(lambda: all(run.refresh().status == "completed" for run in passing))
        gate.set()
        eventually(lambda: all(run.refresh().status == "completed" for run in held))
    assert most == 2


def test_a_queue_s_concurrency_holds(declare: Declare, serving: Any, quick: Any):
    quick.OPENQUEUE = {**quick.OPENQUEUE, "QUEUES": {"narrow": {"concurrency": 1}}}
    lock = threading.Lock()
    now, most = 0, 0

    @declare(queue="narrow")
    def hold() -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.005)
        with lock:
            now -= 1

    runs = hold.trigger_many([{}] * 8)
    with serving(queues=["narrow"]):
        eventually(lambda: all(run.refresh().status == "completed" for run in runs))
    assert most == 1


def test_a_limited_task_is_not_starved_by_a_backlog_of_others(declare: Declare, quick: Any):
    order: list[str] = []

    @declare
    def common() -> None:
        order.append("common")

    @declare(concurrency=1, priority=50)
    def rare() -> None:
        order.append("rare")

    common.trigger_many([{}] * 200)
    rare.trigger()
    from openqueue.processes.worker.worker import Worker as Process

    assert Process(queues=["default"], slots=2, drain=True).run() == 0
    assert order.index("rare") < 100


def test_a_body_may_be_cancelled_on_the_event_loop(declare: Declare, serving: Any):
    import asyncio

    begun, ended = threading.Event(), []

    @declare(on_cancel=lambda ctx: ended.append("hook"))
    async def sleep() -> None:
        begun.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append("body")
            raise

    run = sleep.trigger()
    with serving():
        assert begun.wait(10)
        assert run.cancel(actor="anna") == "requested"
        eventually(lambda: run.refresh().status == "cancelled")
    assert ended == ["body", "hook"]
    assert not RunEvent.objects.filter(kind="retrying").exists()


def test_async_bodies_run_side_by_side_within_the_slots(declare: Declare, drain: Callable[..., int]):
    import asyncio

    now, most = 0, 0

    @declare
    async def hold() -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.01)
        now -= 1

    hold.trigger_many([{}] * 20)
    drain(slots=4)
    assert 1 < most <= 4
    assert Run.objects.filter(status="completed").count() == 20


def test_a_hook_that_fails_is_logged_and_the_run_stands(declare: Declare, drain: Callable[..., int], caplog):
    def broken(ctx: TaskContext, result: Any) -> None:
        raise ZeroDivisionError

    @declare(on_success=broken)
    def succeed() -> None: ...

    run = succeed.trigger()
    drain()
    assert run.refresh().status == "completed"
    assert "a hook failed" in [record.message for record in caplog.records]


def test_hooks_are_told_what_happened(declare: Declare, drain: Callable[..., int]):
    told: list[Any] = []

    @declare(
        max_attempts=2,
        backoff=fixed(0),
        on_start=lambda ctx: told.append(("start", ctx.attempt)),
        on_retry=lambda ctx, error: told.append(("retry", error["message"])),
        on_failure=lambda ctx, error: told.append(("failure", error["message"])),
    )
    def fail(ctx: TaskContext) -> None:
        raise ValueError(f"attempt {ctx.attempt}")

    fail.trigger()
    drain(slots=1)
    assert told == [("start", 1), ("retry", "attempt 1"), ("start", 2), ("failure", "attempt 2")]


def test_the_runway_of_a_paused_queue_goes_back_at_once(declare: Declare, serving: Any):
    begun, gate = threading.Event(), threading.Event()

    @declare
    def hold() -> None:
        begun.set()
        gate.wait(20)

    first = hold.trigger()
    with serving(slots=1) as worker:
        assert begun.wait(10)
        second = hold.trigger()
        claimed = (
            store()
            .claim_due(claim_of(worker, [hold.id]), runtime="default", rooms={"default": 1}, limit=1)
            .claimed
        )
        held = [intake.Job(attempt, hold) for attempt in claimed]
        worker.ledger.take(claimed[0].token, held)
        for job in held:
            worker.executor.submit(job)
        QueueState.objects.create(name="default", paused=True)
        eventually(lambda: second.refresh().status == "queued")
        gate.set()
        eventually(lambda: first.refresh().status == "completed")
    assert second.row.attempt == 0
    assert [e.kind for e in RunEvent.objects.filter(run_id=second.id)] == ["triggered", "started", "released"]


def claim_of(worker: Any, known: list[str]) -> Any:
    from uuid import uuid4

    from openqueue.types import ClaimRequest

    token = uuid4()
    worker.ledger.expect(token)
    return ClaimRequest(worker_id=worker.ledger.worker_id, token=token, known=known)


def test_a_run_whose_task_nobody_knows_fails_after_ten_deferrals(serving: Any, declare: Declare, monkeypatch):
    monkeypatch.setattr(intake, "UNKNOWN_EVERY", 0.0)
    monkeypatch.setattr(intake, "UNKNOWN_AGE", 0.0)

    @declare
    def gone() -> None: ...

    run = gone.trigger()
    Outbox.objects.update(tries=9, task_id="test.gone2")
    with serving():
        eventually(lambda: run.refresh().status == "failed")
    assert run.reason == "unknown_task"
    assert "test.gone2" in run.error["message"]


def test_a_result_that_is_no_json_fails_the_run(declare: Declare, drain: Any):
    @declare
    def bad() -> Any:
        return object()

    run = bad.trigger()
    drain()
    assert (run.refresh().status, run.reason) == ("failed", "result_invalid")


def test_the_callers_can_wait_for_a_result(declare: Declare, serving: Any):
    from openqueue import RunExpired, TaskFailed, WaitTimeout

    @declare(max_attempts=1)
    def divide(a: int, b: int) -> float:
        return a / b

    with serving():
        assert divide.trigger(6, 3).wait(timeout=10) == 2
        with pytest.raises(TaskFailed, match="ZeroDivisionError"):
            divide.trigger(1, 0).wait(timeout=10)
    with pytest.raises(WaitTimeout):
        divide.trigger(1, 1).wait(timeout=0.02)
    run = divide.using(ttl=1).trigger(1, 1)
    moment = datetime.now(UTC) + timedelta(seconds=5)
    from openqueue.core import transitions

    transitions.expire(limit=9, now=moment)
    with pytest.raises(RunExpired):
        run.wait(timeout=1)


def test_a_policy_of_the_project_that_fails_ends_the_run_and_not_the_slot(
    declare: Declare, drain: Any, monkeypatch
):
    @declare
    def fail() -> None:
        raise ValueError

    monkeypatch.setattr(fail, "backoff", None)  # whatever a policy of the project's own does
    run = fail.trigger()
    drain(slots=1)
    assert run.refresh().status == "failed"
    other = fail.trigger()
    assert drain(slots=1) == 0
    assert other.refresh().status == "failed"


def test_an_exit_on_the_event_loop_ends_its_run_alone(declare: Declare, drain: Any):
    @declare(max_attempts=1)
    async def leave() -> None:
        raise SystemExit(3)

    @declare
    async def stay() -> int:
        return 1

    runs = [leave.trigger(), *stay.trigger_many([{}] * 3)]
    assert drain() == 0
    assert [run.refresh().status for run in runs] == ["failed", "completed", "completed", "completed"]
