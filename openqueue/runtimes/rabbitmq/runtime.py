"""The RabbitMQ runtime: publish, look, and open consumers. Queues never hold the truth: losing them costs time only."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from math import ceil
from typing import Any, Final
from urllib.parse import urlsplit
from weakref import WeakSet

from pika import BasicProperties

from openqueue.conf import config
from openqueue.runtimes.base import (
    BrokerFacts,
    Capabilities,
    Message,
    Published,
    QueueStats,
    Reach,
    RuntimeHealth,
)
from openqueue.runtimes.rabbitmq import facts
from openqueue.runtimes.rabbitmq.broker import Broker, Head
from openqueue.runtimes.rabbitmq.consumer import RabbitMQConsumer
from openqueue.runtimes.rabbitmq.hush import hush
from openqueue.runtimes.rabbitmq.line import Line
from openqueue.runtimes.rabbitmq.management import Management
from openqueue.runtimes.rabbitmq.options import Options
from openqueue.runtimes.rabbitmq.publisher import Batch, Parcel, Publisher
from openqueue.runtimes.rabbitmq.refusals import RabbitMQFailed
from openqueue.runtimes.rabbitmq.topology import Topology

logger = logging.getLogger("openqueue")

PATIENCE: Final = 1.9
"""Seconds that `health` waits for an answer."""
SKEW: Final = 10.0
"""Seconds by which the clocks of two publishers may differ."""
PERSISTENT: Final = 2


class RabbitMQRuntime:
    """Carries announcements by a RabbitMQ server. OPTIONS are those of `Options`."""

    carries_messages = True

    def __init__(self, alias: str, **options: Any) -> None:
        self.alias = alias
        self.options = Options.of(options)
        self.capabilities = Capabilities(
            priorities="emulated" if self.options.priorities == "lanes" else self.options.priorities,
            queue_order=True,
            depth=True,
            unacked=self.options.management is not None,
            dead_letter=True,
            ahead=max(self.options.delay_lanes, default=0),
        )
        self.management = Management(self.options)
        self.publishing = Line(self.options, purpose="publish")
        """Apart: a server that is short of memory or disk reads nothing more from whoever publishes."""
        self.reading = Line(self.options, purpose="read")
        self.publisher = Publisher(self.publishing)
        self.broker = Broker(self.reading, self.topology)
        living.add(self)

    def reach(self) -> Sequence[Reach]:
        """Return the ways to the server and to its management API, which both take the password."""
        tls, asked = self.options.tls, urlsplit(self.options.management or "")
        named = tls is None or tls.check_hostname
        nodes = Reach(
            [host for host, _ in self.options.nodes], tls is not None, named, not self.options.external
        )
        if not asked.hostname:
            return [nodes]
        return [nodes, Reach([asked.hostname], asked.scheme == "https", named, tells_password=True)]

    def forget(self) -> None:
        """Begin anew after a fork: connections and threads are the parent's."""
        for part in (self.publishing, self.reading, self.publisher, self.broker, self.management):
            part.forget()

    def topology(self) -> Topology:
        return Topology(config.namespace, self.options)

    def declare(self, queues: Sequence[str]) -> None:
        """Make the queues exist, with what they need around them; again changes nothing.

        Raises:
            TopologyDiffers: one exists and was declared differently; the message names it and the argument.
            RabbitMQFailed: the server cannot be reached, or refuses.
        """
        self.broker.declare(queues)

    def publish(self, messages: Sequence[Message]) -> Sequence[Published]:
        """Send one batch, hundreds on their way at a time; what no queue took is sent again when its queue is made."""
        if not messages:
            return []
        try:
            batch = self.sent(messages)
        except RabbitMQFailed as error:  # the queues could not be made
            return [Published(error=str(error))] * len(messages)
        told = batch.answers()
        if batch.homeless:
            with suppress(RabbitMQFailed):  # then what was told of them stands
                self.broker.unknown({messages[n].queue for n in batch.homeless})
                again = self.sent([messages[n] for n in batch.homeless])
                for n, answer in zip(batch.homeless, again.answers(), strict=True):
                    told[n] = answer
        return told

    def sent(self, messages: Sequence[Message]) -> Batch:
        self.broker.declare({message.queue for message in messages})
        topology, now = self.topology(), int(time.time())
        return self.publisher.publish([parcel(topology, message, now=now) for message in messages])

    def missing(self, messages: Sequence[Message], refs: Sequence[str | None]) -> Sequence[bool]:
        """Tell which are gone by what stands at the head of their lane: all that was published before it was received.

        A lane without messages has none of them. Those received and not settled may be asked for as well: there
        are few, for a moment, and a second message of a run is harmless.
        """
        topology = self.topology()
        heads: dict[str, Head | None] = {}
        gone = []
        for message, ref in zip(messages, refs, strict=True):
            lane = topology.lane_of(message.queue, message.priority)
            if lane.name not in heads:
                heads[lane.name] = self.broker.head(lane.name)
            gone.append(passed(heads[lane.name], ref, priority=topology.native_priority(message.priority)))
        return gone

    def consumer(self, queues: Sequence[str], *, prefetch: int) -> RabbitMQConsumer:
        return RabbitMQConsumer(self.reading, self.broker, queues, prefetch=prefetch)

    def inspect(self, queue: str) -> QueueStats:
        """Count what waits, who receives, and what was moved aside; the management API knows what is not settled."""
        topology = self.topology()
        names = [lane.name for lane in topology.lanes(queue)]
        *lanes, rejected = self.broker.count([*names, topology.rejected])
        return QueueStats(
            depth=sum(count.ready for count in lanes),
            unacked=self.unacked(names),
            consumers=max(count.consumers for count in lanes),
            rejected=rejected.ready,
        )

    def unacked(self, names: Sequence[str]) -> int | None:
        if self.options.management is None:
            return None
        try:
            queues = self.management.queues()
        except RabbitMQFailed as error:
            logger.warning("RabbitMQ's management API does not tell", extra={"error": str(error)})
            return None
        return sum(int(queues.get(name, {}).get("messages_unacknowledged", 0)) for name in names)

    def configuration(self) -> BrokerFacts:
        """Return how the server is set up: most of it is told by the management API, where OPTIONS name it.

        Raises:
            RabbitMQFailed: it cannot be asked.
        """
        server = self.reading.wire().server
        if self.options.management is None:
            return facts.read(server, self.topology(), refuses=self.refusal())
        return facts.read(
            server,
            self.topology(),
            refuses="; ".join(self.management.alarms()) or self.refusal(),
            nodes=self.management.nodes(),
            queues=self.management.queues(),
        )

    def refusal(self) -> str:
        """Return why messages are not taken at the moment, as far as our own connection was told."""
        wire = self.publishing.current
        return wire.blocked if wire is not None and wire.ended is None else ""

    def health(self) -> RuntimeHealth:
        """Answer within 2 s, whatever the network does."""
        told: list[RuntimeHealth] = []

        def look() -> None:
            try:
                self.broker.ping()
                refusal = self.refusal()
                if not refusal and self.options.management is not None:
                    refusal = "; ".join(self.management.alarms())
                detail = f"blocked: it takes no messages at the moment ({refusal})" if refusal else ""
                told.append(RuntimeHealth(ok=not refusal, detail=detail or self.options.where))
            except RabbitMQFailed as error:
                told.append(RuntimeHealth(ok=False, detail=str(error)))

        thread = threading.Thread(target=look, name="openqueue-rabbitmq-health", daemon=True)
        thread.start()
        thread.join(PATIENCE)
        if not told:
            detail = f"RabbitMQ at {self.options.where} has not answered for {PATIENCE} s."
            return RuntimeHealth(ok=False, detail=detail)
        return told[0]

    def close(self) -> None:
        self.publishing.close()
        self.reading.close()


