"""How late this process's threads wake: the sign of a processor, or an interpreter lock, that is not to be had."""

from __future__ import annotations

import logging
from typing import Final

logger = logging.getLogger("openqueue")

LATE: Final = 0.5
"""Seconds: a worker whose threads wake later than this is overloaded."""
RECOVERED: Final = 0.2
MOST: Final = 4.0
"""Seconds that are taken for any longer lateness, such as that of a process that was frozen."""


class Lag:
    """Fed by the main thread with each of its waits; lateness is forgotten by half with every second that follows."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.is_overloaded = False

    def note(self, late: float, *, after: float) -> None:
        """Take in how late a wait ended that was to take ``after`` seconds."""
        self.seconds = max(min(late, MOST), self.seconds * 0.5**after)
        if not self.is_overloaded and self.seconds > LATE:
            self.is_overloaded = True
            logger.warning(
                "overloaded: threads start late, claiming less until they do not",
                extra={"seconds_late": round(self.seconds, 2)},
            )
        elif self.is_overloaded and self.seconds < RECOVERED:
            self.is_overloaded = False
            logger.warning("no longer overloaded, claiming as usual")

    def slots(self, slots: int) -> int:
        """Return how many of the slots should be filled now: at least one, so that there is an end to it."""
        if not self.is_overloaded:
            return slots
        return max(1, int(slots * min(1.0, LATE / 2 / max(self.seconds, 0.001))))
