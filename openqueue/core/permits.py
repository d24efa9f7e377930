"""Let runs through the limits of the whole fleet: as many as there is room for, in their turn (decision 0031)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final

from openqueue import registry, runtimes
from openqueue.conf import config
from openqueue.core.announcing import message, traced
from openqueue.core.resending import again
from openqueue.limits import Allowance
from openqueue.runtimes.base import Message
from openqueue.store import permits, store
from openqueue.types import Announcement

CHUNK: Final = 100
"""Limits that are locked together."""
ALONE: Final = Allowance(at_once=1)
"""Of a task that this process does not know. Whoever runs it knows more of it, and sees to the others."""


def admit(limits: Iterable[str], *, patient: bool = True, now: datetime | None = None) -> list[Announcement]:
    """Let through whoever these limits have room for, and return them: they are ready now.

    In transactions of its own, so that no limit is locked for longer than it takes to count.

    patient: wait for limits that others have locked just now; else these see to them.
    """
    carriers = [alias for alias in config.runtimes if runtimes.get(alias).carries_messages]

    def allowance(task_id: str, key: str) -> Allowance:
        task: Any = registry.find(task_id)
        return ALONE if task is None else task.allowance(key)

    ready: list[Announcement] = []
    left = sorted(set(limits))
    with registry.remembering():
        while left:
            some, left = left[:CHUNK], left[CHUNK:]
            act = partial(
                permits.admit, store(), some, allowance=allowance, carriers=carriers, patient=patient, now=now
            )
            admitted, again_at = again(act)
            ready += admitted
            left += again_at
    return ready


def messages(rows: Sequence[Announcement]) -> list[tuple[str, Sequence[Message]]]:
    """Return what tells of these rows, by runtime."""
    told: dict[str, list[Message]] = {}
    for row, one in zip(rows, traced([message(row) for row in rows]), strict=True):
        told.setdefault(row.runtime, []).append(one)
    return list(told.items())
