"""The pauses of somebody who waits for a flow and looks at it now and then."""

from __future__ import annotations

import time
from typing import Final

from openqueue.errors import WaitTimeout

FIRST: Final = 0.01
LONGEST: Final = 0.25


class Looks:
    """Short at first, then longer, never beyond the timeout."""

    def __init__(self, timeout: float | None) -> None:
        self.until = None if timeout is None else time.monotonic() + timeout
        self.next = FIRST

    def pause(self) -> float:
        """Return the seconds until the next look.

        Raises:
            WaitTimeout: there is no time left.
        """
        pause, self.next = self.next, min(LONGEST, self.next * 1.5)
        if self.until is None:
            return pause
        left = self.until - time.monotonic()
        if left <= 0:
            raise WaitTimeout
        return min(pause, left)
