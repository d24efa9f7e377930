"""Sends what there is to say of alerts, beside the sweeps: a receiver that hangs holds up nobody else for long."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from openqueue.alerts import deliveries
from openqueue.processes.sweeps.errand import Errand

EVERY: Final = timedelta(seconds=5)
SENDERS: Final = 4
"""That one process sends by at a time, each to another channel."""
MOST: Final = 100
"""That one of them sends before it ends; the next turn goes on."""


class Deliveries:
    """Any number of processes send: each takes what no other has."""

    name = "deliveries"
    every = EVERY

    def __init__(self) -> None:
        self.errand = Errand(self.name, most=SENDERS)
        self.lock = threading.Lock()
        self.busy: set[int] = set()
        """Channels that somebody here is sending to."""

    def step(self, now: datetime | None = None) -> int:
        """Begin to send, where there is something to send; return how many senders began."""
        return self.begin(now) if deliveries.any_due(now=now) else 0

    def rouse(self) -> None:
        """Begin at once: there is something to send."""
        self.begin()

    def begin(self, now: datetime | None = None) -> int:
        return sum(self.errand.start(partial(self.send, now=now)) for _ in range(SENDERS))

    def send(self, *, now: datetime | None = None) -> int:
        """Send what is due until there is no more, or nothing that another is not sending to already."""
        for number in range(MOST):
            with self.lock:
                taken = deliveries.take(besides=self.busy, now=now)
                if taken is None:
                    return number
                self.busy.add(taken.channel_id)
            try:
                deliveries.deliver(taken, now=now)
            finally:
                with self.lock:
                    self.busy.discard(taken.channel_id)
        return MOST
