"""Timeouts end: at checkpoints, by an exception, or without the body."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from openqueue import TaskContext, TaskTimeout, fixed
from openqueue.processes.worker import timekeeper
from tests.eventually import eventually

pytestmark = pytest.mark.django_db(transaction=True)
Declare = Callable[..., Any]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timekeeper, "PATIENCE", 0.1)
    monkeypatch.setattr(timekeeper, "LAST_PATIENCE", 0.1)


def timed_out(run: Any) -> None:
    assert (run.refresh().status, run.reason) == ("failed", "timed_out")
    assert run.error["type"] == "openqueue.errors.TaskTimeout"


def test_a_body_hears_of_its_timeout_at_a_checkpoint(declare: Declare, drain: Any):
    @declare(timeout=0.02, max_attempts=1)
    def polite(ctx: TaskContext) -> None:
        while True:
            ctx.progress(1)
            time.sleep(0.005)

    run = polite.trigger()
    assert drain() == 0
    timed_out(run)


def test_a_body_that_spins_is_interrupted(declare: Declare, drain: Any):
    caught = []

    @declare(timeout=0.02, max_attempts=1)
    def spin() -> None:
        try:
            while True:
                time.sleep(0.001)
        except TaskTimeout:
            caught.append(threading.current_thread().name)
            raise

    run = spin.trigger()
    assert drain(slots=1) == 0
    timed_out(run)
    assert len(caught) == 1


def test_the_slot_of_an_interrupted_body_serves_on(declare: Declare, drain: Any):
    @declare(timeout=0.02, max_attempts=1)
    def spin() -> None:
        while True:
            time.sleep(0.001)

    @declare
    def nothing() -> None: ...

    runs = [spin.trigger(), nothing.trigger(), spin.trigger(), nothing.trigger()]
    assert drain(slots=1) == 0
    assert [run.refresh().status for run in runs] == ["failed", "completed", "failed", "completed"]


@pytest.mark.parametrize("stubborn", ["swallows", "blocks"])
def test_a_body_that_cannot_be_interrupted_loses_its_slot_and_the_worker_hands_over(
    declare: Declare, serving: Any, stubborn: str
):
    go_on = threading.Event()

    @declare(timeout=0.02, max_attempts=1)
    def swallows() -> str:
        until = time.monotonic() + 20
        while not go_on.is_set() and time.monotonic() < until:
            try:
                time.sleep(0.005)
            except BaseException:  # as bad as it gets
                continue
        return "too late"

    @declare(timeout=0.02, max_attempts=1)
    def blocks() -> str:
        go_on.wait(20)
        return "too late"

    run = {"swallows": swallows, "blocks": blocks}[stubborn].trigger()
    with serving(slots=1) as worker:
        eventually(lambda: run.refresh().status == "failed")
        eventually(lambda: worker.heartbeat.state == "stopping")
        go_on.set()
    timed_out(run)
    assert worker.code == 75
    assert worker.timekeeper.stuck == 1
    assert run.result is None


def test_a_timeout_is_tried_again(declare: Declare, drain: Any):
    @declare(timeout=0.05, max_attempts=2, backoff=fixed(0))
    def first_slow(ctx: TaskContext) -> int:
        while ctx.attempt == 1:
            ctx.heartbeat()
            time.sleep(0.005)
        return ctx.attempt

    run = first_slow.trigger()
    drain()
    assert (run.refresh().status, run.result) == ("completed", 2)


def test_a_body_that_ends_within_its_time_is_left_in_peace(declare: Declare, drain: Any):
    @declare(timeout=0.05)
    def brief(n: int) -> int:
        return n

    runs = brief.trigger_many([{"n": n} for n in range(100)])
    assert drain() == 0
    assert {run.refresh().status for run in runs} == {"completed"}


def test_the_moments_of_bodies_that_ended_early_do_not_pile_up(
    declare: Declare, drain: Any, monkeypatch: Any
):
    monkeypatch.setattr(timekeeper, "CROWD", 20)
    kept = []

    @declare(timeout=3600)
    def brief(n: int) -> None:
        kept.append(len(keeper[0].moments))

    keeper: list[Any] = []
    init = timekeeper.Timekeeper.__init__

    def note(self: Any, **parts: Any) -> None:
        init(self, **parts)
        keeper.append(self)

    monkeypatch.setattr(timekeeper.Timekeeper, "__init__", note)
    brief.trigger_many([{"n": n} for n in range(300)])
    drain(slots=2)
    assert len(kept) == 300
    assert max(kept) < 100


def test_using_gives_one_run_its_own_timeout(declare: Declare, drain: Any):
    @declare(max_attempts=1)
    def spin() -> None:
        while True:
            time.sleep(0.001)

    run = spin.using(timeout=0.02).trigger()
    assert drain() == 0
    timed_out(run)


def test_an_async_body_ends_at_its_next_await(declare: Declare, drain: Any):
    @declare(timeout=0.02, max_attempts=1)
    async def sleep() -> None:
        await asyncio.sleep(60)

    run = sleep.trigger()
    assert drain() == 0
    timed_out(run)


def test_an_async_body_s_own_timeout_error_is_not_ours(declare: Declare, drain: Any):
    @declare(timeout=60, max_attempts=1)
    async def impatient() -> None:
        async with asyncio.timeout(0.001):
            await asyncio.sleep(60)

    run = impatient.trigger()
    assert drain() == 0
    assert (run.refresh().reason, run.error["type"]) == ("error", "TimeoutError")
