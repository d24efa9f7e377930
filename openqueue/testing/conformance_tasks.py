"""Tasks of the conformance suite that run in children: a fresh interpreter must be able to import them."""

from __future__ import annotations

import os
import time

from openqueue.context import TaskContext
from openqueue.declaration import task

QUEUE = "openqueue-conformance"
"""A queue of OpenQueue's own: no worker serves it unasked. The cases trigger these tasks into queues of theirs."""


@task(id="conformance.isolated", queue=QUEUE, isolation="process")
def isolated(ctx: TaskContext) -> int:
    """Say in which process this is."""
    ctx.logger.info("from a child")
    return os.getpid()


@task(id="conformance.deaf", queue=QUEUE, isolation="process", max_attempts=1)
def deaf() -> None:
    """Go on for longer than anybody waits."""
    time.sleep(3600)


@task(id="conformance.fatal", queue=QUEUE, isolation="process", max_attempts=1)
def fatal(ctx: TaskContext) -> int:
    """End the process, the first time."""
    if ctx.attempt == 1:
        os._exit(0)
    return ctx.attempt


@task(id="conformance.stepped", queue=QUEUE, isolation="process", max_attempts=2, backoff=0)
def stepped(ctx: TaskContext) -> list[int]:
    """Do a step in the first attempt, and say in the second which process did it; read the node before."""
    found = ctx.step("here", os.getpid)
    if ctx.attempt == 1:
        raise ValueError
    return [found, os.getpid(), ctx.flow.result("first")]
