"""Tasks that the tests' server and worker know, for clients to trigger."""

from __future__ import annotations

from openqueue import NonRetryableError, TaskContext, task


@task(id="served.add")
def add(ctx: TaskContext, a: int, b: int) -> int:
    ctx.logger.info("adding")
    return a + b


@task(id="served.fail")
def fail() -> None:
    raise NonRetryableError("no such order")
