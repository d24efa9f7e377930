"""Receives for one worker: messages come by themselves, no more than it has room for, and go back when it has none."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

from openqueue.runtimes.base import Receipt
from openqueue.runtimes.rabbitmq.broker import Broker
from openqueue.runtimes.rabbitmq.feed import Feed
from openqueue.runtimes.rabbitmq.line import Line
from openqueue.runtimes.rabbitmq.refusals import RabbitMQFailed
from openqueue.runtimes.rabbitmq.wire import Wire

logger = logging.getLogger("openqueue")

KEPT: Final = 0.5
"""Seconds that messages stay here which nobody asks for; then others may have them."""
MOST: Final = 1_000
"""Messages on their way to a consumer, of each lane."""
GATHERED: Final = 0.005
"""Seconds without another message after which all lanes of a new subscription have sent what they had."""
SLOW: Final = 2.0
"""Seconds in which a queue should answer; others are served meanwhile."""


class RabbitMQConsumer:
    """A feed for each lane of each queue, all on one connection."""

    def __init__(self, line: Line, broker: Broker, queues: Sequence[str], *, prefetch: int) -> None:
        self.line = line
        self.broker = broker
        self.queues = list(queues)
        self.usual = prefetch
        self.prefetch = prefetch
        """Messages that may be on their way, of each lane."""
        self.shut: set[str] = set()
        self.wire: Wire | None = None
        self.feeds: dict[str, list[Feed]] = {}
        """By queue, the most urgent lane first."""
        self.news = threading.Event()
        self.woken = False
        self.receiving = False
        self.asked_at = time.monotonic()
        self.turn = 0

    # --- receive --------------------------------------------------------------------------------------------------

    def receive(self, *, limit: int, timeout: float, order: Sequence[str] | None = None) -> Sequence[Receipt]:
        """Take what has come, or wait for something.

        Raises:
            RabbitMQFailed: RabbitMQ is away or refuses. The worker tries again with back-off.
        """
        until = time.monotonic() + timeout
        self.receiving = True
        try:
            while True:
                self.news.clear()
                self.subscribe(limit)
                taken = self.take(limit, order)
                left = until - time.monotonic()
                if taken or left <= 0 or self.woken:
                    break
                self.news.wait(left)
            self.woken = False
            if not taken and timeout > 0 and self.prefetch > self.usual:
                self.prefetch = self.usual  # nothing comes: what comes next should be shared
                self.unsubscribe(self.queues)
            return taken
        finally:
            self.asked_at = time.monotonic()
            self.receiving = False

    def take(self, limit: int, order: Sequence[str] | None) -> list[Receipt]:
        """Take the most urgent of all queues first; in an order that is given, all of a queue before the next."""
        queues = [queue for queue in order or self.queues if queue not in self.shut and queue in self.feeds]
        if order is None and queues:
            self.turn += 1
            first = self.turn % len(queues)
            queues = queues[first:] + queues[:first]
        feeds = [self.feeds[queue] for queue in queues]
        lanes = feeds if order is not None else zip(*feeds, strict=True)
        taken: list[Receipt] = []
        for feed in (feed for some in lanes for feed in some):
            if len(taken) == limit:
                break
            taken += feed.take(limit - len(taken))
        return taken

    def idle(self) -> bool:
        """Tell whether the worker has no room, or no database: it has asked for nothing in a while."""
        return not self.receiving and time.monotonic() - self.asked_at >= KEPT

    # --- subscribe ------------------------------------------------------------------------------------------------

    def subscribe(self, limit: int) -> None:
        """Have messages come, from every queue that is not shut, as many as are wanted."""
        wire = self.opened()
        self.drop_ended()
        wanted = [queue for queue in self.queues if queue not in self.shut]
        self.make_feeds(wire, [queue for queue in wanted if queue not in self.feeds])
        if limit > self.prefetch:
            self.prefetch = min(MOST, 2 * limit)
            self.unsubscribe(wanted)
        elif not any(feed.tag for feed in self.every(wanted)):
            self.prefetch = max(limit, min(self.prefetch, self.usual))
        still = [feed for feed in self.every(wanted) if not feed.tag and feed.starting is None]
        if not still:
            return
        still.sort(key=lambda feed: self.feeds[feed.lane.queue].index(feed))
        self.together(still, lambda feed, done: feed.start(self.prefetch, done))
        if len(still) > 1:
            while self.news.wait(GATHERED) and sum(len(feed.waiting) for feed in still) < limit:
                self.news.clear()
            self.news.set()

    def make_feeds(self, wire: Wire, queues: Sequence[str]) -> None:
        if not queues:
            return
        self.broker.declare(queues)
        topology, in_flight = self.broker.topology(), self.line.options.in_flight
        for queue in queues:
            self.feeds[queue] = [
                Feed(wire, lane, in_flight=in_flight, news=self.news.set, idle=self.idle)
                for lane in topology.lanes(queue)
            ]

    def opened(self) -> Wire:
        """Return the connection; when it was lost, say so once, then open another."""
        wire = self.wire
        if wire is not None and wire.ended is not None:
            self.wire, self.feeds = None, {}
            logger.warning(
                "RabbitMQ's connection was lost, it is opened again", extra={"error": str(wire.ended)}
            )
            raise wire.ended
        if wire is None:
            self.wire = wire = self.line.wire()
        return wire

    def drop_ended(self) -> None:
        """Forget feeds whose channel is gone, and say why it went."""
        ended = [feed for feed in self.every(list(self.feeds)) if feed.ended]
        for queue in {feed.lane.queue for feed in ended}:
            for feed in self.feeds.pop(queue):
                if not feed.ended:
                    self.do(feed.end)
        self.broker.unknown({feed.lane.queue for feed in ended})
        failure = next((feed.failure for feed in ended if feed.failure is not None), None)
        if failure is not None:
            raise failure

    def every(self, queues: Iterable[str]) -> list[Feed]:
        return [feed for queue in queues for feed in self.feeds.get(queue, ())]

    def unsubscribe(self, queues: Iterable[str]) -> None:
        """Have nothing more come from these queues."""
        feeds = [feed for feed in self.every(queues) if feed.tag and feed.starting is None]
        self.together(feeds, Feed.stop)

    def together(self, feeds: Sequence[Feed], act: Callable[[Feed, Callable[[], None]], None]) -> None:
        """Have the wire's thread do something with feeds, and wait for their answers, but not long for each."""
        if not feeds:
            return
        silent = {id(feed): feed for feed in feeds}
        answered = threading.Event()

        def done(feed: Feed) -> None:
            silent.pop(id(feed), None)
            if not silent:
                answered.set()

        def begin() -> None:
            for feed in feeds:
                act(feed, partial(done, feed))

        self.do(begin)
        if not answered.wait(SLOW) and (names := [feed.lane.name for feed in silent.values()]):
            logger.warning("a queue of RabbitMQ does not answer, others are served", extra={"queues": names})

    def do(self, act: Callable[[], None]) -> None:
        """Have the wire's thread do something; a connection that is gone is noticed by the next `receive`."""
        if self.wire is not None:
            with suppress(RabbitMQFailed):
                self.wire.run(act)

    # --- settle ---------------------------------------------------------------------------------------------------

    def ack(self, receipts: Sequence[Receipt]) -> None:
        self.settle(receipts, "basic_ack")

    def release(self, receipts: Sequence[Receipt]) -> None:
        self.settle(receipts, "basic_nack", requeue=True)

    def reject(self, receipts: Sequence[Receipt], *, reason: str) -> None:
        self.settle(receipts, "basic_nack", requeue=False)

    def settle(self, receipts: Sequence[Receipt], verb: str, **more: Any) -> None:
        """Settle a batch; what was received on a channel that is gone comes again, and is answered `gone`."""
        tags: dict[Feed, list[int]] = {}
        for receipt in receipts:
            feed, tag = receipt.handle
            tags.setdefault(feed, []).append(tag)

        def act() -> None:
            for feed, some in tags.items():
                feed.settle(some, verb, **more)

        if tags:
            self.do(act)

    # --- control --------------------------------------------------------------------------------------------------

    def pause(self, queues: Sequence[str]) -> None:
        self.shut.update(queues)
        self.unsubscribe(queues)

        def give_back() -> None:
            for feed in self.every(queues):
                feed.give_back()

        if queues:
            self.do(give_back)

    def resume(self, queues: Sequence[str]) -> None:
        self.shut.difference_update(queues)

    def wake(self) -> None:
        self.woken = True
        self.news.set()

    def close(self) -> None:
        """Close the channels: the broker takes back what is unsettled."""
        feeds = [feed for feed in self.every(list(self.feeds)) if not feed.ended]
        self.feeds = {}

        def end(feed: Feed, done: Callable[[], None]) -> None:
            if feed.channel is not None and feed.channel.is_open:
                feed.channel.add_on_close_callback(lambda *_: done())
                feed.channel.close()
            else:
                done()

        self.together(feeds, end)
