"""kafka-python, 3.0 and newer: the default client. Its IO has a thread of its own; listeners are called from it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.consumer.subscription_state import AsyncConsumerRebalanceListener
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import (
    AuthorizationError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    SaslAuthenticationFailedError,
    UnknownTopicOrPartitionError,
)
from kafka.net.compat import KafkaNetClient
from kafka.structs import OffsetAndMetadata

from openqueue.runtimes.kafka.clients import Listener, Outgoing, Record, Sent, ShareMember
from openqueue.runtimes.kafka.options import OptionInvalid, Options
from openqueue.runtimes.kafka.refusals import KafkaFailed, explained
from openqueue.runtimes.kafka.topics import Place

FAILURES: Final = (KafkaError, OSError, ValueError, RuntimeError)
"""What kafka-python raises; the last two for a client that was closed meanwhile."""
REFUSALS: Final = (
    AuthorizationError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    SaslAuthenticationFailedError,
    UnknownTopicOrPartitionError,
)
"""Answers after which nothing was kept."""
WIRE: Final = ("kafka.net.connection", "kafka.net.transport", "kafka.protocol.parser")
POLL_RECORDS: Final = 500
HEARTBEATS: Final = 10
"""Heartbeats in a session timeout: by one of them a member hears that others joined."""
SPIN: Final = 0.15
"""Of its time, that a poll without records may compute."""
GLANCE: Final = 0.02
"""Seconds of a poll among long sleeps, until it is quiet again."""
FETCH_WAITS: Final = 1000
"""Milliseconds that a broker holds a request for records back while there are none."""
STRANDED: Final = 10.0
"""Seconds without a coordinator of the group after which a member is given up: it waits for it without a word."""
LINGER: Final = 5
"""Milliseconds in which a batch fills up; `flush` ends them."""


class Secret(str):
    """A text that shows itself to nobody: kafka-python logs its settings."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


def discreet(record: logging.LogRecord) -> bool:
    """Tell whether a line may be logged: at DEBUG, kafka-python shows what it sends, passwords with it."""
    return record.levelno > logging.DEBUG


def connection(options: Options, *, name: str) -> dict[str, Any]:
    """Return what every client of kafka-python is made with."""
    security = options.security
    if security.password is not None:
        for wire in WIRE:
            logging.getLogger(wire).addFilter(discreet)  # again changes nothing
    return {
        "bootstrap_servers": list(options.brokers),
        "client_id": name,
        "bootstrap_timeout_ms": milliseconds(options.timeout),
        "request_timeout_ms": milliseconds(options.timeout) + 1000,
        "metadata_max_age_ms": milliseconds(options.metadata_age),
        "reconnect_backoff_max_ms": 1000,
        "security_protocol": security.protocol,
        "ssl_check_hostname": security.check_hostname,
        "ssl_cafile": security.ca,
        "ssl_certfile": security.cert,
        "ssl_keyfile": security.key,
        "sasl_mechanism": security.mechanism,
        "sasl_plain_username": security.username,
        "sasl_plain_password": None if security.password is None else Secret(security.password),
    }


def opened(kind: Any, settings: Mapping[str, Any], options: Options) -> Any:
    """Make a client of kafka-python, which leaves threads and sockets behind when it finds no broker.

    'client_options' go over the settings, as far as this kind of client knows them.

    Raises:
        KafkaFailed: no broker answers, or it does not let us in.
    """
    nets: list[Net] = []

    def net(**configs: Any) -> Net:
        nets.append(Net(**configs))
        return nets[-1]

    own = {name: value for name, value in options.client_options.items() if name in kind.DEFAULT_CONFIG}
    try:
        made = kind(**{"kafka_client": net} | dict(settings) | own)
    except FAILURES as error:
        for one in nets:
            one.close()
        why = next((one.why for one in nets if one.why is not None), error)
        raise KafkaFailed(options.where, why, certain=True) from error
    for one in nets:
        one.listen_no_more()
    return made


