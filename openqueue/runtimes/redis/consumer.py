"""Receives for one worker: takes by script, waits on a connection of its own."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence

from openqueue.runtimes.base import Receipt
from openqueue.runtimes.redis.keys import Keys
from openqueue.runtimes.redis.link import Link, RedisFailed
from openqueue.runtimes.redis.scripts import Call
from openqueue.runtimes.redis.waiter import Waiter

logger = logging.getLogger("openqueue")


class RedisConsumer:
    """Takes the highest priority first; no queue of several is always the first that is asked."""

    def __init__(self, link: Link, keys: Mapping[str, Keys], *, in_flight: float) -> None:
        self.link = link
        self.keys = dict(keys)
        self.in_flight = int(in_flight * 1000)
        self.queues = list(keys)
        self.shut: set[str] = set()
        self.rooms: dict[str, int] = {}
        self.mine: dict[bytes, Receipt] = {}
        self.waiter = Waiter(link)
        self.turn = 0

    # --- receive --------------------------------------------------------------------------------------------------

    def receive(self, *, limit: int, timeout: float, order: Sequence[str] | None = None) -> Sequence[Receipt]:
        """Take what is there, or wait for a token and look once more.

        Raises:
            RedisFailed: Redis is away or refuses. The worker tries again with back-off.
        """
        taken = self.take(limit, order)
        if taken or timeout <= 0 or not self.waiter.wait(self.bells(), timeout=timeout):
            return taken
        return self.take(limit, order)

    def open_queues(self, order: Sequence[str] | None) -> list[str]:
        """Return the queues to ask: in the order that is wanted, else each time beginning with another."""
        queues = [queue for queue in order or self.queues if queue not in self.shut]
        if order is not None:
            return queues
        self.turn += 1
        first = self.turn % len(queues) if queues else 0
        return queues[first:] + queues[:first]

    def take(self, limit: int, order: Sequence[str] | None = None) -> list[Receipt]:
        queues = self.open_queues(order)
        if not queues:
            return []
        receipts: list[Receipt] = []
        for some in self.portions(queues):
            room = limit - len(receipts)
            if room <= 0:
                break
            (answer,) = self.link.call([self.taking(some, room)])
            if isinstance(answer, Exception):
                raise RedisFailed(self.where, answer, certain=True) from answer
            found = iter(answer)
            for number, score, body in zip(found, found, found, strict=True):
                receipt = Receipt(body=body, queue=some[number - 1], handle=score)
                self.mine[body] = receipt
                receipts.append(receipt)
        return receipts

    def portions(self, queues: Sequence[str]) -> Iterable[Sequence[str]]:
        """Return the queues that one call may name: all of them, but in a Cluster one."""
        return [[queue] for queue in queues] if self.link.one_slot_a_call else [queues]

    def taking(self, queues: Sequence[str], limit: int) -> Call:
        keys: list[str] = []
        for queue in queues:
            own = self.keys[queue]
            keys += (own.waiting, own.flying, own.wake, own.asides)
        rooms = [part for limited in self.rooms.items() for part in limited]
        return Call("take", keys, [limit, self.in_flight, *rooms])

    def bells(self) -> list[str]:
        """Return the lists whose tokens are for us."""
        queues = [self.keys[queue] for queue in self.queues if queue not in self.shut]
        return [own.wake for own in queues] + [
            own.wake_of(task) for own in queues for task, room in self.rooms.items() if room > 0
        ]

    @property
    def where(self) -> str:
        return self.link.options.where

    # --- settle ---------------------------------------------------------------------------------------------------

    def ack(self, receipts: Sequence[Receipt]) -> None:
        self.settle("ack", receipts)

    def release(self, receipts: Sequence[Receipt]) -> None:
        self.settle("release", receipts)

    def reject(self, receipts: Sequence[Receipt], *, reason: str) -> None:
        self.settle("reject", receipts)

    def set_aside(self, receipts: Sequence[Receipt], *, task: str) -> None:
        """Keep these for whoever has room for the task."""
        self.settle("set_aside", receipts, task=task)

    def settle(self, what: str, receipts: Sequence[Receipt], *, task: str = "") -> None:
        """Move a batch on; where Redis is away it comes again at its deadline, and is answered `gone`."""
        if not receipts:
            return
        calls = []
        for queue in dict.fromkeys(receipt.queue for receipt in receipts):
            own = self.keys[queue]
            some = [receipt for receipt in receipts if receipt.queue == queue]
            bodies = [receipt.body for receipt in some]
            pairs = [part for receipt in some for part in (receipt.handle, receipt.body)]
            match what:
                case "ack":
                    calls.append(Call("ack", [own.flying], pairs))
                case "reject":
                    calls.append(Call("reject", [own.flying, own.rejected], bodies))
                case "release":
                    calls.append(Call("release", [own.waiting, own.flying, own.wake], pairs))
                case "set_aside":
                    keys = [own.aside(task), own.flying, own.wake_of(task), own.asides]
                    calls.append(Call("set_aside", keys, [task, *pairs]))
        for receipt in receipts:
            if (held := self.mine.get(receipt.body)) is not None and held.handle == receipt.handle:
                del self.mine[receipt.body]  # else it has come again, and is ours a second time
        try:
            answers = self.link.call(calls)
        except RedisFailed as error:
            answers = [error]
        for answer in answers:
            if isinstance(answer, Exception):
                logger.warning(
                    "could not settle messages, they come again",
                    extra={"what": what, "count": len(receipts), "error": str(answer)},
                )

    # --- control --------------------------------------------------------------------------------------------------

    def let_in(self, rooms: Mapping[str, int]) -> None:
        """Say how many of each limited task may come out of what is set aside; of other tasks all may."""
        self.rooms = {task: max(0, room) for task, room in rooms.items()}

    def pause(self, queues: Sequence[str]) -> None:
        self.shut.update(queues)

    def resume(self, queues: Sequence[str]) -> None:
        self.shut.difference_update(queues)

    def wake(self) -> None:
        self.waiter.wake()

    def close(self) -> None:
        self.settle("release", list(self.mine.values()))
        self.waiter.close()
