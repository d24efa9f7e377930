"""Tasks whose bodies are given by the test, and what becomes of their runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from django.db import connection, transaction

from openqueue import TaskContext, registry, task
from openqueue.models import Claim, Outbox, Run
from openqueue.processes.worker.worker import Worker
from tests.app.models import Note

BODIES: dict[str, Callable[[], Any]] = {"nothing": lambda: None}
LONGEST = 20.0


@task(id="unpleasant", max_attempts=1)
def unpleasant(ctx: TaskContext, body: str) -> Any:
    look_around()
    return BODIES[body]()


@task(id="aunpleasant", max_attempts=1)
async def aunpleasant(ctx: TaskContext, body: str) -> Any:
    await Note.objects.acreate(text="clean")
    return BODIES[body]()


def look_around() -> None:
    """Use the database as somebody does who knows nothing of the body before."""
    assert connection.get_autocommit()
    assert not connection.in_atomic_block
    with transaction.atomic():
        Note.objects.create(text="clean")


def drain(*, slots: int = 1) -> None:
    """Run a worker in this process until nothing is due; fail when it does not come to that."""
    worker = Worker(slots=slots, drain=True)
    hung = threading.Timer(LONGEST, worker.stop)
    hung.start()
    try:
        assert worker.run() == 0
    finally:
        hung.cancel()
    assert not Claim.objects.exists(), "an outcome was not recorded"
    assert not Outbox.objects.exists(), "the worker stopped serving"


def ends_of(bodies: Mapping[str, Callable[[], Any]], *, task: Any = unpleasant) -> dict[str, Run]:
    """Return how a run of each body ended, all on one slot; each found its connection clean."""
    BODIES.update(bodies)
    runs = {name: task.trigger(name) for name in [*bodies, "nothing"]}
    drain()
    assert Note.objects.filter(text="clean").count() == len(runs)
    ends = {name: Run.objects.get(pk=run.id) for name, run in runs.items()}
    assert ends.pop("nothing").status == "completed"
    return ends


def end_of(body: Callable[[], Any], *, task: Any = unpleasant) -> Run:
    return ends_of({"it": body}, task=task)["it"]


def raising(error: BaseException | type[BaseException]) -> Callable[[], Any]:
    def body() -> None:
        raise error

    return body


for _one in (unpleasant, aunpleasant):
    registry.remove(_one)  # the fixture unpleasant_tasks registers them for a test
