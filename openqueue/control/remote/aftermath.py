"""What follows the end of attempts over HTTP, after its commit: whoever waits, listens or has a hook hears of it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from uuid import UUID

from django.db import DatabaseError, InterfaceError

from openqueue import signals
from openqueue.context import TaskContext
from openqueue.control.remote.holding import Holding
from openqueue.core import post_commit
from openqueue.states import FINAL, Status
from openqueue.store import store, waking
from openqueue.types import Outcome

logger = logging.getLogger("openqueue")
Ended = Mapping[tuple[UUID, UUID], tuple[Holding, Outcome, Status]]


def follow(ended: Ended) -> None:
    """Tell of these ends."""
    again = [
        (place[0], outcome.delay)
        for place, (_, outcome, status) in ended.items()
        if status is Status.RETRYING
    ]
    if again:
        post_commit.announce_ahead(again)
    if any(status in FINAL for _, _, status in ended.values()):
        with suppress(DatabaseError, InterfaceError):  # they look from time to time as well
            waking.tell(store())
    for held, outcome, status in ended.values():
        _tell(held, outcome, status)


def _tell(held: Holding, outcome: Outcome, status: Status) -> None:
    one = held.attempt
    facts = signals.facts_of_end(
        outcome,
        run_id=one.run_id,
        attempt=one.attempt,
        queue=one.queue,
        status=status,
        duration=outcome.age,
    )
    signals.send(signals.run_settled, sender=held.task, **facts)
    name = signals.HOOKS.get(status, "")
    if (hook := held.task.hooks.get(name)) is not None:
        arguments = signals.hook_arguments(name, outcome, error=facts["error"])
        try:
            hook(_context(held), *arguments)
        except (
            Exception
        ):  # code of the project: the end is committed, whatever the hook raises, and the log says it
            logger.exception("a hook failed", extra={"task_id": held.task.id, "hook": name})


def _context(held: Holding) -> TaskContext:
    one = held.attempt
    return TaskContext(
        run_id=one.run_id,
        task_id=one.task_id,
        queue=one.queue,
        attempt=one.attempt,
        max_attempts=one.max_attempts,
        payload=one.payload,
    )
