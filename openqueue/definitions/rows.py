"""Where the registry looks for tasks that no code here has."""

from __future__ import annotations

import logging
from typing import Final

from openqueue.definitions.defined import DefinedTask
from openqueue.errors import OpenQueueError
from openqueue.models import TaskDefinition
from openqueue.store import store

logger = logging.getLogger("openqueue")
LONGEST: Final = 200
"""Characters of an id."""


class Rows:
    """The table of definitions. Not cached: a definition counts from its commit on, in every process."""

    def one(self, task_id: str) -> DefinedTask | None:
        """Return a defined task, in one statement; None when there is none of this id."""
        # What no row can have, no database is asked for: PostgreSQL refuses a NUL.
        if len(task_id) > LONGEST or not task_id.isprintable():
            return None
        row = TaskDefinition.objects.using(store().alias).filter(pk=task_id).first()
        return None if row is None else made(row)

    def every(self) -> dict[str, DefinedTask]:
        """Return all of them by id, in one statement."""
        found = {}
        for row in TaskDefinition.objects.using(store().alias).all():
            try:
                found[row.task_id] = made(row)
            except OpenQueueError:  # written by another release: the others are not to suffer from it
                logger.exception("a definition cannot be read", extra={"task_id": row.task_id})
        return found


def made(row: TaskDefinition) -> DefinedTask:
    """Return the task of a row."""
    return DefinedTask(row.task_id, queue=row.queue, declaration=row.declaration)
