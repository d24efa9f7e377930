"""Where a claim begins to look: past the places of rows that were claimed, while an old snapshot keeps them.

As long as any transaction of the server can still see what was deleted since it began, PostgreSQL can neither remove
it nor mark its place in an index as empty, and each claim would walk past all of it (decision 0025). So once claims
take long, this process asks now and then from the very beginning which row of each priority is the first; its claims
begin there. What appears in front of a floor, as a row whose transaction was long, is found with the next look.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import Error

SLOW: Final = 0.005
"""Seconds that a claim takes before its process looks where the rows begin."""
CHEAP: Final = 0.002
"""Seconds of a look in which there was nothing to walk past: claims begin at the beginning."""
EVERY: Final = 1.0
"""Seconds between looks; more where they take long, so that they are a twentieth of the time at most."""
SHARE: Final = 20
MARGIN: Final = timedelta(seconds=2)
"""A floor is never younger: transactions that take less than this commit no row in front of one."""
PRIORITIES: Final = 8
"""Of a queue, that this process claimed from last; of others it walks from the beginning."""
LOWEST, HIGHEST = -(2**15) - 1, 2**15
Look = Callable[[list[str], list[int], timedelta], Iterable[tuple[str, int, datetime]]]
Floor = tuple[int, datetime]


class Floors:
    """What one process knows of the queues of one runtime."""

    def __init__(self) -> None:
        self.known: defaultdict[str, dict[int, None]] = defaultdict(dict)
        """Priorities by queue, the one claimed from last at the end."""
        self.floors: dict[str, list[Floor]] = {}
        """By queue, the highest priority first."""
        self.look_at = 0.0

    def ranges(self, rooms: Mapping[str, int]) -> dict[str, list[Any]]:
        """Return the parameters of claim_due.sql that say where to look."""
        points, gaps = [], []
        for place, (queue, room) in enumerate(rooms.items()):
            below = HIGHEST
            for priority, since in self.floors.get(queue, []):
                gaps.append((queue, room, place, priority, below))
                points.append((queue, room, place, priority, since))
                below = priority
            gaps.append((queue, room, place, LOWEST, below))
        names = ("gap_queues", "gap_rooms", "gap_places", "lows", "highs")
        told = dict(zip(names, map(list, zip(*gaps, strict=True)), strict=True))
        names = ("point_queues", "point_rooms", "point_places", "priorities", "sinces")
        return told | dict(
            zip(names, map(list, zip(*points, strict=True)) if points else [[]] * 5, strict=True)
        )

    def learn(self, claimed: Iterable[tuple[str, int]]) -> None:
        """Note which priorities there are."""
        for queue, priority in set(claimed):
            known = self.known[queue]
            known.pop(priority, None)
            known[priority] = None
            if len(known) > PRIORITIES:
                del known[next(iter(known))]

    def took(self, seconds: float, look: Look) -> None:
        """Note how long a claim took; look where the rows begin, when that is due."""
        now = time.monotonic()
        if now < self.look_at or not (self.floors or seconds > SLOW) or not self.known:
            return
        asked = [(queue, priority) for queue, known in list(self.known.items()) for priority in list(known)]
        found: list[tuple[str, int, datetime]] = []
        with suppress(Error):  # the claim is answered all the same
            found = list(look([queue for queue, _ in asked], [priority for _, priority in asked], MARGIN))
        cost = time.monotonic() - now
        self.look_at = now + max(EVERY, SHARE * cost)
        floors: dict[str, list[Floor]] = {}
        if cost > CHEAP:
            for queue, priority, since in sorted(found, key=lambda one: -one[1]):
                floors.setdefault(queue, []).append((priority, since))
        self.floors = floors
