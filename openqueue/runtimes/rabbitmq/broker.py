"""What is asked of the server beside messages: that queues exist, how full they are, what stands at their head."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, Final, NamedTuple

from pika import exceptions
from pika.channel import Channel
from pika.spec import Basic

from openqueue.runtimes.rabbitmq.line import Line
from openqueue.runtimes.rabbitmq.refusals import RabbitMQFailed, failed
from openqueue.runtimes.rabbitmq.topology import DelayLane, Lane, Topology
from openqueue.runtimes.rabbitmq.wire import Wire, answer

logger = logging.getLogger("openqueue")
Step = Callable[[Channel, Callable[[Any], None]], None]
"""One method of the protocol, and what to call with its answer."""


class Head(NamedTuple):
    """The oldest message of a lane."""

    published: float | None
    """Seconds since the epoch, by the clock of whoever published it; None: it does not say."""
    priority: int


class Count(NamedTuple):
    """What a queue of the broker holds."""

    ready: int
    consumers: int


NOT_FOUND: Final = 404


class Broker:
    """Asks on one channel, one question at a time. Safe to share between threads."""

    def __init__(self, line: Line, topology: Callable[[], Topology]) -> None:
        self.line = line
        self.topology = topology
        self.forget()

    def forget(self) -> None:
        """Begin anew after a fork."""
        self.lock = threading.RLock()
        self.wire: Wire | None = None
        self.channel: Channel | None = None
        self.asking: Future[list[Any]] | None = None
        self.on_empty: Callable[[], None] = lambda: None
        """What a look at a queue without messages means to whoever looks."""
        self.known: set[str] = set()
        """Queues of the broker that were there when last looked at, on this connection."""

    def declare(self, queues: Iterable[str]) -> None:
        """Make queues exist; those known to be there are not asked for again.

        Raises:
            TopologyDiffers: one exists and was declared differently.
            RabbitMQFailed: it could not be asked, or refuses.
        """
        topology = self.topology()
        with self.lock:
            self.channel_open()
            missing = [
                lane for queue in queues for lane in topology.lanes(queue) if lane.name not in self.known
            ]
            delays = [lane for lane in topology.delay_lanes if lane.name not in self.known]
            if missing or delays:
                self.ask(steps(topology, missing, delays))
                self.known |= {lane.name for lane in missing} | {lane.name for lane in delays}

    def unknown(self, queues: Iterable[str]) -> None:
        """Look again, next time, whether these exist."""
        topology = self.topology()
        self.known.difference_update(lane.name for queue in queues for lane in topology.lanes(queue))
        self.known.difference_update(lane.name for lane in topology.delay_lanes)

    def count(self, names: Sequence[str]) -> list[Count]:
        """Count what waits in queues of the broker; a queue that is not there has nothing.

        Raises:
            RabbitMQFailed: it could not be asked, or refuses.
        """
        with self.lock:
            try:
                answers = self.ask([partial(passively, name=name) for name in names])
            except NoSuchQueue:
                if len(names) == 1:
                    return [Count(0, 0)]
                return [count for name in names for count in self.count([name])]
            return [Count(a.method.message_count, a.method.consumer_count) for a in answers]

    def head(self, name: str) -> Head | None:
        """Look at the oldest message that waits in a queue of the broker, and put it back; None: none waits.

        Raises:
            RabbitMQFailed: it could not be asked, or refuses.
        """

        def look(channel: Channel, reply: Callable[[Any], None]) -> None:
            def got(channel: Channel, method: Basic.GetOk, properties: Any, _: bytes) -> None:
                channel.basic_nack(method.delivery_tag, requeue=True)
                reply(Head(properties.timestamp, properties.priority or 0))

            self.on_empty = partial(reply, None)
            channel.basic_get(name, got)

        with self.lock:
            try:
                (found,) = self.ask([look])
            except NoSuchQueue:
                return None
        return found  # type: ignore[no-any-return]  # what `look` replied

    def ping(self) -> None:
        """Ask for a sign of life.

        Raises:
            RabbitMQFailed: there is none.
        """
        with self.lock:
            self.ask([lambda channel, reply: channel.basic_qos(prefetch_count=1, callback=reply)])

    # --- the channel ----------------------------------------------------------------------------------------------

    def ask(self, some: Sequence[Step]) -> list[Any]:
        """Do steps one behind the other; return their answers."""
        channel = self.channel_open()
        wire = self.wire
        assert wire is not None  # noqa: S101  # the channel is on it
        answers: list[Any] = []
        left = list(reversed(some))

        def act(future: Future[list[Any]]) -> None:
            self.asking = future

            def following(told: Any) -> None:
                answers.append(told)
                go_on()

            def go_on() -> None:
                if left:
                    left.pop()(channel, following)
                else:
                    answer(future, answers)

            go_on()

        return wire.ask(act, timeout=wire.options.timeout)

    def channel_open(self) -> Channel:
        wire = self.line.wire()
        if wire is not self.wire:
            self.wire, self.channel, self.known = wire, None, set()
        if self.channel is None or not self.channel.is_open:
            self.channel = wire.channel(on_close=self.closed)
            self.channel.add_callback(lambda _: self.on_empty(), [Basic.GetEmpty], one_shot=False)
        return self.channel

    def closed(self, _: Channel, error: Exception) -> None:
        """Tell whoever waits why the channel ended; on the wire's thread."""
        asking, wire = self.asking, self.wire
        if asking is None or asking.done() or wire is None:
            return
        if isinstance(error, exceptions.ChannelClosedByBroker) and error.reply_code == NOT_FOUND:
            asking.set_exception(NoSuchQueue(wire.where, error, certain=True))
        else:
            asking.set_exception(failed(wire.where, error, certain=False))


