"""OpenQueue's own work, done by OpenQueue."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from uuid import UUID

from openqueue.context import TaskContext
from openqueue.declaration import task
from openqueue.errors import TaskCancelled, WrongState


@task(queue="openqueue", max_attempts=10, api_enqueueable=False)
def act_on_runs(ctx: TaskContext, operation: UUID) -> dict[str, Any]:
    """Act on all runs that a search finds; the operation remembers how far it has come."""
    # Every process imports this module as it starts; few ever need what operators do.
    from openqueue.control import bulk  # noqa: PLC0415
    from openqueue.control.actor import Actor  # noqa: PLC0415

    try:
        for now in bulk.drive(operation):
            ctx.progress(
                None if now.share is None else 100 * now.share,
                f"{now.acted} {bulk.ACTS[now.act].past}, {now.met - now.acted} skipped",
            )
            if now.finished_at is None:
                ctx.raise_if_cancelled()
    except TaskCancelled:
        with suppress(WrongState):  # it was through before it heard
            bulk.stop(operation, actor=Actor(name="cancel of its run"))
        raise
    return {"acted": now.acted, "skipped": dict(now.skipped)}
