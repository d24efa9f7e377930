"""Walks every world that a protocol can reach, breadth first, and looks for one that cannot end."""

from __future__ import annotations

import gc
from collections import deque

from tests.model.protocol import Lie, Protocol, World


class Stuck(AssertionError):
    """From here no run of steps ends every run, although nothing more goes wrong."""


def explore(protocol: Protocol, start: World) -> int:
    """Return how many worlds there are.

    Raises:
        Lie: a promise was broken; the message tells the shortest way there.
        Stuck: an unfinished run that nobody will ever finish; likewise.
    """
    gc.disable()  # nothing here is garbage, and there is a lot of it
    try:
        return walk(protocol, start)
    finally:
        gc.enable()


def walk(protocol: Protocol, start: World) -> int:
    numbers = {start: 0}
    worlds = [start]
    came: list[tuple[int, str]] = [(0, "")]
    before: list[list[int]] = [[]]
    """For each world, those that come to it when nothing more goes wrong."""
    left = deque([0])
    while left:
        here = left.popleft()
        try:
            for what, by_itself, there in protocol.steps(worlds[here]):
                number = numbers.get(there)
                if number is None:
                    number = numbers[there] = len(worlds)
                    worlds.append(there)
                    came.append((here, what))
                    before.append([])
                    left.append(number)
                if by_itself:
                    before[number].append(here)
        except Lie as lie:
            raise Lie(f"{lie}: {way(came, here)}") from None
    ends = deque(n for n, world in enumerate(worlds) if all(run.over for run in world.runs))
    good = set(ends)
    while ends:
        for number in before[ends.popleft()]:
            if number not in good:
                good.add(number)
                ends.append(number)
    for number, world in enumerate(worlds):
        if number not in good:
            raise Stuck(f"{way(came, number)}: {world}")
    return len(worlds)


def way(came: list[tuple[int, str]], number: int) -> str:
    steps = []
    while number:
        number, what = came[number]
        steps.append(what)
    return " > ".join(reversed(steps))
