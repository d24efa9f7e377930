"""Announces due rows that nobody announced, and again those that nobody claimed."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from openqueue import runtimes
from openqueue.conf import config
from openqueue.core import transitions
from openqueue.core.announcing import message, traced
from openqueue.core.post_commit import marks
from openqueue.core.window import Window
from openqueue.processes.sweeps.unpublishable import unpublishable
from openqueue.runtimes.base import Message, Published, Runtime
from openqueue.states import Reason
from openqueue.store import store
from openqueue.types import Announcement

logger = logging.getLogger("openqueue")

SHORTEST: Final = timedelta(milliseconds=250)
LONGEST: Final = timedelta(milliseconds=500)
"""While no queue of a broker has a due row. Rows falling due in this process rouse it at once."""
BATCH: Final = 500
BATCHES: Final = 10
"""Of one queue in one turn."""
Leased = Sequence[tuple[Announcement, bool, str | None]]


class Announcer:
    """Dispatcher and reconciler in one. Rows are leased by a commit; no row lock is held while a broker is asked."""

    name = "announce"

    def __init__(self, *, runtime: str | None = None) -> None:
        self.every = SHORTEST
        self.only = runtime
        self.windows: defaultdict[tuple[str, str], Window] = defaultdict(Window)

    def step(self, now: datetime | None = None) -> int:
        """Announce one batch of each broker runtime; return how many messages were confirmed."""
        sent, self.every = 0, min(LONGEST, self.every * 2)
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
        published = iter(self.publish(runtime, traced(wanted)))
        for (_, _, ref), gone in zip(leased, lost, strict=True):
            answers.append(next(published) if gone else Published(ref=ref))
        store().mark_announced(marks(messages, answers, [a for a, _, _ in leased]), now=now)
        self.give_up(runtime, list(zip([a for a, _, _ in leased], messages, answers, strict=True)), now=now)
        told_again = [
            row
            for (row, announced, _), gone, answer in zip(leased, lost, answers, strict=True)
            if announced and gone and answer.error is None
        ]
        if told_again:
            store().note_announced_again(told_again, now=now)
        confirmed = [m for m, answer in zip(messages, answers, strict=True) if answer.error is None]
        for queue, count in Counter(m.queue for m in confirmed).items():
            self.windows[runtime.alias, queue].sent(count)
        return len(confirmed), len(confirmed) >= BATCH

    def rooms(self, runtime: Runtime) -> dict[str, int]:
        """Return how many rows each queue may announce now: up to the window, by what the broker still has."""
        rooms = {}
        for queue in store().outbox_queues(runtime=runtime.alias):
            self.every = SHORTEST
            try:
                depth = runtime.inspect(queue).depth or 0
            except Exception:  # whatever a broker's client raises: the publish will say what is wrong
                logger.info(
                    "could not inspect", extra={"runtime": runtime.alias, "queue": queue}, exc_info=True
                )
                depth = 0
            window = self.windows[runtime.alias, queue]
            window.saw(depth)
            if window.room:
                rooms[queue] = min(BATCH, window.room)
        return rooms

    @staticmethod
    def lost(runtime: Runtime, leased: Leased, messages: Sequence[Message]) -> list[bool]:
        """Tell which messages to send: those never tried or put back since, and those the broker no longer has.

        Of one that was put back the broker may have a message: whoever received it is about to settle it.
        """
        again = [n for n, (a, announced, _) in enumerate(leased) if a.unheard > 1 or announced]
        gone = [True] * len(messages)
        if again:
            try:
                answers = runtime.missing([messages[n] for n in again], [leased[n][2] for n in again])
            except Exception:  # whatever a broker's client raises: a second message is harmless
                logger.info("could not ask for messages", extra={"runtime": runtime.alias}, exc_info=True)
                answers = [True] * len(again)
            for n, missing in zip(again, answers, strict=True):
                gone[n] = missing
        return gone

    def give_up(
        self,
        runtime: Runtime,
        rows: Sequence[tuple[Announcement, Message, Published]],
        *,
        now: datetime | None,
    ) -> None:
        """Fail the runs whose message will never go out: nobody would ever hear of them."""
        for row, error in unpublishable(rows, publish=lambda messages: self.publish(runtime, messages)):
            logger.error(
                "a run cannot be announced, it fails",
                extra={
                    "run_id": str(row.run_id),
                    "runtime": runtime.alias,
                    "queue": row.queue,
                    "error": error,
                },
            )
            message = (
                f"The broker of the runtime {runtime.alias!r} did not take this run's message in {row.unheard} tries, "
                f"though it takes others. Mend what it says, then retry the run: {error}"
            )
            transitions.refuse([(row.run_id, row.seq)], reason=Reason.UNPUBLISHABLE, message=message, now=now)

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
