"""Every public overload used once: read by the type checker, never run."""

from __future__ import annotations

from typing import Any, assert_type

from openqueue import RunHandle, ScheduleHandle, Task, TaskContext, exponential, task, trigger, trigger_many
from openqueue.client import AsyncClient, Client, CreatedRun, NewRun, Run, ShownRun


@task
def plain(order: int, copy_to: str | None = None) -> dict[str, bool]:
    return {"sent": bool(order) or copy_to is None}


@task
def with_context(ctx: TaskContext, order: int) -> str:
    ctx.progress(50, "half")
    return f"{ctx.run_id}: {order}"


@task(queue="email", max_attempts=5, backoff=exponential(base=1, factor=2, max=600))
def with_options(order: int) -> int:
    return order


@task(timeout=30)
def with_both(ctx: TaskContext, order: int) -> int:
    ctx.raise_if_cancelled()
    return order


@task
async def coroutine(order: int) -> int:
    return order


@task(queue="email")
async def coroutine_with_both(ctx: TaskContext, order: int) -> str:
    return f"{ctx.run_id}: {order}"


def declared() -> None:
    assert_type(coroutine.trigger(order=1), RunHandle[int])
    assert_type(coroutine_with_both.trigger(order=1).wait(), str)
    assert_type(plain.trigger(order=1), RunHandle[dict[str, bool]])
    assert_type(plain.trigger(1, copy_to="a@b.example").wait(timeout=10), dict[str, bool])
    assert_type(with_context.trigger(order=1).wait(), str)
    assert_type(with_options.trigger(order=1), RunHandle[int])
    assert_type(with_both.trigger(order=1), RunHandle[int])
    task_of_this_shape: Task[Any, int] = with_options
    assert_type(task_of_this_shape.id, str)


def called() -> None:
    assert_type(plain.call(order=1), dict[str, bool])
    assert_type(with_context.call(order=1), str)


def on_one_occasion() -> None:
    schedule = plain.schedules.create(cron="0 9 * * *", payload={"order": 1}, key="a", queue="slow")
    assert_type(schedule, ScheduleHandle)
    assert_type(schedule.pause().resume().update(every=60), ScheduleHandle)
    assert_type(schedule.trigger_now(), RunHandle[Any])
    assert_type(plain.schedules.list(), list[ScheduleHandle])
    order = with_context.using(delay=60, priority=10)
    assert_type(order.using(queue="slow").trigger(order=1), RunHandle[str])
    assert_type(order.trigger_many([{"order": 1}]), list[RunHandle[str]])
    assert_type(with_options.bind(order=1).trigger(), RunHandle[int])
    assert_type(with_options.trigger_many([{"order": 1}]), list[RunHandle[int]])
    assert_type(trigger("shop.send_invoice", {"order": 1}), RunHandle[Any])
    assert_type(
        trigger_many([plain.bind(order=1), with_options.using(delay=5).bind(order=2)]), list[RunHandle[Any]]
    )


async def awaited() -> None:
    assert_type(await coroutine.call(order=1), int)
    run = await with_options.atrigger(order=1)
    assert_type(run, RunHandle[int])
    assert_type(await run.arefresh(), RunHandle[int])
    assert_type(await run.aresult(timeout=10), int)
    assert_type(await with_options.using(delay=1).atrigger(order=1), RunHandle[int])
    assert_type(await with_options.atrigger_many([{"order": 1}]), list[RunHandle[int]])


def refused() -> None:
    # Were one of these accepted, the comment would be unused, and that is an error too.
    plain.trigger(order="one")  # type: ignore[arg-type]  # not an int
    with_context.trigger()  # type: ignore[call-arg]  # the context is given, the order is not
    with_options.trigger(other=1)  # type: ignore[call-arg]  # no such argument
    Client().trigger("shop.send_invoice", delay="soon")  # type: ignore[arg-type]  # no duration
    Client().trigger("shop.send_invoice", urgency=1)  # type: ignore[call-arg]  # no such option


def from_outside() -> None:
    client = Client()
    run = client.trigger("shop.send_invoice", {"order": 1}, delay=60, tags=["billing"])
    assert_type(run, CreatedRun)
    assert_type(client.wait(run, timeout=10), Any)
    assert_type(client.get(run.id), ShownRun)
    assert_type(client.trigger_many([NewRun("shop.send_invoice", {"order": 1})]), list[CreatedRun])
    assert_type(list(client.runs(queue="email")), list[Run])


async def from_outside_awaited() -> None:
    async with AsyncClient() as client:
        assert_type(await client.trigger("shop.send_invoice"), CreatedRun)
        assert_type([run async for run in client.runs()], list[Run])
