"""What the benchmark runs. Imported by the benchmark alone, so that no worker of yours serves it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, cast

from openqueue import task
from openqueue.conf import QueueConfig, config

QUEUE: Final = "openqueue-bench"


@task(id="openqueue.bench.noop", queue=QUEUE, max_attempts=1)
def noop() -> None:
    """Do nothing."""


@contextmanager
def carried_by(alias: str) -> Iterator[None]:
    """Have the benchmark's queue live on a runtime, in this process."""
    queues = cast("dict[str, Any]", config.queues)
    before = queues.get(QUEUE)
    queues[QUEUE] = QueueConfig(name=QUEUE, runtime=alias)
    noop.usual_facts = None
    try:
        yield
    finally:
        noop.usual_facts = None
        if before is None:
            del queues[QUEUE]
        else:
            queues[QUEUE] = before
