"""Tasks that run in processes of their own. They are in no registry until a test asks for them: `isolated_tasks`."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from django.db import connection, transaction

from openqueue import NonRetryableError, RetryableError, TaskContext, registry, task
from tests.app.models import Note

MEGABYTE = 1024**2
HOOKS: list[Any] = []
"""What hooks were called with, in the process of the test."""


@task(id="isolated.add", isolation="process")
def add(a: int, b: int) -> dict[str, int]:
    return {"sum": a + b, "pid": os.getpid()}


@task(id="isolated.pay", isolation="process")
def pay(ctx: TaskContext) -> str:
    with transaction.atomic():
        Note.objects.create(text="paid")
        ctx.complete_in_transaction("there")
    return "here"


@task(id="isolated.echo", isolation="process")
def echo(text: str) -> str:
    print(text)
    return text


@task(id="isolated.leave", isolation="process", max_attempts=1)
def leave(way: str) -> str:
    LEAVING[way]()
    return "still there"


@task(id="isolated.leave_once", isolation="process", on_worker_lost="fail")
def leave_once() -> None:
    os._exit(1)


LEAVING: dict[str, Callable[[], Any]] = {
    "exit 0": lambda: os._exit(0),
    "exit 137": lambda: os._exit(137),
    "segfault": lambda: ctypes.string_at(0),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
}


@task(id="isolated.block", isolation="process", max_attempts=1)
def block(ctx: TaskContext) -> None:
    ctx.logger.info("pid %d", os.getpid())
    time.sleep(3600)


@task(id="isolated.wait", isolation="process", max_attempts=1)
def wait(ctx: TaskContext) -> None:
    """End at the next checkpoint after somebody asks."""
    ctx.logger.info("waiting")
    try:
        while True:
            ctx.heartbeat()
            time.sleep(0.01)
    finally:
        Note.objects.create(text=f"cancelled: {ctx.is_cancelled}")


@task(id="isolated.talk", isolation="process", max_attempts=1)
def talk(ctx: TaskContext) -> None:
    print("printed")
    print("to stderr", file=sys.stderr)
    ctx.logger.warning("logged")
    other = logging.getLogger("tests.of.a.project")
    other.setLevel(logging.INFO)
    other.info("by another logger")
    for percent in range(101):
        ctx.progress(percent, "all")
    sys.stdout.write("no end")


@task(id="isolated.grow", isolation="process", max_attempts=1, memory_limit="200MB")
def grow(megabytes: int) -> int:
    bytearray(megabytes * MEGABYTE)
    return os.getpid()


@task(id="isolated.map", isolation="process", max_attempts=1, memory_limit="200MB")
def map_shared(megabytes: int) -> None:
    """Take memory that no limit of the process counts."""
    import mmap

    with mmap.mmap(-1, megabytes * MEGABYTE) as shared:
        for at in range(0, len(shared), mmap.PAGESIZE):
            shared[at] = 1
        time.sleep(60)


@task(id="isolated.leak", isolation="process")
def leak(megabytes: int) -> int:
    LEAKED.append(bytearray(megabytes * MEGABYTE))
    return os.getpid()


LEAKED: list[Any] = []


@task(id="isolated.fork", isolation="process", max_attempts=1)
def fork(way: str) -> int:
    """Leave a process behind that holds everything open; return its number."""
    pid = os.fork()
    if pid:
        if way == "die":
            os._exit(1)
        return pid
    if way == "return":
        return -1  # a body that forgot which of the two it is
    if way == "die":
        os.setsid()  # nobody ends it but itself
    time.sleep(10 if way == "die" else 60)
    os._exit(0)


@task(id="isolated.surroundings", isolation="process")
def surroundings() -> dict[str, Any]:
    """Tell what this process was given: the targets of its open files, and its environment."""
    numbers = os.listdir("/proc/self/fd")
    targets = [os.readlink(file) for number in numbers if os.path.lexists(file := f"/proc/self/fd/{number}")]
    sockets = [target for target in targets if target.startswith("socket:")]
    return {"sockets": len(sockets), "group": os.getpgid(0) == os.getpid()}


@task(id="isolated.sleep", isolation="process", max_attempts=1)
async def asleep(ctx: TaskContext, seconds: float) -> int:
    await asyncio.sleep(seconds)
    print("slept")
    return os.getpid()


@task(id="isolated.fail", isolation="process", max_attempts=2, backoff=0)
def fail(how: str) -> Any:
    match how:
        case "error":
            raise ValueError("Zoë")
        case "exit":
            sys.exit(3)
        case "never":
            raise NonRetryableError("no")
        case "later":
            raise RetryableError("later", delay=3600)
        case "result":
            return object()
        case "connection":
            transaction.atomic().__enter__()
            return "left open"
        case "manners":
            os.chdir("/")
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            return "changed"


@task(id="isolated.look", isolation="process")
def look() -> dict[str, Any]:
    """Tell what state the last body left behind."""
    Note.objects.count()
    return {
        "in_transaction": connection.in_atomic_block,
        "folder": os.getcwd() == "/",
        "signal": signal.getsignal(signal.SIGTERM) is signal.SIG_DFL,
        "database": str(connection.settings_dict["NAME"]),
    }


@task(id="isolated.secretive", isolation="process", secret=["password"])
def secretive(ctx: TaskContext, password: str) -> dict[str, str]:
    print("it is", password)
    ctx.progress(50, password)
    return {"password": password}


@task(
    id="isolated.hooked", isolation="process",
    on_start=lambda ctx: HOOKS.append(("start", os.getpid())),
    on_success=lambda ctx, result: HOOKS.append(("success", os.getpid(), result, ctx.attempt)),
)  # fmt: skip
def hooked() -> str:
    return "done"


@task(id="isolated.alone", isolation="process", concurrency=1)
def alone() -> tuple[float, float]:
    begun = time.monotonic()
    time.sleep(0.3)
    return begun, time.monotonic()


@task(id="isolated.traced", isolation="process")
def traced() -> int:
    from opentelemetry import trace

    return trace.get_current_span().get_span_context().trace_id


TASKS: list[Any] = [one for one in list(globals().values()) if hasattr(one, "signature")]
for _one in TASKS:
    registry.remove(_one)
