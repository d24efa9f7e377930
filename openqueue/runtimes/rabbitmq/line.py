"""A connection that is opened when it is first needed, and again after it was lost."""

from __future__ import annotations

import threading

from openqueue.runtimes.rabbitmq.options import Options
from openqueue.runtimes.rabbitmq.refusals import RabbitMQFailed
from openqueue.runtimes.rabbitmq.wire import Wire


class Line:
    """Safe to share between threads."""

    def __init__(self, options: Options, *, purpose: str) -> None:
        self.options = options
        self.purpose = purpose
        self.forget()

    def forget(self) -> None:
        """Begin anew, as a child after a fork must: the connection, its thread and the locks are its parent's."""
        self.lock = threading.Lock()
        self.current: Wire | None = None
        self.number = 0

    def wire(self) -> Wire:
        """Return an open connection.

        Raises:
            RabbitMQFailed: none of the nodes can be reached.
        """
        wire = self.current
        if wire is not None and wire.ended is None:
            return wire
        with self.lock:
            if self.current is None or self.current.ended is not None:
                self.current = self.opened()
            return self.current

    def opened(self) -> Wire:
        last: RabbitMQFailed | None = None
        for _ in self.options.nodes:
            wire = Wire(self.options, node=self.options.nodes[self.number], purpose=self.purpose)
            try:
                wire.open()
            except RabbitMQFailed as error:
                last = error
                self.number = (self.number + 1) % len(self.options.nodes)
            else:
                return wire
        assert last is not None  # noqa: S101  # there is a node
        raise last

    def close(self) -> None:
        """Close the connection, if there is one. Safe twice; the next need opens another."""
        with self.lock:
            wire, self.current = self.current, None
        if wire is not None:
            wire.close()
