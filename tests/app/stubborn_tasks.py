"""Bodies that do not end by themselves: four kinds, in each executor.

A worker process knows them when OPENQUEUE_TEST_MORE_TASKS names this module; the test registers them for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import socket
import time
from pathlib import Path
from typing import Any

from openqueue import TaskContext, registry, task

QUEUE = "stubborn"


def gates() -> Path:
    return Path(os.environ["OPENQUEUE_TEST_GATES"])


def begin(ctx: TaskContext) -> Path:
    """Say in which process this is; return the file whose age tells that the body still lives."""
    (gates() / f"pid-{ctx.run_id}").write_text(str(os.getpid()))
    return gates() / f"tick-{ctx.run_id}"


def go_on(ctx: TaskContext, kind: str) -> None:
    tick = begin(ctx)
    match kind:
        case "spins":
            while True:
                tick.touch()
        case "sleeps":
            while True:
                tick.touch()
                time.sleep(0.02)
        case "swallows":
            while True:
                with contextlib.suppress(BaseException):
                    tick.touch()
                    time.sleep(0.02)
        case "blocks":
            one, _other = socket.socketpair()
            one.recv(1)


@task(id="stubborn.thread", queue=QUEUE, max_attempts=1)
def in_thread(ctx: TaskContext, kind: str) -> None:
    go_on(ctx, kind)


@task(id="stubborn.process", queue=QUEUE, max_attempts=1, isolation="process")
def in_process(ctx: TaskContext, kind: str) -> None:
    go_on(ctx, kind)


@task(id="stubborn.async", queue=QUEUE, max_attempts=1)
async def on_the_loop(ctx: TaskContext, kind: str) -> None:
    tick = begin(ctx)
    match kind:
        case "sleeps":
            while True:
                tick.touch()
                await asyncio.sleep(0.02)
        case "swallows":
            while True:
                with contextlib.suppress(BaseException):
                    tick.touch()
                    await asyncio.sleep(0.02)
        case _:
            go_on(ctx, kind)


@task(id="stubborn.polite", queue=QUEUE, isolation="process")
def polite(ctx: TaskContext, seconds: float = 0.0) -> int:
    """End when asked, or after a while."""
    begin(ctx)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        ctx.raise_if_cancelled()
        time.sleep(0.01)
    return os.getpid()


@task(id="stubborn.hold", queue=QUEUE)
def hold_the_lock(ctx: TaskContext, seconds: int) -> int:
    """Hold Python's global lock in C, the first time."""
    begin(ctx)
    if ctx.attempt == 1:
        ctypes.PyDLL(None).sleep(seconds)
    return ctx.attempt


TASKS: list[Any] = [in_thread, in_process, on_the_loop, polite, hold_the_lock]
if os.environ.get("OPENQUEUE_TEST_MORE_TASKS") != __name__:
    for _one in TASKS:
        registry.remove(_one)
