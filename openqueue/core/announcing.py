"""From rows that are due to what tells of them."""

from __future__ import annotations

from collections.abc import Sequence

from openqueue.models import Run
from openqueue.runtimes.base import Message
from openqueue.store import store
from openqueue.types import Announcement


def message(row: Announcement) -> Message:
    """Return the message of a row."""
    return Message(
        row.run_id, row.seq, row.task_id, row.queue, row.attempt, row.priority, key=row.ordering_key
    )


def traced(messages: Sequence[Message]) -> list[Message]:
    """Return messages with the traces of their runs: one read by key for what is about to be sent."""
    if not messages:
        return []
    runs = Run.objects.using(store().alias).filter(pk__in=[m.run_id for m in messages])
    traces = dict(runs.filter(traceparent__isnull=False).values_list("pk", "traceparent"))
    return [m._replace(traceparent=traces.get(m.run_id)) for m in messages] if traces else list(messages)
