"""An operator's retry: what is opened again is announced on commit, or let through the limits that it waits for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from openqueue import limits
from openqueue.core import post_commit
from openqueue.models import Run
from openqueue.runtimes.base import Message

COLUMNS: Final = ("task_id", "runtime", "priority", "traceparent", "concurrency_key", "ordering_key")
"""What of a run its announcement says, and what it waits for."""


def announce(opened: Sequence[tuple[UUID, int, str, str]], *, runs: Mapping[UUID, Run]) -> None:
    """Tell of runs that were put back.

    opened: run, seq, queue and runtime of each, as `requeue` returned them.
    runs: their rows, of which at least COLUMNS were read.
    """
    by_runtime: dict[str, list[Message]] = defaultdict(list)
    waited_for: set[str] = set()
    for pk, seq, queue, runtime in opened:
        run = runs[pk]
        if waits := limits.freed(run.concurrency_key, run.ordering_key):
            waited_for.update(waits)
        else:
            message = Message(pk, seq, run.task_id, queue, 1, run.priority, run.traceparent)
            by_runtime[runtime].append(message)
    for alias, messages in by_runtime.items():
        post_commit.announce_on_commit(alias, messages)
    if waited_for:
        post_commit.admit_on_commit(waited_for)
