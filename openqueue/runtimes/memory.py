"""The memory runtime: messages in this process, for tests. The codec and the lifecycle are the real ones."""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import Sequence
from typing import Final

from openqueue.conf import config
from openqueue.runtimes.base import Capabilities, Message, Published, QueueStats, Receipt, RuntimeHealth

IN_FLIGHT: Final = 10.0
"""Seconds after which a message that was received and never settled comes again."""


class MemoryRuntime:
    """Queues in memory, highest priority first; what is received and not acked comes again."""

    capabilities = Capabilities(
        priorities="native", queue_order=True, depth=True, unacked=True, dead_letter=True
    )
    carries_messages = True

    def __init__(self, alias: str, *, in_flight: float = IN_FLIGHT) -> None:
        self.alias = alias
        self.in_flight = in_flight
        self.changed = threading.Condition()
        self.waiting: dict[str, list[tuple[int, int, bytes]]] = defaultdict(list)
        self.flying: dict[int, tuple[float, str, int, bytes]] = {}
        self.rejected: dict[str, deque[bytes]] = defaultdict(deque)
        self.number = 0

    def declare(self, queues: Sequence[str]) -> None:
        for queue in queues:
            self.waiting[queue]

    def publish(self, messages: Sequence[Message]) -> Sequence[Published]:
        with self.changed:
            for message in messages:
                self.put(message.queue, -message.priority, message.encode(namespace=config.namespace))
            self.changed.notify_all()
        return [Published(ref=str(self.number))] * len(messages)

    def put(self, queue: str, rank: int, body: bytes) -> None:
        self.number += 1
        self.waiting[queue].append((rank, self.number, body))
        self.waiting[queue].sort()

    def missing(self, messages: Sequence[Message], refs: Sequence[str | None]) -> Sequence[bool]:
        with self.changed:
            here = {body for line in self.waiting.values() for _, _, body in line}
            here |= {body for _, _, _, body in self.flying.values()}
        return [message.encode(namespace=config.namespace) not in here for message in messages]

    def consumer(self, queues: Sequence[str], *, prefetch: int) -> MemoryConsumer:
        return MemoryConsumer(self, queues)

    def inspect(self, queue: str) -> QueueStats:
        with self.changed:
            flying = sum(1 for _, name, _, _ in self.flying.values() if name == queue)
            return QueueStats(depth=len(self.waiting[queue]), unacked=flying)

    def health(self) -> RuntimeHealth:
        return RuntimeHealth(ok=True, detail="in this process")

    def close(self) -> None:
        """Forget everything, as a broker without persistence does."""
        with self.changed:
            self.waiting.clear()
            self.flying.clear()


class MemoryConsumer:
    """Receives from the memory runtime."""

    def __init__(self, runtime: MemoryRuntime, queues: Sequence[str]) -> None:
        self.runtime = runtime
        self.queues = list(queues)
        self.closed_queues: set[str] = set()
        self.woken = False
        self.mine: set[int] = set()

    def receive(self, *, limit: int, timeout: float, order: Sequence[str] | None = None) -> Sequence[Receipt]:
        until = time.monotonic() + timeout
        with self.runtime.changed:
            while (
                not (taken := self.take(limit, order))
                and not self.woken
                and (left := until - time.monotonic()) > 0
            ):
                self.runtime.changed.wait(left)
            self.woken = False
        return taken

    def take(self, limit: int, order: Sequence[str] | None) -> list[Receipt]:
        now = time.monotonic()
        for handle, (deadline, queue, rank, body) in list(self.runtime.flying.items()):
            if deadline <= now:
                del self.runtime.flying[handle]
                self.runtime.put(queue, rank, body)
        receipts: list[Receipt] = []
        lines = [(name, self.runtime.waiting[name]) for name in order or self.queues]
        lines = [(name, line) for name, line in lines if name not in self.closed_queues]
        while len(receipts) < limit and (full := [(name, line) for name, line in lines if line]):
            queue, line = full[0] if order else min(full, key=lambda one: one[1][0])
            rank, handle, body = line.pop(0)
            self.runtime.flying[handle] = (now + self.runtime.in_flight, queue, rank, body)
            self.mine.add(handle)
            receipts.append(Receipt(body=body, queue=queue, handle=handle))
        return receipts

    def ack(self, receipts: Sequence[Receipt]) -> None:
        with self.runtime.changed:
            for receipt in receipts:
                self.runtime.flying.pop(receipt.handle, None)
                self.mine.discard(receipt.handle)

    def release(self, receipts: Sequence[Receipt]) -> None:
        self.give_back([receipt.handle for receipt in receipts])

    def reject(self, receipts: Sequence[Receipt], *, reason: str) -> None:
        self.ack(receipts)
        for receipt in receipts:
            self.runtime.rejected[receipt.queue].append(receipt.body)

    def pause(self, queues: Sequence[str]) -> None:
        self.closed_queues.update(queues)

    def resume(self, queues: Sequence[str]) -> None:
        self.closed_queues.difference_update(queues)

    def wake(self) -> None:
        with self.runtime.changed:
            self.woken = True
            self.runtime.changed.notify_all()

    def close(self) -> None:
        self.give_back(list(self.mine))

    def give_back(self, handles: Sequence[int]) -> None:
        with self.runtime.changed:
            for handle in handles:
                if (entry := self.runtime.flying.pop(handle, None)) is not None:
                    self.runtime.put(entry[1], entry[2], entry[3])
                self.mine.discard(handle)
            self.runtime.changed.notify_all()
