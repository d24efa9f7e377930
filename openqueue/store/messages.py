"""What each message is answered, for databases whose claim does not work it out: the rules of claim_named.sql."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple
from uuid import UUID

from openqueue.states import Reason
from openqueue.types import Answer, ClaimRequest, Deferred


class Found(NamedTuple):
    """An outbox row that a message names, and whatever else was read of it."""

    run_id: UUID
    seq: int
    task_id: str
    queue: str
    ready: bool
    """Its time has come, whether or not a sweep has noted it."""
    waits_for: str | None
    unheard: int
    """How often it was tried since a worker last put it back though nothing was wrong with it."""
    paused: bool
    row: Any


def judge(
    found: Iterable[Found], request: ClaimRequest, *, answers: dict[tuple[UUID, int], Answer]
) -> tuple[list[Any], list[Deferred], list[UUID]]:
    """Return the rows to claim, what to put back, and whose message came early; note the answer to each message.

    Of these last two the broker has no message any more: their rows are unannounced, and their reference with them. A
    broker that is asked by it would take the row's message for one of those that still wait.
    """
    known, task_rooms, queue_rooms = set(request.known), dict(request.task_rooms), dict(request.queue_rooms)
    mine, deferred, early = [], [], []
    for row in found:
        key = row.run_id, row.seq
        if key not in answers:
            continue
        if (
            row.waits_for is not None or not row.ready
        ):  # for a permit, which nobody gives it here, or its time
            early.append(row.run_id)
            answers[key] = "later"
            continue
        room = min(task_rooms.get(row.task_id, 1), queue_rooms.get(row.queue, 1))
        if row.paused or row.task_id not in known or room <= 0:
            why = "paused" if row.paused else "no_slot" if row.task_id in known else Reason.UNKNOWN_TASK.value
            unheard = row.unheard + 1 if why == Reason.UNKNOWN_TASK else 0
            deferred.append(Deferred(row.run_id, row.seq, row.task_id, unheard, why))
            answers[key] = "deferred"
            continue
        mine.append(row.row)
        answers[key] = "claimed"
        for rooms, name in ((task_rooms, row.task_id), (queue_rooms, row.queue)):
            if name in rooms:
                rooms[name] -= 1
    return mine, deferred, early
