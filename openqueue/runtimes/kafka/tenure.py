"""What a member has of one partition from its assignment to its loss: what was handed out, and how far is settled."""

from __future__ import annotations

from collections import deque

from openqueue.runtimes.kafka.topics import Place


class Tenure:
    """Knows which offset may be committed: all before it are settled, whatever was settled behind it.

    A partition that comes back is another tenure: what the old one handed out settles nothing any more.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self.over = False
        self.open: deque[int] = deque()
        """Offsets received, oldest first, from the first that is not settled."""
        self.settled: set[int] = set()
        """Of those, the ones behind it that are."""
        self.following: int | None = None
        """The offset after the newest that was received."""
        self.committed: int | None = None
        """What was sent to be committed last."""

    def receive(self, offset: int) -> None:
        """Note an offset; they come in order, with gaps where a log was compacted."""
        self.open.append(offset)
        self.following = offset + 1

    def settle(self, offset: int) -> None:
        self.settled.add(offset)
        while self.open and self.open[0] in self.settled:
            self.settled.discard(self.open.popleft())

    @property
    def position(self) -> int | None:
        """Return the offset to commit: the first that is not settled."""
        return self.open[0] if self.open else self.following

    @property
    def due(self) -> int | None:
        """Return what is to be committed and was not; None when there is nothing."""
        position = self.position
        return None if position == self.committed else position
