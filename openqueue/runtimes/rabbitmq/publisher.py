"""Publishes with confirms: so many messages on their way at a time, each answered for."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from functools import partial
from itertools import takewhile
from typing import Any, Final, NamedTuple

from pika import BasicProperties
from pika.channel import Channel
from pika.spec import Basic

from openqueue.runtimes.base import Published
from openqueue.runtimes.rabbitmq.line import Line
from openqueue.runtimes.rabbitmq.options import Options
from openqueue.runtimes.rabbitmq.refusals import NO_ROUTE, RabbitMQFailed
from openqueue.runtimes.rabbitmq.wire import Wire

NO_QUEUE: Final = 312
"""The reply code of a message that nobody took: NO_ROUTE."""
NOT_FOUND: Final = 404
"""The reply code of a channel that ended for want of an exchange."""


class Parcel(NamedTuple):
    """A message as it travels."""

    exchange: str
    key: str
    body: bytes
    properties: BasicProperties


class Batch:
    """Messages of one call, and what became of each."""

    def __init__(self, parcels: Sequence[Parcel]) -> None:
        self.parcels = parcels
        self.told: list[Published | None] = [None] * len(parcels)
        self.sent = 0
        """How many were handed to the connection; none of the others can be at the server."""
        self.homeless: list[int] = []
        """Those that found no exchange, or no queue: to be sent again once there is one."""
        self.left = len(parcels)
        self.done = threading.Event()

    def answer(self, number: int, what: Published) -> None:
        if self.told[number] is None:
            self.told[number] = what
            self.left -= 1
            if not self.left:
                self.done.set()

    def answers(self) -> list[Published]:
        return [told or Published(error="not answered for", certain=False) for told in self.told]

    def give_up(self, error: str, *, homeless: bool = False) -> None:
        """Answer for all that nobody answered for."""
        for number, told in enumerate(self.told):
            if told is None:
                if homeless:
                    self.homeless.append(number)
                self.answer(number, Published(error=error, certain=number >= self.sent))


class Publisher:
    """Safe to share between threads; batches go out one behind the other."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.forget()

    def forget(self) -> None:
        """Begin anew after a fork."""
        self.lock = threading.Lock()
        self.outlet: Outlet | None = None

    def publish(self, parcels: Sequence[Parcel]) -> Batch:
        """Send a batch, and wait until each message is confirmed, refused, or its answer overdue."""
        batch = Batch(parcels)
        try:
            with self.lock:
                outlet = self.opened()
            outlet.put(batch)
        except RabbitMQFailed as error:
            batch.told = [Published(error=str(error), certain=error.certain)] * len(parcels)
            return batch
        timeout = self.line.options.timeout
        while not batch.done.wait(timeout):
            if time.monotonic() - outlet.heard_at >= timeout:  # no confirm of any batch
                outlet.abandon(batch)
                break
        return batch

    def opened(self) -> Outlet:
        wire = self.line.wire()
        if self.outlet is None or self.outlet.wire is not wire or not self.outlet.channel.is_open:
            self.outlet = Outlet(wire)
        return self.outlet


class Outlet:
    """A channel with confirms. Its queues are touched by the wire's thread alone."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.options: Options = wire.options
        self.waiting: deque[tuple[Batch, int]] = deque()
        self.unconfirmed: dict[int, tuple[Batch, int]] = {}
        """By delivery tag, in order."""
        self.tag = 0
        self.heard_at = time.monotonic()
        """When the last confirm came."""
        self.returned: dict[str, str] = {}
        """Why a message came back, by its id; its confirm follows."""
        self.channel: Channel = wire.channel(on_close=self.closed)
        wire.ask(self.prepare, timeout=wire.options.timeout)

    def prepare(self, future: Any) -> None:
        self.channel.add_on_return_callback(self.came_back)
        self.channel.confirm_delivery(self.confirmed, callback=lambda _: future.set_result(None))

    def put(self, batch: Batch) -> None:
        """Take a batch, from any thread.

        Raises:
            RabbitMQFailed: the connection is gone, or the server takes no messages at the moment.
        """
        if self.wire.blocked:
            raise RabbitMQFailed(self.wire.where, f"It takes no messages: {self.wire.blocked}.", certain=True)
        self.wire.run(partial(self.take, batch))

    def take(self, batch: Batch) -> None:
        if not self.channel.is_open:
            batch.give_up(f"RabbitMQ at {self.wire.where}: the channel was closed.")
            return
        self.waiting.extend((batch, number) for number in range(len(batch.parcels)))
        self.send()

    def send(self) -> None:
        """Send what the window has room for."""
        publish = self.channel.basic_publish
        while self.waiting and len(self.unconfirmed) < self.options.window and not self.wire.blocked:
            batch, number = self.waiting.popleft()
            if batch.told[number] is not None:  # given up meanwhile
                continue
            parcel = batch.parcels[number]
            self.tag += 1
            self.unconfirmed[self.tag] = batch, number
            batch.sent = number + 1
            publish(parcel.exchange, parcel.key, parcel.body, parcel.properties, mandatory=True)

    def came_back(self, _: Channel, method: Basic.Return, properties: BasicProperties, body: bytes) -> None:
        reason = NO_ROUTE if method.reply_code == NO_QUEUE else str(method.reply_text)
        self.returned[str(properties.message_id)] = reason

    def confirmed(self, frame: Any) -> None:
        """Answer for one message, or for all up to it."""
        method, tags = frame.method, [frame.method.delivery_tag]
        self.heard_at = time.monotonic()
        if method.multiple:
            tags = list(takewhile(lambda tag: tag <= method.delivery_tag, self.unconfirmed))
        for tag in tags:
            self.settle(tag, taken=isinstance(method, Basic.Ack))
        self.send()

    def settle(self, tag: int, *, taken: bool) -> None:
        batch, number = self.unconfirmed.pop(tag, (None, 0))
        if batch is None:
            return
        properties = batch.parcels[number].properties
        reason = self.returned.pop(str(properties.message_id), None) if self.returned else None
        if taken and reason is None:
            batch.answer(number, Published(ref=str(properties.timestamp)))
        else:
            if reason is not None:
                batch.homeless.append(number)
            said = reason or "It refused the message: nothing was kept. Its log says why."
            batch.answer(number, Published(error=f"RabbitMQ at {self.wire.where}: {said}"))

    def closed(self, _: Channel, error: Exception) -> None:
        """The channel is no more, with or without its connection: what was not confirmed is unknown."""
        said = str(RabbitMQFailed(self.wire.where, error, certain=False))
        batches = {id(batch): batch for batch, _ in [*self.unconfirmed.values(), *self.waiting]}
        self.unconfirmed.clear()
        self.waiting.clear()
        for batch in batches.values():
            batch.give_up(said, homeless=getattr(error, "reply_code", None) == NOT_FOUND)

    def abandon(self, batch: Batch) -> None:
        """Wait no longer for a batch, from the thread that published it."""
        over = threading.Event()

        def give_up() -> None:
            blocked = f" It takes no messages: {self.wire.blocked}." if self.wire.blocked else ""
            batch.give_up(
                f"RabbitMQ at {self.wire.where}: It has not confirmed for {self.options.timeout:g} s.{blocked}"
            )
            over.set()

        try:
            self.wire.run(give_up)
        except RabbitMQFailed:
            return
        over.wait(self.options.timeout)
        if not self.wire.blocked:
            self.wire.break_off(
                RabbitMQFailed(self.wire.where, "It has not confirmed in time.", certain=False)
            )
