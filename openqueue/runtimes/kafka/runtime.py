"""The Kafka runtime: publish, look, and open consumers. A topic holds announcements, never the truth."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID
from weakref import WeakSet

from openqueue.conf import config
from openqueue.runtimes.base import (
    BrokerFacts,
    Capabilities,
    Kept,
    Message,
    PartitionStats,
    Published,
    QueueStats,
    Reach,
    Receipt,
    RuntimeHealth,
)
from openqueue.runtimes.kafka import facts
from openqueue.runtimes.kafka.clients import Member, Outgoing, Producer, Record, Sent, ShareMember, client_of
from openqueue.runtimes.kafka.cluster import Cluster, Topic
from openqueue.runtimes.kafka.consumer import KafkaConsumer
from openqueue.runtimes.kafka.log import Log, stretch
from openqueue.runtimes.kafka.options import Options
from openqueue.runtimes.kafka.refusals import KafkaFailed
from openqueue.runtimes.kafka.share import ShareReceiver
from openqueue.runtimes.kafka.sharegroups import ShareGroup
from openqueue.runtimes.kafka.topics import Place, Ref, Shape, dead_letters_of, topic_of

logger = logging.getLogger("openqueue")

FEWEST: Final = 20
"""Records that a fetch of a share group asks for at least, however few slots there are."""
LOOK_AGE: Final = 1.0
"""Seconds for which a look at topics and at the group's members is good enough."""
PATIENCE: Final = 1.9
"""Seconds that `health` waits for an answer."""


