"""Which queues give first when more is due than there is room: in a fixed order, or in turn by their weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class Order:
    """Ranks the queues of one runtime before each claim, and is told what each gave.

    Strict: a queue gives only what those before it leave. Weights: while all of them have enough due, each gives its
    share over time; what one leaves goes to the others, and no claim to it is saved up (start-time fair queueing:
    Goyal, Vin and Cheng, 1996).
    """

    def __init__(self, queues: Sequence[str], *, weights: Mapping[str, int] | None = None) -> None:
        self.queues = list(queues)
        self.weights = weights
        """None: strict."""
        self.starts = dict.fromkeys(queues, 0.0)
        """Where each queue stands: what it gave, divided by its weight."""
        self.now = 0.0
        """Where the queues stand that gave last."""

    def ranked(self) -> list[str]:
        """Return the queues, the first to be asked first."""
        if self.weights is None:
            return self.queues
        return sorted(self.queues, key=lambda queue: max(self.starts[queue], self.now))

    def gave(self, counts: Mapping[str, int]) -> None:
        """Take in how many attempts were claimed from each queue."""
        if self.weights is None:
            return
        counts = {
            queue: count for queue, count in counts.items() if queue in self.starts
        }  # not one it was moved to
        if not counts:
            return
        begun = {queue: max(self.starts[queue], self.now) for queue in counts}
        for queue, count in counts.items():
            self.starts[queue] = begun[queue] + count / self.weights[queue]
        self.now = min(begun.values())
