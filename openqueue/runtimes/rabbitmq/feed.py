"""What comes from one lane: a channel of its own, so that a queue which does not answer holds up no other."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from typing import Any, Final

from pika.channel import Channel

from openqueue.runtimes.base import Receipt
from openqueue.runtimes.rabbitmq.refusals import RabbitMQFailed, failed
from openqueue.runtimes.rabbitmq.topology import Lane
from openqueue.runtimes.rabbitmq.wire import Wire

logger = logging.getLogger("openqueue")
numbers = count(1)
Done = Callable[[], None]
Verb = Callable[..., None]
LOOK_EVERY: Final = 0.5


class Feed:
    """Touched by the wire's thread alone, but for `waiting`, from which the worker takes, and `handed`."""

    def __init__(
        self, wire: Wire, lane: Lane, *, in_flight: float, news: Done, idle: Callable[[], bool]
    ) -> None:
        self.wire = wire
        self.lane = lane
        self.in_flight = in_flight
        self.news = news
        """Called when something came, or ended."""
        self.idle = idle
        """Tells whether the worker has asked for nothing in a while."""
        self.channel: Channel | None = None
        self.tag = ""
        """Of the consumer; empty: nothing comes."""
        self.waiting: deque[Receipt] = deque()
        """Came, and nobody asked for it yet."""
        self.held: dict[int, None] = {}
        """Delivery tags that are not settled, in order."""
        self.handed: deque[tuple[float, list[int]]] = deque()
        """Those that the worker has in hand, and until when."""
        self.prefetch = 0
        self.starting: Done | None = None
        self.looking = False
        self.failure: RabbitMQFailed | None = None
        self.ended = False
        """The channel is gone, and with it the hold on what came."""

    # --- beginning and ending -------------------------------------------------------------------------------------

    def start(self, prefetch: int, done: Done) -> None:
        """Have messages come, so many at a time; ``done`` is called when they do, or never will."""
        self.prefetch, self.starting = prefetch, done
        if self.channel is None:
            assert self.wire.connection is not None  # noqa: S101  # this is its thread
            self.wire.connection.channel(on_open_callback=self.opened)
        else:
            self.consume(self.channel)

    def opened(self, channel: Channel) -> None:
        self.channel = channel
        channel.add_on_close_callback(self.closed)
        channel.add_on_cancel_callback(self.cancelled)
        self.consume(channel)

    def consume(self, channel: Channel) -> None:
        self.tag = f"openqueue-{next(numbers)}"
        channel.basic_qos(prefetch_count=self.prefetch)
        channel.basic_consume(
            self.lane.name, self.came, consumer_tag=self.tag, callback=lambda _: self.started()
        )

    def started(self) -> None:
        starting, self.starting = self.starting, None
        if starting is not None:
            starting()

    def stop(self, done: Done) -> None:
        """Have nothing more come. What came is still ours."""
        tag, self.tag = self.tag, ""
        if tag and self.channel is not None and self.channel.is_open:
            self.channel.basic_cancel(tag, callback=lambda _: done())
        else:
            done()

    def end(self) -> None:
        """Close the channel: the broker takes back what is unsettled."""
        if self.channel is not None and self.channel.is_open:
            self.channel.close()

    def cancelled(self, _: Any) -> None:
        """The broker ended the consumer: its queue was deleted, or moves to another node."""
        logger.warning("RabbitMQ ended a consumer, it is begun again", extra={"queue": self.lane.name})
        self.tag, self.ended = "", True
        self.end()
        self.news()

    def closed(self, _: Channel, error: Exception) -> None:
        """Whatever was held comes again; what was received can no longer be settled."""
        if not self.ended:
            self.failure = failed(self.wire.where, error, certain=True)
        self.ended = True
        self.waiting.clear()
        self.held.clear()
        self.started()
        self.news()

    # --- messages -------------------------------------------------------------------------------------------------

    def came(self, _: Channel, method: Any, properties: Any, body: bytes) -> None:
        self.held[method.delivery_tag] = None
        origin = {"message_id": properties.message_id, "routing_key": method.routing_key}
        self.waiting.append(Receipt(body, self.lane.queue, (self, method.delivery_tag), origin))
        self.news()
        if not self.looking:
            self.looking = True
            self.later()

    def take(self, limit: int) -> list[Receipt]:
        """Hand out what came, to the worker's thread."""
        taken: list[Receipt] = []
        with suppress(IndexError):  # no more, or the rest went back
            while len(taken) < limit:
                taken.append(self.waiting.popleft())
        if taken:
            tags = [receipt.handle[1] for receipt in taken]
            self.handed.append((time.monotonic() + self.in_flight, tags))
        return taken

    def settle(self, tags: Sequence[int], verb: str, **more: Any) -> None:
        """Settle by one frame what nothing unsettled stands before, the rest one by one."""
        if self.channel is None or not self.channel.is_open:
            return
        by = getattr(self.channel, verb)
        left = {tag for tag in tags if tag in self.held}
        last = 0
        for tag in self.held:
            if tag not in left:
                break
            last = tag
        for tag in left:
            del self.held[tag]
        if last:
            by(last, multiple=True, **more)
        for tag in sorted(tag for tag in left if tag > last):
            by(tag, multiple=False, **more)

    def give_back(self) -> None:
        """Let others have what came and was not asked for."""
        tags = []
        with suppress(IndexError):  # the worker may take the last of them
            while True:
                tags.append(self.waiting.popleft().handle[1])
        self.settle(tags, "basic_nack", requeue=True)

    # --- what is forgotten ----------------------------------------------------------------------------------------

    def later(self) -> None:
        assert self.wire.connection is not None  # noqa: S101  # this is its thread
        self.wire.connection.ioloop.call_later(min(LOOK_EVERY, self.in_flight / 2), self.look)

    def look(self) -> None:
        """Give back what nobody asks for, since this worker has no room or no database, and what was forgotten."""
        if self.ended or not self.held:
            self.looking = False
            return
        self.give_back_forgotten()
        if self.waiting and self.idle():
            self.stop(lambda: None)
            self.give_back()
        self.later()

    def give_back_forgotten(self) -> None:
        """Give back what the worker has had in hand for too long: whoever had it is stuck, or gone."""
        now = time.monotonic()
        while self.handed:
            deadline, tags = self.handed[0]
            left = [tag for tag in tags if tag in self.held]
            if left and deadline > now:
                return
            self.handed.popleft()
            self.settle(left, "basic_nack", requeue=True)