def parcel(topology: Topology, message: Message, *, now: int) -> Parcel:
    """Return a message as it travels: straight to its queue, or by a delay lane, which it leaves when it is due.

    Its timestamp is the moment at which it comes to its queue: see `missing`.
    """
    lane = topology.lane_of(message.queue, message.priority)
    wait = message.due - time.monotonic() if message.due else 0.0
    delay = topology.delay_lane(wait)
    return Parcel(
        topology.exchange if delay is None else delay.name,
        topology.routing_key(lane, message.task_id),
        message.encode(namespace=topology.exchange),
        BasicProperties(
            message_id=f"{message.run_id}:{message.seq}",
            content_type="application/json",
            delivery_mode=PERSISTENT,
            priority=topology.native_priority(message.priority),
            timestamp=now if delay is None else now + ceil(wait),
            expiration=None if delay is None else str(ceil(wait * 1_000)),
            headers={"traceparent": message.traceparent} if message.traceparent else None,
        ),
    )


def passed(head: Head | None, ref: str | None, *, priority: int | None) -> bool:
    """Tell whether a message published as `ref` says must have left the lane that has this head."""
    if head is None or ref is None or not ref.isdecimal():
        return True
    if priority is not None and head.priority != priority:
        return head.priority < priority  # of a higher one nothing waits; below it nobody knows
    return head.published is not None and head.published > float(ref) + SKEW


living: WeakSet[RabbitMQRuntime] = WeakSet()


def after_fork() -> None:
    for runtime in list(living):
        runtime.forget()


hush()
os.register_at_fork(after_in_child=after_fork)
