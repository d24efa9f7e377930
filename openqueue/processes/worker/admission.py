"""What of a received batch this process has room for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from openqueue.runtimes.base import Receipt, task_of


@dataclass(slots=True)
class Sorted:
    """A batch in three parts."""

    admitted: list[Receipt] = field(default_factory=list)
    beyond_queue: list[Receipt] = field(default_factory=list)
    """Their queue has reached its concurrency here."""
    beyond_task: dict[str, list[Receipt]] = field(default_factory=dict)
    """Their task has, by task."""


def sort(receipts: Sequence[Receipt], *, queues: Mapping[str, int], tasks: Mapping[str, int]) -> Sorted:
    """Sort a batch by how many more of each limited queue and task there is room for.

    A message is taken at its word here. The database, which knows better, has the last word at the claim.
    """
    found = Sorted()
    if not queues and not tasks:
        found.admitted = list(receipts)
        return found
    left = dict(queues)
    tasks_left = dict(tasks)
    for receipt in receipts:
        task = task_of(receipt.body) if tasks else ""
        if left.get(receipt.queue, 1) <= 0:
            found.beyond_queue.append(receipt)
        elif tasks_left.get(task, 1) <= 0:
            found.beyond_task.setdefault(task, []).append(receipt)
        else:
            found.admitted.append(receipt)
            for rooms, name in ((left, receipt.queue), (tasks_left, task)):
                if name in rooms:
                    rooms[name] -= 1
    return found