class Net(KafkaNetClient):  # type: ignore[misc]  # kafka-python is untyped
    """Remembers why no broker let it in: a client that finds none says only that the time was over."""

    def __init__(self, **configs: Any) -> None:
        super().__init__(**configs)
        self.why: Exception | None = None
        self.connect = self._manager.get_connection
        self._manager.get_connection = self.listening

    def listening(self, *args: Any, **more: Any) -> Any:
        connection = self.connect(*args, **more)
        connection.close_future.add_errback(self.ended)
        return connection

    def ended(self, error: Exception) -> None:
        if not isinstance(self.why, SaslAuthenticationFailedError):  # what follows it says less
            self.why = error

    def listen_no_more(self) -> None:
        self._manager.get_connection = self.connect


def milliseconds(seconds: float) -> int:
    return max(1, int(seconds * 1000))


class KafkaPython:
    """Makes producers and members."""

    def __init__(self, options: Options) -> None:
        known = {*KafkaProducer.DEFAULT_CONFIG, *KafkaConsumer.DEFAULT_CONFIG}
        if unknown := set(options.client_options) - known:
            raise OptionInvalid(f"'client_options': kafka-python knows no {', '.join(sorted(unknown))}.")

    def producer(self, options: Options, *, name: str) -> KafkaPythonProducer:
        return KafkaPythonProducer(options, name=name)

    def member(
        self, options: Options, *, name: str, group: str, topics: Sequence[str], listener: Listener
    ) -> KafkaPythonMember:
        return KafkaPythonMember(options, name=name, group=group, topics=topics, listener=listener)

    def share_member(self, options: Options, *, name: str, group: str, most: int) -> ShareMember:
        raise KafkaFailed(options.where, "kafka-python has no share groups.", certain=True)


class KafkaPythonProducer:
    """Sends with futures that are awaited together."""

    def __init__(self, options: Options, *, name: str) -> None:
        self.options = options
        patience = milliseconds(options.timeout)
        settings = {
            "acks": "all",
            "enable_idempotence": True,
            "linger_ms": LINGER,
            "batch_size": 2**16,
            "delivery_timeout_ms": patience,
            "max_block_ms": patience,
            "allow_auto_create_topics": False,
            "metrics_enabled": False,
        } | connection(options, name=name)
        settings["request_timeout_ms"] = max(1, patience - LINGER)  # at most what a delivery may take
        self.producer = opened(KafkaProducer, settings, options)

    def send(self, records: Sequence[Outgoing]) -> Sequence[Sent]:
        futures: list[Any] = []
        for record in records:
            try:
                futures.append(
                    self.producer.send(
                        record.topic, key=record.key, value=record.body, headers=list(record.headers)
                    )
                )
            except FAILURES as error:  # not even put into a batch
                futures.append(error)
        with suppress(*FAILURES):  # each future knows for itself
            self.producer.flush(timeout=self.options.timeout + 1)
        return [self.answer(future) for future in futures]

    def answer(self, future: Any) -> Sent:
        if isinstance(future, Exception):
            return Sent(error=str(KafkaFailed(self.options.where, future, certain=True)))
        if not future.is_done:
            return Sent(error=f"Kafka at {self.options.where}: no answer yet", certain=False)
        if future.failed():
            error = future.exception
            certain = isinstance(error, REFUSALS)
            return Sent(error=str(KafkaFailed(self.options.where, error, certain=certain)), certain=certain)
        return Sent(future.value.partition, future.value.offset)

    def close(self) -> None:
        try:
            self.producer.close(timeout=0)
        except FAILURES:
            self.producer._sender.force_close()  # `close` stops at what is not sent yet


class Ears(AsyncConsumerRebalanceListener):  # type: ignore[misc]  # kafka-python is untyped
    """Hears of partitions on the IO thread, where only what is awaited may wait."""

    def __init__(self, member: KafkaPythonMember) -> None:
        self.member = member

    async def on_partitions_assigned(self, assigned: Collection[Any]) -> None:
        self.member.listener.assigned([Place(*one) for one in assigned])

    async def on_partitions_revoked(self, revoked: Collection[Any]) -> None:
        offsets = self.member.listener.revoked([Place(*one) for one in revoked])
        if offsets:
            with suppress(
                KafkaError
            ):  # whoever gets the partition receives some again, which is answered `gone`
                await self.member.consumer.commit_async(positions(offsets))

    async def on_partitions_lost(self, lost: Collection[Any]) -> None:
        self.member.listener.lost([Place(*one) for one in lost])


