"""A program that knows nothing but an address and a token: no Django, no broker, no database."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from openqueue.client import (
    AlreadyFinished,
    AsyncClient,
    Client,
    NewNode,
    NewRun,
    NotFound,
    RunCancelled,
    TaskFailed,
    WaitTimeout,
)


def raised(kind: type[BaseException], act: Callable[[], object]) -> Any:
    """Return what an act raises, which must be of this kind."""
    try:
        act()
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised")


def until(condition: Callable[[], Any]) -> Any:
    """Return the first true answer."""
    for _ in range(600):
        if answer := condition():
            return answer
        time.sleep(0.1)
    raise AssertionError("not within a minute")


def blocking() -> None:
    with Client() as client:
        assert client.info().service == "openqueue"
        run = client.trigger("served.add", {"a": 1, "b": 2}, tags=["from-a-script"], priority=5)
        assert client.wait(run, timeout=20) == 3
        shown = client.get(run)
        assert (shown.status, shown.result, shown.payload) == ("completed", 3, {"a": 1, "b": 2})
        assert [line.text for line in client.logs(run)] == ["adding"]
        assert [line.text for line in client.logs(run, attempt=1, level="info", text="ADD")] == ["adding"]
        assert client.logs(run, level="error") == []
        assert [event.kind for event in client.events(run)][-1] == "completed"
        assert [attempt.outcome for attempt in client.attempts(run)] == ["completed"]

        failed = client.trigger("served.fail")
        error = raised(TaskFailed, lambda: client.wait(failed.id, timeout=20))
        assert error.error["message"] == "no such order"
        assert client.retry(failed, reason="once more").outcome == "requeued"

        client.pause("default", reason="a test")
        assert [queue.paused for queue in client.queue("default")] == [True]
        held = client.trigger_many([NewRun("served.add", {"a": n, "b": 1}, {"delay": 0}) for n in range(5)])
        raised(WaitTimeout, lambda: client.wait(held[0], timeout=0.3))
        assert client.cancel(held[0]).outcome == "cancelled"
        assert client.cancel(held[0]).outcome == "finished"
        raised(RunCancelled, lambda: client.wait(held[0]))
        client.resume("default")
        assert [client.wait(run, timeout=20) for run in held[1:]] == [2, 3, 4, 5]
        assert len(list(client.runs(task_id="served.add", page_size=2))) == 6
        assert [run.id for run in client.runs(tag="from-a-script")] == [run.id]
        assert {worker.state for worker in client.workers()} == {"running"}
        assert client.task("served.add").enqueueable

        nodes = [
            NewNode("first", "served.add", {"a": 1, "b": 1}),
            NewNode("second", "served.fail", after=["first"]),
            NewNode(
                "third",
                "served.add",
                {"a": 2, "b": 2},
                {"priority": 3},
                after=["second"],
                on_failure="continue",
            ),
        ]
        flow = client.trigger_flow("from a script", nodes).flow
        by_name = {node.name: node for node in client.flow(flow.id).nodes}
        raised(TaskFailed, lambda: client.wait(by_name["second"].run_id, timeout=20))
        assert client.wait(by_name["third"].run_id, timeout=20) == 4
        until(lambda: client.flow(flow.id).finished_at)
        assert [one.id for one in client.flows(name="from a script")] == [flow.id]
        assert client.flow(flow.id).status == "completed", (
            "the third one goes on, whatever became of the second"
        )
        raised(AlreadyFinished, lambda: client.cancel_flow(flow.id))
        assert client.retry_flow(flow.id).outcome
        raised(TaskFailed, lambda: client.wait(by_name["second"].run_id, timeout=20))

        counted = client.numbers(timedelta(hours=2), step=3600, task_id="served.add")
        assert (counted.step, counted.whole.counts["completed"] > 5) == (timedelta(hours=1), True)
        assert client.numbers_by_task().numbers["served.add"].total == counted.whole.total
        assert client.numbers_by_queue(task_id="served.add").numbers["default"].total == counted.whole.total
        depth = client.queue_depth("default", timedelta(hours=2), step=3600)
        assert (depth.queue, depth.step) == ("default", timedelta(hours=1))
        assert (depth.points[-1].last.held, depth.points[-1].most.oldest >= 0) == (0, True)
        assert client.error_groups(task_id="served.add") == []
        (group,) = until(lambda: client.error_groups(task_id="served.fail"))
        assert client.error_group(group.id).runs[0].task_id == "served.fail"
        assert client.ignore_error_group(group.id, reason="a test").error.state == "ignored"
        assert client.reopen_error_group(group.id).outcome == "reopened"
        assert client.resolve_error_group(group.id).error.state == "resolved"

        made = client.create_schedule("served.add", key="nightly", every=3600, payload={"a": 1, "b": 1})
        assert made.outcome == "created"
        assert [schedule.key for schedule in client.schedules(task_id="served.add")] == ["nightly"]
        assert client.pause_schedule(made.schedule.id).schedule.status == "paused"
        assert client.resume_schedule(made.schedule.id).schedule.status == "active"
        assert client.wait(client.trigger_schedule(made.schedule.id).run, timeout=20) == 2
        assert client.schedule(made.schedule.id).upcoming
        client.delete_schedule(made.schedule.id)
        raised(NotFound, lambda: client.schedule(made.schedule.id))


async def awaiting() -> None:
    async with AsyncClient() as client:
        runs = await asyncio.gather(*(client.trigger("served.add", {"a": n, "b": n}) for n in range(10)))
        assert await asyncio.gather(*(client.wait(run, timeout=20) for run in runs)) == [
            2 * n for n in range(10)
        ]
        assert len([run async for run in client.runs(status="completed", page_size=3)]) >= 10


blocking()
asyncio.run(awaiting())
foreign = {"asgiref", "django", "kafka", "pika", "psycopg", "redis"} & {
    name.partition(".")[0] for name in sys.modules
}
print("done", sorted(foreign))  # noqa: T201  # the test reads it
