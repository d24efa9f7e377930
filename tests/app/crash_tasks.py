"""Bodies that a test can stop at any point, and that leave traces no crash can take back.

OPENQUEUE_TEST_GATES names a folder. In it `started-<run>-<attempt>` says that a body is inside; `go-<run>-<attempt>`,
`go-<run>` or `go-all` lets it out again; and every line of `effects` is one start or end of a body, on disk before the
body goes on.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

from openqueue import TaskContext, fixed, task

LONGEST = 120.0
SOON = fixed(0.05)


def gates() -> Path:
    return Path(os.environ["OPENQUEUE_TEST_GATES"])


def effect(ctx: TaskContext, what: str) -> None:
    """Write one line that survives whatever happens to this process next."""
    facts = {
        "run": str(ctx.run_id),
        "attempt": ctx.attempt,
        "what": what,
        "pid": os.getpid(),
        "at": time.time(),
    }
    file = os.open(gates() / "effects", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, json.dumps(facts).encode() + b"\n")
        os.fsync(file)
    finally:
        os.close(file)


def is_open(ctx: TaskContext) -> bool:
    names = (f"{ctx.run_id}-{ctx.attempt}", ctx.run_id, "all")
    return any((gates() / f"go-{name}").exists() for name in names)


def wait_at_the_gate(ctx: TaskContext) -> None:
    (gates() / f"started-{ctx.run_id}-{ctx.attempt}").touch()
    until = time.monotonic() + LONGEST
    while not is_open(ctx):
        if time.monotonic() > until:
            raise TimeoutError(f"nobody opened the gate of {ctx.run_id}")
        time.sleep(0.005)


def said(ctx: TaskContext) -> dict[str, Any]:
    """Return a result that tells which attempt in which process it is of."""
    return {"attempt": ctx.attempt, "pid": os.getpid()}


@task(backoff=SOON)
def gated(ctx: TaskContext, failures: int = 0) -> dict[str, Any]:
    """Wait at the gate; then return, or raise the first times."""
    effect(ctx, "start")
    wait_at_the_gate(ctx)
    effect(ctx, "end")
    if ctx.attempt <= failures:
        raise ValueError(f"attempt {ctx.attempt}")
    return said(ctx)


@task(backoff=SOON)
def quick(ctx: TaskContext, failures: int = 0, longest: float = 0.0) -> dict[str, Any]:
    """Take a moment; fail the first times."""
    effect(ctx, "start")
    time.sleep(random.uniform(0, longest))
    effect(ctx, "end")
    if ctx.attempt <= failures:
        raise ValueError(f"attempt {ctx.attempt}")
    return said(ctx)


@task(backoff=SOON)
def deadly(ctx: TaskContext, ways: list[str]) -> dict[str, Any]:
    """End the worker's process, in each attempt in another way."""
    effect(ctx, "start")
    way = ways[ctx.attempt - 1] if ctx.attempt <= len(ways) else "live"
    match way:
        case "exit 0":
            os._exit(0)
        case "exit 137":
            os._exit(137)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
    effect(ctx, "end")
    return said(ctx)


@task(backoff=SOON)
async def agated(ctx: TaskContext) -> dict[str, Any]:
    """The same on the event loop."""
    import asyncio

    effect(ctx, "start")
    (gates() / f"started-{ctx.run_id}-{ctx.attempt}").touch()
    while not is_open(ctx):
        await asyncio.sleep(0.005)
    effect(ctx, "end")
    return said(ctx)