class NoSuchQueue(RabbitMQFailed):
    """The queue does not exist."""


def passively(channel: Channel, reply: Callable[[Any], None], *, name: str) -> None:
    channel.queue_declare(name, passive=True, callback=reply)


def steps(topology: Topology, lanes: Sequence[Lane], delays: Sequence[DelayLane]) -> list[Step]:
    """Return what makes lanes exist, and what they need around them."""
    kind = topology.options.exchange_type
    made: list[Step] = [
        lambda c, reply: c.exchange_declare(topology.exchange, kind, durable=True, callback=reply),
        lambda c, reply: c.exchange_declare(topology.dlx, "fanout", durable=True, callback=reply),
        lambda c, reply: c.queue_declare(
            topology.rejected, durable=True, arguments=topology.rejected_arguments, callback=reply
        ),
        lambda c, reply: c.queue_bind(topology.rejected, topology.dlx, callback=reply),
    ]
    for lane in lanes:
        made += [partial(made_durable, lane.name, topology.arguments), partial(bound, topology, lane)]
    for delay in delays:
        made += [
            partial(fanning_out, delay.name),
            partial(made_durable, delay.name, topology.delay_arguments(delay)),
            partial(bound_to_all, delay.name),
        ]
    return made


def made_durable(
    name: str, arguments: dict[str, Any], channel: Channel, reply: Callable[[Any], None]
) -> None:
    channel.queue_declare(name, durable=True, arguments=arguments, callback=reply)


def fanning_out(name: str, channel: Channel, reply: Callable[[Any], None]) -> None:
    channel.exchange_declare(name, "fanout", durable=True, callback=reply)


def bound_to_all(name: str, channel: Channel, reply: Callable[[Any], None]) -> None:
    channel.queue_bind(name, name, callback=reply)


def bound(topology: Topology, lane: Lane, channel: Channel, reply: Callable[[Any], None]) -> None:
    channel.queue_bind(lane.name, topology.exchange, topology.binding(lane), callback=reply)
