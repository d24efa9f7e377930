"""Notices a part of the worker that no longer comes back from a call, and has another thread do its work.

A broker or a database that swallows a connection leaves a thread waiting for an answer that never comes. Python
cannot end such a thread, so it is abandoned: a new one takes over, with connections of its own, and what the old one
may still bring is refused. Where that does not help although the lease is renewed, the process asks to be replaced.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final, Protocol

logger = logging.getLogger("openqueue")

SHORTEST: Final = 10.0
"""Seconds that any part may take for one step, however short the lease is."""
LONGEST: Final = 300.0
RELIEFS: Final = 3
"""Reliefs in a row after which only a new process can help."""
MOST_ABANDONED: Final = 20
"""Threads of one part left behind after which no more are: each holds a connection until its kernel gives up."""


def limit(lease: float) -> float:
    """Return the seconds that a part may take for one step."""
    return max(lease, SHORTEST)


class Watched(Protocol):
    """What can be stuck."""

    @property
    def stuck_for(self) -> float:
        """Seconds that its present step has taken."""

    @property
    def turns(self) -> int:
        """Steps that came back."""


class Part:
    """One part under watch: which thread does it now, and how it is replaced."""

    def __init__(
        self, name: str, *, now: Callable[[], Watched], relieve: Callable[[], None], limit: float
    ) -> None:
        self.name = name
        self.now = now
        self.relieve = relieve
        self.limit = limit
        self.reliefs = 0
        """In a row, each without a step that came back since."""
        self.abandoned = 0
        self.turns = 0
        """What the thread that took over last had done by then."""

    @property
    def patience(self) -> float:
        """Seconds that its step may take: twice as long after each relief that did not help."""
        return min(max(LONGEST, self.limit), self.limit * 2.0 ** min(self.reliefs, 10))

    def look(self) -> bool:
        """Relieve the part if it is stuck; tell whether it is, or has not come back since its last relief."""
        now = self.now()
        if self.reliefs and now.turns > self.turns:
            logger.warning("a part of the worker makes progress again", extra={"part": self.name})
            self.reliefs = 0
        stuck = now.stuck_for
        if stuck < self.patience:
            return self.reliefs > 0
        if self.abandoned >= MOST_ABANDONED:
            return True
        self.reliefs += 1
        self.abandoned += 1
        logger.error(
            "a part of the worker makes no progress, another thread takes over",
            extra={"part": self.name, "seconds": round(stuck, 1), "reliefs": self.reliefs},
        )
        self.relieve()
        self.turns = self.now().turns
        return True


class Watchdog:
    """Asked about once a second by the main thread."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = parts
        self.stalled: list[str] = []
        """Names of the parts that make no progress."""

    def look(self) -> None:
        """Look at every part."""
        self.stalled = [part.name for part in self.parts if part.look()]

    @property
    def is_helpless(self) -> bool:
        """Whether a part stayed stuck through all its reliefs, or left as many threads behind as it may."""
        return any(part.reliefs > RELIEFS or part.abandoned >= MOST_ABANDONED for part in self.parts)