class KafkaRuntime:
    """Carries announcements by Apache Kafka. OPTIONS are those of `Options`."""

    capabilities = Capabilities(pause_resume="worker", depth=True, lag=True, dead_letter=True, replay=True)
    carries_messages = True

    def __init__(self, alias: str, **options: Any) -> None:
        self.alias = alias
        self.options = Options.of(options)
        self.client = client_of(self.options)
        self.lock = threading.Lock()
        self.forget()
        living.add(self)

    def forget(self) -> None:
        """Have no connection, as at first: a child has none of its parent's."""
        self.lock = threading.Lock()
        self.cluster = Cluster(self.options, name=self.name)
        self.sender: Producer | None = None
        self.topics: dict[str, Topic] = {}
        """Those known to exist."""
        self.consumers: WeakSet[KafkaConsumer | ShareReceiver] = WeakSet()
        self.log = Log(self.options, name=f"{self.name}.replay")
        self.rereading = threading.Lock()
        self.share: ShareGroup | None = None
        if self.options.group_mode == "share":
            self.share = ShareGroup(self.cluster, self.group)
        self.group_seen: tuple[float, tuple[str, Mapping[Place, str]]] = float("-inf"), ("", {})

    def reach(self) -> Sequence[Reach]:
        return [self.options.reach]

    @property
    def name(self) -> str:
        """What the broker's logs call this client."""
        return f"{config.namespace}.{self.alias}"

    @property
    def member_name(self) -> str:
        """What the group's members are told apart by."""
        return f"{self.name}@{socket.gethostname()}-{os.getpid()}"

    @property
    def group(self) -> str:
        return self.options.group_id or config.namespace

    # --- topics ---------------------------------------------------------------------------------------------------

    def declare(self, queues: Sequence[str]) -> None:
        """Make the topics of these queues, those that are not there.

        Raises:
            KafkaFailed: no answer, or a topic is not there and must not or cannot be made.
        """
        self.make({topic_of(config.namespace, queue): self.options.shape_of(queue) for queue in queues})

    def made(self, topic: str, shape: Shape) -> Topic:
        """Return a topic, made if need be. Raises as `declare`."""
        known = self.topics.get(topic)
        return self.make({topic: shape})[topic] if known is None else known

    def make(self, shapes: Mapping[str, Shape]) -> dict[str, Topic]:
        found = {name: topic for name in shapes if (topic := self.topics.get(name)) is not None}
        if len(found) < len(shapes):
            found = self.cluster.topics(shapes)
        absent = {name: shape for name, shape in shapes.items() if name not in found}
        if absent and not self.options.create_topics:
            raise KafkaFailed(
                self.options.where,
                f"there is no topic {', '.join(sorted(absent))}, and 'create_topics' is False. Create it.",
                certain=True,
            )
        if absent:
            self.cluster.create(absent)
            found |= self.cluster.topics(absent)
        self.topics |= found
        return found

    # --- publish --------------------------------------------------------------------------------------------------

    def publish(self, messages: Sequence[Message]) -> Sequence[Published]:
        """Send one batch and wait until all replicas in step have it; answer per message."""
        if not messages:
            return []
        namespace = config.namespace
        kept: dict[str, str] = {}
        ids: dict[str, UUID] = {}
        for queue in {message.queue for message in messages}:
            topic = topic_of(namespace, queue)
            try:
                ids[queue] = self.made(topic, self.options.shape_of(queue)).id
            except KafkaFailed as error:
                kept[queue] = str(error)
        wanted = [message for message in messages if message.queue in ids]
        records = [
            Outgoing(
                topic_of(namespace, message.queue),
                (message.key or str(message.run_id)).encode(),
                message.encode(namespace=namespace),
                headers_of(message),
            )
            for message in wanted
        ]
        sent = iter(self.send(records))
        return [
            self.told(next(sent), ids[message.queue])
            if message.queue in ids
            else Published(error=kept[message.queue])
            for message in messages
        ]

    def send(self, records: Sequence[Outgoing]) -> Sequence[Sent]:
        if not records:
            return []
        try:
            producer = self.producer()
        except KafkaFailed as error:
            return [Sent(error=str(error))] * len(records)
        answers = producer.send(records)
        for record, answer in zip(records, answers, strict=True):
            if answer.error is not None:
                self.topics.pop(record.topic, None)  # it may be gone: look before the next one
        if any(answer.error is not None for answer in answers):
            # It may still be trying what is announced again anyhow, or have made up its mind for good.
            self.drop(producer)
        return answers

    @staticmethod
    def told(sent: Sent, topic_id: UUID) -> Published:
        if sent.error is not None:
            return Published(error=sent.error, certain=sent.certain)
        return Published(ref=str(Ref(topic_id, sent.partition, sent.offset)))

    def producer(self) -> Producer:
        with self.lock:
            if self.sender is None:
                self.sender = self.client.producer(self.options, name=self.name)
            return self.sender

    def drop(self, producer: Producer) -> None:
        with self.lock:
            if self.sender is producer:
                self.sender = None
        producer.close()

    def missing(self, messages: Sequence[Message], refs: Sequence[str | None]) -> Sequence[bool]:
        """Tell which the group has passed or the log no longer has: exact, in a few questions for any number."""
        for consumer in list(self.consumers):
            consumer.committed(1.0)
        topics = [topic_of(config.namespace, message.queue) for message in messages]
        found = self.cluster.topics(set(topics))
        read = [Ref.read(ref) for ref in refs]
        places = [
            Place(topic, ref.partition)
            if ref is not None and topic in found and found[topic].id == ref.topic_id
            else None
            for topic, ref in zip(topics, read, strict=True)
        ]
        asked = {place for place in places if place is not None}
        passed = self.passed(asked)
        oldest, following = self.cluster.ends(asked, first=True), self.cluster.ends(asked)
        return [
            place is None
            or ref is None
            or not max(passed.get(place, 0), oldest[place]) <= ref.offset < following[place]
            for place, ref in zip(places, read, strict=True)
        ]

    def passed(self, places: Collection[Place]) -> dict[Place, int]:
        """Return the offset from which the group goes on in each of these; one without is left out."""
        if self.share is not None:
            return self.share.passed(places)
        return self.cluster.committed(self.group, places)

    # --- receive --------------------------------------------------------------------------------------------------

    def consumer(self, queues: Sequence[str], *, prefetch: int) -> KafkaConsumer | ShareReceiver:
        topics = {queue: topic_of(config.namespace, queue) for queue in queues}
        if self.share is not None:
            receiver = self.receiver(self.share, topics, most=prefetch)
            self.consumers.add(receiver)
            return receiver

        def open_member(listener: KafkaConsumer, there: Sequence[str]) -> Member:
            return self.client.member(
                self.options, name=self.member_name, group=self.group, topics=there, listener=listener
            )

        consumer = KafkaConsumer(
            topics,
            open_member=open_member,
            find_topics=self.cluster.topics,
            dead_letter=self.dead_letter,
            in_flight=self.options.in_flight,
        )
        self.consumers.add(consumer)
        return consumer

    def receiver(self, group: ShareGroup, topics: Mapping[str, str], *, most: int) -> ShareReceiver:
        """Open a consumer of the share group, which is given records one by one."""

        def open_member() -> ShareMember:
            group.prepare()
            return self.client.share_member(
                self.options, name=self.name, group=self.group, most=max(most, FEWEST)
            )

        return ShareReceiver(
            topics, open_member=open_member, dead_letter=self.dead_letter, in_flight=self.options.in_flight
        )

    def dead_letter(self, receipt: Receipt, record: Record, reason: str) -> None:
        """Copy a record to the dead-letter topic, with where it lay and why it came here."""
        topic = dead_letters_of(record.place.topic)
        shape = Shape(1, self.options.shape_of(receipt.queue).replication)
        more = [
            ("openqueue-topic", record.place.topic.encode()),
            ("openqueue-partition", str(record.place.partition).encode()),
            ("openqueue-offset", str(record.offset).encode()),
            ("openqueue-reason", reason.encode()),
        ]
        try:
            self.make({topic: shape})
            (sent,) = self.send([Outgoing(topic, None, receipt.body, [*record.headers, *more])])
            error = sent.error
        except KafkaFailed as failed:
            error = str(failed)
        if error is not None:
            logger.warning(
                "could not copy a message to the dead-letter topic, it is in the dead letters alone",
                extra={"topic": topic, "error": error},
            )

    # --- look -----------------------------------------------------------------------------------------------------

    def inspect(self, queue: str) -> QueueStats:
        """Ask for the ends of the queue's log and for what the group has committed; for its members once a second."""
        topic = topic_of(config.namespace, queue)
        known = self.topic_now(topic)
        if known is None:
            return QueueStats(depth=0, lag=0)
        places = [Place(topic, number) for number in known.partitions]
        if self.share is not None:
            depth = self.share.depth(places)
            return QueueStats(depth=depth, lag=depth)
        passed = self.cluster.committed(self.group, places)
        first, following = self.cluster.ends(places, first=True), self.cluster.ends(places)
        state, holders = self.members()
        partitions = [
            PartitionStats(
                number=place.partition,
                first=first[place],
                following=following[place],
                committed=passed.get(place),
                holder=holders.get(place, ""),
            )
            for place in places
        ]
        lag = sum(partition.lag for partition in partitions)
        consumers = len({partition.holder for partition in partitions} - {""})
        return QueueStats(depth=lag, lag=lag, partitions=partitions, group=state, consumers=consumers)

    def stretch(
        self, queue: str, *, since: datetime | None = None, until: datetime | None = None
    ) -> Mapping[int, tuple[int, int]]:
        topic = topic_of(config.namespace, queue)
        known = self.topic_now(topic)
        places = [Place(topic, number) for number in known.partitions] if known else []
        return stretch(self.cluster, places, since=since, until=until)

    def reread(self, queue: str, *, partition: int, offset: int, until: int, limit: int) -> Sequence[Kept]:
        place = Place(topic_of(config.namespace, queue), partition)
        with self.rereading:
            return self.log.read(place, offset, until=until, limit=limit)

    def topic_now(self, name: str) -> Topic | None:
        """Return a topic as of a second ago at most: partitions may have been added. None: there is none."""
        known = self.topics.get(name)
        if known is None or time.monotonic() - known.seen_at > LOOK_AGE:
            known = self.cluster.topics([name]).get(name)
            if known is None:
                self.topics.pop(name, None)
            else:
                self.topics[name] = known
        return known

    def members(self) -> tuple[str, Mapping[Place, str]]:
        """Return the group's state and who holds what, as of a second ago at most."""
        asked_at, told = self.group_seen
        if time.monotonic() - asked_at > LOOK_AGE:
            told = self.cluster.group(self.group)
            self.group_seen = time.monotonic(), told
        return told

    def configuration(self) -> BrokerFacts:
        """Return how the cluster and this namespace's topics are set up.

        Raises:
            KafkaFailed: it cannot be asked.
        """
        return facts.look(self.cluster, prefix=topic_of(config.namespace, ""))

    def health(self) -> RuntimeHealth:
        """Answer within 2 s, whatever the network does."""
        told: list[RuntimeHealth] = []

        def look() -> None:
            try:
                self.cluster.ask(lambda admin: admin.describe_cluster())
                told.append(RuntimeHealth(ok=True, detail=self.options.where))
            except KafkaFailed as error:
                told.append(RuntimeHealth(ok=False, detail=str(error)))

        thread = threading.Thread(target=look, name="openqueue-kafka-health", daemon=True)
        thread.start()
        thread.join(PATIENCE)
        if told:
            return told[0]
        return RuntimeHealth(
            ok=False, detail=f"Kafka at {self.options.where} has not answered for {PATIENCE} s."
        )

    def close(self) -> None:
        with self.lock:
            producer, self.sender = self.sender, None
        if producer is not None:
            producer.close()
        with self.rereading:
            self.log.close()
        self.cluster.close()


def headers_of(message: Message) -> list[tuple[str, bytes]]:
    """Return what consumers sort by without reading bodies, and the trace where there is one."""
    headers = [("openqueue-run", str(message.run_id).encode()), ("openqueue-seq", str(message.seq).encode())]
    if message.traceparent:
        headers.append(("traceparent", message.traceparent.encode()))
    return headers


living: WeakSet[KafkaRuntime] = WeakSet()


def after_fork() -> None:
    for runtime in list(living):
        runtime.forget()


os.register_at_fork(after_in_child=after_fork)
