"""Announces due rows that nobody announced, and again those that nobody claimed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from openqueue import runtimes
from openqueue.conf import config
from openqueue.core.post_commit import marks
from openqueue.runtimes.base import Message, Published, Runtime
from openqueue.store import store
from openqueue.types import Announcement

logger = logging.getLogger("openqueue")

BATCH: Final = 500
BATCHES: Final = 10
"""Of one queue in one turn."""
WINDOW: Final = 5_000
"""How much of a queue is announced at once; admission happens here: priority, limits, cancellation."""
Leased = Sequence[tuple[Announcement, bool, str | None]]


class Announcer:
    """Dispatcher and reconciler in one. Rows are leased by a commit; no row lock is held while a broker is asked."""

    name = "announce"
    every = timedelta(milliseconds=250)

    def __init__(self, *, runtime: str | None = None) -> None:
        self.only = runtime

    def step(self, now: datetime | None = None) -> int:
        """Announce one batch of each broker runtime; return how many messages were confirmed."""
        sent = 0
        for alias in [self.only] if self.only else config.runtimes:
            runtime = runtimes.get(alias)
            if runtime.carries_messages:
                sent += self.announce(runtime, now=now)
        return sent

    def announce(self, runtime: Runtime, *, now: datetime | None) -> int:
        """Announce up to so many batches: what an outage has left is gone in seconds."""
        total = 0
        for _ in range(BATCHES):
            sent, full = self.batch(runtime, now=now)
            total += sent
            if not full:
                break
        return total

    def batch(self, runtime: Runtime, *, now: datetime | None) -> tuple[int, bool]:
        rooms = self.rooms(runtime)
        if not rooms:
            return 0, False
        leased = store().lease_announcements(runtime=runtime.alias, rooms=rooms, now=now)
        if not leased:
            return 0, False
        messages = [message(a) for a, _, _ in leased]
        lost = self.lost(runtime, leased, messages)
        answers: list[Published] = []
        wanted = [m for m, gone in zip(messages, lost, strict=True) if gone]
        published = iter(self.publish(runtime, wanted))
        for (_, _, ref), gone in zip(leased, lost, strict=True):
            answers.append(next(published) if gone else Published(ref=ref))
        store().mark_announced(marks(messages, answers, tries=[a.tries for a, _, _ in leased]), now=now)
        told_again = [
            row
            for (row, announced, _), gone, answer in zip(leased, lost, answers, strict=True)
            if announced and gone and answer.error is None
        ]
        if told_again:
            store().note_announced_again(told_again, now=now)
        sent = sum(answer.error is None for answer in answers)
        return sent, sent >= BATCH

    @staticmethod
    def rooms(runtime: Runtime) -> dict[str, int]:
        """Return how many rows each queue may announce now: up to the window, by what the broker still has."""
        rooms = {}
        for queue in store().outbox_queues(runtime=runtime.alias):
            try:
                depth = runtime.inspect(queue).depth or 0
            except Exception:
                # Whatever a broker's client raises: it cannot tell now; the publish will say what is wrong.
                logger.info(
                    "could not inspect", extra={"runtime": runtime.alias, "queue": queue}, exc_info=True
                )
                depth = 0
            if depth < WINDOW:
                rooms[queue] = min(BATCH, WINDOW - depth)
        return rooms

    @staticmethod
    def lost(runtime: Runtime, leased: Leased, messages: Sequence[Message]) -> list[bool]:
        """Tell which messages to send: those never tried, and those the broker no longer has."""
        again = [n for n, (a, announced, _) in enumerate(leased) if a.tries > 1 or announced]
        gone = [True] * len(messages)
        if again:
            try:
                answers = runtime.missing([messages[n] for n in again], [leased[n][2] for n in again])
            except Exception:
                # As above; a second message is harmless.
                logger.info("could not ask for messages", extra={"runtime": runtime.alias}, exc_info=True)
                answers = [True] * len(again)
            for n, missing in zip(again, answers, strict=True):
                gone[n] = missing
        return gone

    @staticmethod
    def publish(runtime: Runtime, messages: Sequence[Message]) -> Sequence[Published]:
        if not messages:
            return []
        try:
            return runtime.publish(messages)
        except ConnectionRefusedError as error:
            return [Published(error=str(error))] * len(messages)
        except Exception as error:
            # Whatever a broker's client raises: the rows stand and say why; unknown, so they wait REPUBLISH_AFTER.
            logger.warning(
                "could not announce", extra={"runtime": runtime.alias, "count": len(messages)}, exc_info=True
            )
            return [Published(error=f"{type(error).__name__}: {error}", certain=False)] * len(messages)


def message(row: Announcement) -> Message:
    """Return the message of a row."""
    return Message(row.run_id, row.seq, row.task_id, row.queue, row.attempt, row.priority)