class KafkaPythonMember:
    """One KafkaConsumer."""

    def __init__(
        self, options: Options, *, name: str, group: str, topics: Sequence[str], listener: Listener
    ) -> None:
        self.options = options
        self.listener = listener
        self.spins = False
        """The last poll was busy with nothing, as kafka-python is while a heartbeat gets no answer."""
        session = milliseconds(options.session_timeout)
        settings = {
            "group_id": group,
            "enable_auto_commit": False,
            "auto_offset_reset": "earliest",
            "partition_assignment_strategy": [CooperativeStickyAssignor],
            "session_timeout_ms": session,
            "heartbeat_interval_ms": min(1000, session // HEARTBEATS),
            "max_poll_interval_ms": milliseconds(options.poll_interval),
            "max_poll_records": POLL_RECORDS,
            "fetch_max_wait_ms": FETCH_WAITS,
            "allow_auto_create_topics": False,
            "default_offset_commit_callback": lambda offsets, response: None,
            "metrics_enabled": False,
        } | connection(options, name=name)
        self.consumer = opened(KafkaConsumer, settings, options)
        self.guided_at = time.monotonic()
        """When the group's coordinator was last known."""
        self.subscribe(topics)

    def subscribe(self, topics: Sequence[str]) -> None:
        self.consumer.subscribe(topics=list(topics), listener=Ears(self))

    def poll(self, timeout: float) -> Sequence[Record]:
        coordinator = self.consumer._coordinator
        # A join for the sake of new partitions is no longer wanted once they are assigned: when the poll ends before
        # the group has answered, nobody would ever hear the answer, and no heartbeat is sent meanwhile.
        if coordinator.rejoining and not coordinator.need_rejoin():
            coordinator.request_rejoin()
        # A join that ends between two polls is thrown away and begun again: whoever joins must wait inside of one.
        if self.spins and not coordinator.need_rejoin():
            time.sleep(max(0.0, timeout - GLANCE))
            timeout = GLANCE
        began, used = time.monotonic(), time.thread_time()
        try:
            found = self.consumer.poll(timeout_ms=milliseconds(timeout))
        except FAILURES as error:
            raise KafkaFailed(self.options.where, error, certain=True) from error
        self.spins = not found and time.thread_time() - used > SPIN * (time.monotonic() - began)
        if coordinator.coordinator_id is not None:
            self.guided_at = time.monotonic()
        elif time.monotonic() - self.guided_at > STRANDED:
            said = f"The group's coordinator was not found for {STRANDED:g} s."
            raise KafkaFailed(self.options.where, said, certain=True)
        records = []
        for (topic, partition), some in found.items():
            place = Place(topic, partition)
            records += [
                Record(place, one.offset, one.value or b"", one.headers, one.timestamp / 1000) for one in some
            ]
        return records

    def commit(self, offsets: Mapping[Place, int], done: Callable[[bool], None]) -> None:
        def answered(_: Any, response: Any) -> None:
            done(not isinstance(response, Exception))

        try:
            self.consumer.commit_async(positions(offsets), callback=answered)
        except FAILURES:
            done(False)

    def pause(self, places: Collection[Place]) -> None:
        self.consumer.pause(*(TopicPartition(*place) for place in places))

    def resume(self, places: Collection[Place]) -> None:
        self.consumer.resume(*(TopicPartition(*place) for place in places))

    def close(self) -> None:
        try:
            self.consumer.close(autocommit=False, timeout_ms=milliseconds(self.options.timeout))
        except FAILURES as error:
            raise KafkaFailed(self.options.where, explained(error), certain=False) from error


def positions(offsets: Mapping[Place, int]) -> dict[Any, Any]:
    return {TopicPartition(*place): OffsetAndMetadata(offset, "", -1) for place, offset in offsets.items()}
