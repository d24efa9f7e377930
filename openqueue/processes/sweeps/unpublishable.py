"""Finds the runs whose message a broker never takes, though it takes others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from openqueue.ids import uuid7
from openqueue.runtimes.base import Message, Published
from openqueue.types import Announcement

TRIES: Final = 10
"""Publishes, each after twice the time of the last: about nine minutes."""


def unpublishable(
    rows: Sequence[tuple[Announcement, Message, Published]],
    *,
    publish: Callable[[Sequence[Message]], Sequence[Published]],
) -> list[tuple[Announcement, str]]:
    """Return those of the rows just tried that will never go out, each with what the broker said.

    Either the runtime says so, or the broker takes a message that names no run, which a worker drops, into the same
    queue and refuses the row's once more after it. While a broker is away, or full, it takes neither.
    """
    failed = [(row, m, a) for row, m, a in rows if a.error and a.certain and row.unheard >= TRIES]
    found = [(row, str(answer.error)) for row, _, answer in failed if answer.refused]
    doubtful = [(row, m) for row, m, answer in failed if not answer.refused]
    if doubtful:
        queues = sorted({message.queue for _, message in doubtful})
        probes = [Message(uuid7(), 1, "", queue) for queue in queues]
        answers = publish([*probes, *(message for _, message in doubtful)])
        takes = {q for q, answer in zip(queues, answers, strict=False) if answer.error is None}
        found += [
            (row, answer.error)
            for (row, message), answer in zip(doubtful, answers[len(probes) :], strict=True)
            if message.queue in takes and answer.error and answer.certain
        ]
    return found
