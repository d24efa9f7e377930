"""What the benchmark runs. Imported by the benchmark alone, so that no worker of yours serves it."""

from __future__ import annotations

from typing import Final

from openqueue import task

QUEUE: Final = "openqueue-bench"


@task(id="openqueue.bench.noop", queue=QUEUE, max_attempts=1)
def noop() -> None:
    """Do nothing."""
