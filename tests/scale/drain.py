"""No-op runs, and the worker process that drains them and tells what it cost."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from openqueue.ids import uuid7
from openqueue.management.bench import accounting
from openqueue.store import store
from openqueue.types import NewRun

QUEUE, NOOP = "openqueue-bench", "openqueue.bench.noop"


def fill(runs: int) -> None:
    """Trigger runs of the benchmark's task, which is known to its worker alone."""
    for _ in range(runs // 1_000):
        store().create(
            [
                NewRun(id=uuid7(), task_id=NOOP, queue=QUEUE, runtime="default", payload="{}", max_attempts=1)
                for _ in range(1_000)
            ]
        )


@contextmanager
def process(environment: dict[str, str], *command: str) -> Iterator[subprocess.Popen[str]]:
    """A management command in a process of its own, which ends with the block."""
    arguments = [sys.executable, "-m", "django", *command]
    running = subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        yield running
    finally:
        if running.poll() is None:
            running.kill()
        running.communicate()


def drain(
    environment: dict[str, str], *, watch: Callable[[subprocess.Popen[str]], None] = lambda _: None
) -> dict[str, Any]:
    """Drain with one worker process; return its own account: runs, seconds, cpu, rss_start, rss_end."""
    with process(environment, "openqueue_bench", "--as-worker", "--drain", "--concurrency", "10") as worker:
        watch(worker)
        said, _ = worker.communicate(timeout=170)
    assert worker.returncode == 0
    told: dict[str, Any] = json.loads(said.splitlines()[-1])
    return told


def idle_cost(pid: int, seconds: float) -> tuple[float, float]:
    """Return the share of a core, in percent, and the megabytes that a process takes while nothing happens."""
    used, begun = accounting.process_cpu(pid), time.monotonic()
    time.sleep(seconds)
    used, took = accounting.process_cpu(pid) - used, time.monotonic() - begun
    return used / took * 100, (accounting.resident(pid) or 0) / 2**20
