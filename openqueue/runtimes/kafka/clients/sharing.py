"""Share groups by confluent-kafka's ShareConsumer: every record is acknowledged on its own, with what became of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

from confluent_kafka import AcknowledgeType, IllegalStateException, ShareConsumer

from openqueue.runtimes.kafka.clients import Record, Verdict
from openqueue.runtimes.kafka.clients.librdkafka import (
    FAILURES,
    NAMES,
    PASSING,
    connection,
    failed,
    opened,
    record_of,
)
from openqueue.runtimes.kafka.options import Options

TYPES: Final = {
    Verdict.ACCEPT: AcknowledgeType.ACCEPT,
    Verdict.RELEASE: AcknowledgeType.RELEASE,
    Verdict.REJECT: AcknowledgeType.REJECT,
}


SHARING: Final = NAMES | {"UNSUPPORTED_VERSION": "ShareGroupsUnsupported"}
refused = partial(failed, names=SHARING)


class ConfluentShareMember:
    """One ShareConsumer, which belongs to one thread."""

    def __init__(self, options: Options, *, name: str, group: str, most: int) -> None:
        self.options = options
        settings = {
            "group.id": group,
            "share.acknowledgement.mode": "explicit",
            "max.poll.records": most,
        }
        self.consumer: Any = opened(ShareConsumer, settings | connection(options, name=name), options)

    def subscribe(self, topics: Sequence[str]) -> None:
        try:
            self.consumer.subscribe(list(topics)) if topics else self.consumer.unsubscribe()
        except FAILURES as error:
            raise refused(self.options, error) from error

    def poll(self, timeout: float) -> Sequence[Record]:
        try:
            found = list(self.consumer.poll(timeout))
        except FAILURES as error:
            raise refused(self.options, error) from error
        records = [record_of(message) for message in found if message.error() is None]
        for wrong in filter(None, (message.error() for message in found)):
            if not records and (wrong.fatal() or wrong.code() not in PASSING):
                raise refused(self.options, wrong)
        return records

    def acknowledge(self, verdicts: Iterable[tuple[Record, Verdict]]) -> None:
        for record, verdict in verdicts:
            with suppress(IllegalStateException):  # the broker has given it to another meanwhile
                self.consumer.acknowledge_offset(
                    record.place.topic, record.place.partition, record.offset, TYPES[verdict]
                )

    def commit(self, *, timeout: float | None = None) -> None:
        try:
            self.consumer.commit_async() if timeout is None else self.consumer.commit_sync(timeout)
        except FAILURES as error:
            raise refused(self.options, error, certain=False) from error

    def close(self) -> None:
        try:
            self.consumer.close()
        except FAILURES as error:
            raise refused(self.options, error, certain=False) from error
