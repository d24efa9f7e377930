"""Reads a partition again, whoever has read it before: without a group, so that nobody's offsets move."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaTimeoutError

from openqueue.runtimes.base import Kept
from openqueue.runtimes.kafka.clients.kafka_python import FAILURES, connection, milliseconds, opened
from openqueue.runtimes.kafka.cluster import Cluster
from openqueue.runtimes.kafka.options import Options
from openqueue.runtimes.kafka.refusals import KafkaFailed
from openqueue.runtimes.kafka.topics import Place

WAIT: Final = 0.5
"""Seconds that one poll waits."""


class Log:
    """A reader of records that are kept; for one thread."""

    def __init__(self, options: Options, *, name: str) -> None:
        self.options = options
        self.name = name
        self.consumer: Any = None

    def read(self, place: Place, offset: int, *, until: int, limit: int) -> Sequence[Kept]:
        """Return the next records of a stretch, at least one; none when there are none before ``until``.

        Raises:
            KafkaFailed: no answer, or the log does not reach back to this offset any more.
        """
        partition = TopicPartition(*place)
        found: list[Kept] = []
        patience = time.monotonic() + self.options.timeout + WAIT
        try:
            reader = self.opened()
            reader.assign([partition])
            reader.seek(partition, offset)
            while (
                not found
                and reader.position(partition, timeout_ms=milliseconds(self.options.timeout)) < until
            ):
                records = reader.poll(timeout_ms=milliseconds(WAIT), max_records=limit).get(partition, ())
                found = [Kept(one.offset, one.value or b"") for one in records if one.offset < until]
                if records and not found:
                    break
                if time.monotonic() > patience:
                    raise KafkaTimeoutError(f"no record of {place.topic} {place.partition}")  # said below
        except FAILURES as error:
            self.close()
            raise KafkaFailed(self.options.where, error, certain=True) from error
        return found

    def opened(self) -> Any:
        if self.consumer is None:
            settings = {
                "group_id": None,
                "enable_auto_commit": False,
                "auto_offset_reset": "none",
                "allow_auto_create_topics": False,
                "metrics_enabled": False,
            } | connection(self.options, name=self.name)
            self.consumer = opened(KafkaConsumer, settings, self.options)
        return self.consumer

    def close(self) -> None:
        consumer, self.consumer = self.consumer, None
        if consumer is not None:
            consumer.close()


def stretch(
    cluster: Cluster, places: Iterable[Place], *, since: datetime | None, until: datetime | None
) -> dict[int, tuple[int, int]]:
    """Return for each partition the offset of its first record since one moment, and that of the first from another on.

    Raises:
        KafkaFailed: no answer, or a refusal.
    """
    places = list(places)
    first, following = cluster.ends(places, first=True), cluster.ends(places)
    begins = cluster.since(places, since) if since is not None else first
    ends = cluster.since(places, until) if until is not None else following
    found = {}
    for place in places:
        begin, end = begins.get(place, following[place]), ends.get(place, following[place])
        found[place.partition] = max(begin, first[place]), max(end, first[place])
    return {partition: (begin, max(begin, end)) for partition, (begin, end) in found.items()}
