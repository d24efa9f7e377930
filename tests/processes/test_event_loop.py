"""Coroutines that do not let others run: they end, and what shares the loop with them is not charged."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from openqueue import TaskTimeout
from openqueue.models import RunEvent
from openqueue.processes.worker import event_loop, timekeeper
from tests.eventually import eventually

pytestmark = pytest.mark.django_db(transaction=True)
Declare = Callable[..., Any]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timekeeper, "PATIENCE", 0.1)
    monkeypatch.setattr(timekeeper, "LAST_PATIENCE", 0.3)
    monkeypatch.setattr(event_loop, "ANSWER", 0.1)


@pytest.fixture
def go_on() -> Any:
    """An event that lets a body out that nothing else lets out; set when the test is over."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def neighbour(declare: Declare, go_on: threading.Event) -> Any:
    @declare
    async def neighbour() -> str:
        while not go_on.is_set():
            await asyncio.sleep(0.01)
        return "unharmed"

    return neighbour


def timed_out(run: Any) -> bool:
    return (run.refresh().status, run.reason) == ("failed", "timed_out")


def test_a_coroutine_that_spins_is_interrupted_and_its_neighbour_goes_on(
    declare: Declare, serving: Any, neighbour: Any, go_on: threading.Event
):
    caught = []

    @declare(timeout=0.05, max_attempts=1)
    async def spin() -> None:
        try:
            while True:
                pass
        except TaskTimeout:
            caught.append(threading.current_thread().name)
            raise

    other = neighbour.trigger()
    with serving() as worker:
        eventually(lambda: other.refresh().status == "running" and worker.executor.loop)
        eventually(lambda: worker.executor.loop.bodies)
        run = spin.trigger()
        eventually(lambda: timed_out(run))
        go_on.set()
        eventually(lambda: other.refresh().status == "completed")
    assert caught == ["openqueue-loop"]
    assert other.attempt == 1
    assert (worker.code, worker.timekeeper.stuck) == (0, 0)


def test_a_coroutine_that_blocks_its_loop_in_c_ends_and_its_neighbour_is_given_back(
    declare: Declare, serving: Any, neighbour: Any, go_on: threading.Event
):
    @declare(timeout=0.05, max_attempts=1)
    async def block() -> None:
        go_on.wait(20)

    other = neighbour.trigger()
    with serving() as worker:
        eventually(lambda: other.refresh().status == "running" and worker.executor.loop)
        eventually(lambda: worker.executor.loop.bodies)
        blocked = worker.executor.loop
        run = block.trigger()
        eventually(lambda: timed_out(run))
        eventually(lambda: other.refresh().status == "queued")
        assert worker.executor.loop is not blocked
        eventually(lambda: worker.heartbeat.state == "stopping")
        go_on.set()
    blocked.join(10)
    assert not blocked.is_alive()
    assert worker.code == 75
    assert other.refresh().attempt == 0, "refunded"
    released = RunEvent.objects.filter(run_id=other.id, kind="released").earliest("id")
    assert released.data == {"why": "the event loop was blocked"}
    assert timed_out(run)


def test_a_coroutine_that_swallows_its_cancellation_ends_without_its_body(
    declare: Declare, serving: Any, neighbour: Any, go_on: threading.Event
):
    @declare(timeout=0.05, max_attempts=1)
    async def swallow() -> None:
        while not go_on.is_set():
            try:
                await asyncio.sleep(0.01)
            except BaseException:
                continue

    other = neighbour.trigger()
    with serving() as worker:
        eventually(lambda: other.refresh().status == "running")
        run = swallow.trigger()
        eventually(lambda: timed_out(run))
        go_on.set()
        assert worker.over.wait(10)
    assert worker.code == 75
    assert (other.refresh().status, other.result) == ("completed", "unharmed"), "the loop went on meanwhile"


def test_a_coroutine_that_cannot_run_ends_on_time_while_another_that_may_holds_the_loop(
    declare: Declare, serving: Any, go_on: threading.Event
):
    @declare
    async def hold() -> str:
        go_on.wait(20)
        return "held"

    @declare(timeout=0.2, max_attempts=1)
    async def starve() -> None:
        begun.set()
        await asyncio.sleep(60)

    begun = threading.Event()
    starved = starve.trigger()
    with serving() as worker:
        assert begun.wait(10)
        holder = hold.trigger()
        eventually(lambda: timed_out(starved))
        go_on.set()
        eventually(lambda: holder.refresh().status == "completed")
    assert (worker.code, worker.timekeeper.stuck) == (0, 0)


def test_heartbeats_go_on_while_a_coroutine_blocks(declare: Declare, serving: Any, go_on: threading.Event):
    @declare
    async def block() -> None:
        begun.set()
        go_on.wait(20)

    begun = threading.Event()
    run = block.trigger()
    with serving() as worker:
        assert begun.wait(10)
        beaten = worker.ledger.beaten_at
        eventually(lambda: worker.ledger.beaten_at > beaten + 0.2)
        go_on.set()
        eventually(lambda: run.refresh().status == "completed")


def test_what_a_coroutine_starts_is_interrupted_with_it(declare: Declare, drain: Any):
    @declare(timeout=0.05, max_attempts=1)
    async def delegate() -> None:
        async def spin() -> None:
            while True:
                time.sleep(0.001)

        async with asyncio.TaskGroup() as group:
            group.create_task(spin())

    run = delegate.trigger()
    assert drain() == 0
    assert run.refresh().status == "failed"
    assert "TaskTimeout" in run.error["traceback"]
