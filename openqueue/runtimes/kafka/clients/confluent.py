"""confluent-kafka: librdkafka's threads do the IO. Producer and classic consumer; share groups are in `sharing`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from openqueue.runtimes.kafka.clients import Listener, Outgoing, Record, Sent, ShareMember
from openqueue.runtimes.kafka.clients.librdkafka import (
    FAILURES,
    PASSING,
    REFUSALS,
    connection,
    failed,
    logger,
    milliseconds,
    opened,
    record_of,
)
from openqueue.runtimes.kafka.options import OptionInvalid, Options
from openqueue.runtimes.kafka.topics import Place

POLL_RECORDS: Final = 500
HEARTBEATS: Final = 10
"""Heartbeats in a session timeout: by one of them a member hears that others joined."""
LINGER: Final = 5
"""Milliseconds in which a batch fills up; `flush` ends them."""


class Confluent:
    """Makes producers and members."""

    def __init__(self, options: Options) -> None:
        if options.client_options:
            check(options.client_options)

    def producer(self, options: Options, *, name: str) -> ConfluentProducer:
        return ConfluentProducer(options, name=name)

    def member(
        self, options: Options, *, name: str, group: str, topics: Sequence[str], listener: Listener
    ) -> ConfluentMember:
        return ConfluentMember(options, name=name, group=group, topics=topics, listener=listener)

    def share_member(self, options: Options, *, name: str, group: str, most: int) -> ShareMember:
        from openqueue.runtimes.kafka.clients.sharing import (  # noqa: PLC0415  # older releases have none
            ConfluentShareMember,
        )

        return ConfluentShareMember(options, name=name, group=group, most=most)


def check(given: Mapping[str, Any]) -> None:
    """Raise OptionInvalid for settings that librdkafka does not know: only making a client tells."""
    try:
        Producer({"logger": logger, "log_level": 0} | dict(given))
    except FAILURES as error:
        raise OptionInvalid(f"'client_options': librdkafka does not take them: {error}") from error


class ConfluentProducer:
    """Sends without waiting, then waits for all answers together."""

    def __init__(self, options: Options, *, name: str) -> None:
        self.options = options
        settings = {
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": LINGER,
            "delivery.timeout.ms": milliseconds(options.timeout),
            "request.timeout.ms": milliseconds(options.timeout),
            "partitioner": "murmur2_random",  # as Kafka's own clients place a key
        }
        self.producer = opened(Producer, settings | connection(options, name=name), options)
        try:
            self.producer.list_topics(
                timeout=options.timeout
            )  # it would queue records for brokers that are not there
        except FAILURES as error:
            raise failed(options, error) from error

    def send(self, records: Sequence[Outgoing]) -> Sequence[Sent]:
        waiting = f"Kafka at {self.options.where}: no answer yet"
        answers = [Sent(error=waiting, certain=False)] * len(records)
        for number, record in enumerate(records):
            try:
                self.put(record, partial(self.answered, answers, number))
            except FAILURES as error:  # not even put into a batch
                answers[number] = Sent(error=str(failed(self.options, error)))
        self.producer.flush(self.options.timeout + 1)
        return list(answers)  # a late answer changes nothing any more

    def put(self, record: Outgoing, answered: Callable[[KafkaError | None, Any], None]) -> None:
        facts: dict[str, Any] = {"key": record.key, "headers": list(record.headers), "on_delivery": answered}
        try:
            self.producer.produce(record.topic, record.body, **facts)
        except BufferError:  # its queue is full: let it send some
            self.producer.flush(self.options.timeout)
            self.producer.produce(record.topic, record.body, **facts)

    def answered(self, answers: list[Sent], number: int, error: KafkaError | None, message: Any) -> None:
        if error is None:
            answers[number] = Sent(message.partition(), message.offset())
        else:
            certain = error.name() in REFUSALS
            text = str(failed(self.options, error, certain=certain))
            answers[number] = Sent(error=text, certain=certain)

    def close(self) -> None:
        with suppress(*FAILURES):
            self.producer.purge()
            self.producer.flush(0)


class ConfluentMember:
    """One Consumer. All callbacks come from within `poll` and `close`."""

    def __init__(
        self, options: Options, *, name: str, group: str, topics: Sequence[str], listener: Listener
    ) -> None:
        self.options = options
        self.listener = listener
        self.asked: deque[Callable[[bool], None]] = deque()
        """Who waits for a commit, in the order of the commits."""
        session = milliseconds(options.session_timeout)
        settings = {
            "group.id": group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": session,
            "heartbeat.interval.ms": max(1, min(1000, session // HEARTBEATS)),
            "max.poll.interval.ms": max(session, milliseconds(options.poll_interval)),
            "allow.auto.create.topics": False,
            "on_commit": self.committed,
        }
        self.consumer = opened(Consumer, settings | connection(options, name=name), options)
        self.subscribe(topics)

    def subscribe(self, topics: Sequence[str]) -> None:
        try:
            self.consumer.subscribe(
                list(topics), on_assign=self.assigned, on_revoke=self.revoked, on_lost=self.lost
            )
        except FAILURES as error:
            raise failed(self.options, error) from error

    def poll(self, timeout: float) -> Sequence[Record]:
        try:
            first = self.consumer.poll(timeout)  # ends with the first one; `consume` would wait for them all
            found = [] if first is None else [first, *self.consumer.consume(POLL_RECORDS - 1, 0)]
        except FAILURES as error:
            raise failed(self.options, error) from error
        records = []
        for message in found:
            if (wrong := message.error()) is None:
                records.append(record_of(message))
            elif wrong.fatal() or wrong.code() not in PASSING:
                raise failed(self.options, wrong)
        return records

    def commit(self, offsets: Mapping[Place, int], done: Callable[[bool], None]) -> None:
        self.asked.append(done)
        try:
            self.consumer.commit(offsets=positions(offsets), asynchronous=True)
        except FAILURES:
            self.asked.pop()
            done(False)

    def committed(self, error: KafkaError | None, places: Sequence[Any]) -> None:
        if self.asked:
            self.asked.popleft()(error is None and not any(place.error for place in places))

    def assigned(self, _: Any, places: Sequence[Any]) -> None:
        self.listener.assigned([Place(place.topic, place.partition) for place in places])

    def revoked(self, consumer: Any, places: Sequence[Any]) -> None:
        offsets = self.listener.revoked([Place(place.topic, place.partition) for place in places])
        if offsets:
            with suppress(KafkaException):  # whoever gets them receives some again, which are answered `gone`
                consumer.commit(offsets=positions(offsets), asynchronous=False)

    def lost(self, _: Any, places: Sequence[Any]) -> None:
        self.listener.lost([Place(place.topic, place.partition) for place in places])

    def pause(self, places: Collection[Place]) -> None:
        with suppress(KafkaException):  # one of them may have gone to another member meanwhile
            self.consumer.pause([TopicPartition(*place) for place in places])

    def resume(self, places: Collection[Place]) -> None:
        with suppress(KafkaException):
            self.consumer.resume([TopicPartition(*place) for place in places])

    def close(self) -> None:
        try:
            self.consumer.close()
        except FAILURES as error:
            raise failed(self.options, error, certain=False) from error
        while self.asked:
            self.asked.popleft()(False)


def positions(offsets: Mapping[Place, int]) -> list[Any]:
    return [TopicPartition(*place, offset) for place, offset in offsets.items()]
