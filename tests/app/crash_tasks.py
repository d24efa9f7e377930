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
import subprocess
import time
from pathlib import Path
from typing import Any

from django.db import connection, transaction

from openqueue import TaskContext, fixed, task
from tests.app.models import Note

LONGEST = 120.0
SOON = fixed(0.05)
LEAKED: list[bytes] = []


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


@task(timeout=0.2, max_attempts=1)
def stuck(ctx: TaskContext) -> None:
    """Wait where CPython interrupts nobody, for longer than any test."""
    effect(ctx, "start")
    time.sleep(LONGEST)


@task
def leaky(ctx: TaskContext, megabytes: int) -> dict[str, Any]:
    """Keep so much memory for good."""
    LEAKED.append(b"x" * (megabytes * 2**20))
    return said(ctx)


@task(backoff=SOON)
def deaf(ctx: TaskContext, seconds: int) -> dict[str, Any]:
    """In the first attempt, compute in C without ever letting another thread of the process run."""
    import ctypes

    effect(ctx, "start")
    if ctx.attempt == 1:
        ctypes.PyDLL(None).sleep(seconds)  # PyDLL keeps the interpreter's lock
    effect(ctx, "end")
    return said(ctx)


@task(backoff=SOON)
def parent(ctx: TaskContext) -> dict[str, Any]:
    """Start a process that outlives the body, then wait at the gate."""
    left = subprocess.Popen(["sleep", str(LONGEST)])
    (gates() / f"left-{ctx.run_id}-{ctx.attempt}").write_text(str(left.pid))
    wait_at_the_gate(ctx)
    return said(ctx)


@task(max_attempts=1)
def hog(ctx: TaskContext, seconds: float) -> None:
    """Hold the interpreter's lock for so long at a time, in C, until let go: nothing else of the process runs."""
    (gates() / f"started-{ctx.run_id}-{ctx.attempt}").touch()
    rounds = 200_000
    while not is_open(ctx):
        began = time.monotonic()
        sum(range(rounds))  # one call in C
        rounds = int(rounds * min(4.0, max(0.25, seconds / max(time.monotonic() - began, 0.001))))


@task
def reader(ctx: TaskContext) -> dict[str, Any]:
    """Use the body's own database connection."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s", [str(ctx.run_id)])
        (answer,) = cursor.fetchone()
    assert answer == str(ctx.run_id)
    effect(ctx, "start")
    return said(ctx)


@task(backoff=SOON)
async def blocking(ctx: TaskContext, seconds: float) -> dict[str, Any]:
    """Hold up the event loop, as a coroutine does that calls something slow without awaiting it."""
    effect(ctx, "start")
    time.sleep(seconds)
    effect(ctx, "end")
    return said(ctx)


@task
def traced(ctx: TaskContext) -> str:
    """Return the trace that the body is in."""
    from opentelemetry import trace

    effect(ctx, "start")
    return f"{trace.get_current_span().get_span_context().trace_id:032x}"


@task(backoff=SOON, max_concurrency=2)
def tight(ctx: TaskContext, failures: int = 0, longest: float = 0.2) -> dict[str, Any]:
    """The same as `quick`, two at a time in the whole fleet."""
    return quick.function(ctx, failures, longest)


@task(backoff=SOON, ordering_key="account:{account}")
def booked(ctx: TaskContext, account: int, failures: int = 0, longest: float = 0.2) -> dict[str, Any]:
    """The same as `quick`, one at a time for each account."""
    return quick.function(ctx, failures, longest)


@task(backoff=SOON)
def paying(ctx: TaskContext, gate: str) -> None:
    """Write a row and complete in one transaction; wait at the gate before its commit, or after it."""
    effect(ctx, "start")
    with transaction.atomic():
        Note.objects.create(text=str(ctx.run_id))
        ctx.complete_in_transaction(said(ctx))
        if gate == "before":
            wait_at_the_gate(ctx)
    if gate == "after":
        wait_at_the_gate(ctx)
