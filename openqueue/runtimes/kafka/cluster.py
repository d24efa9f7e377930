"""What the runtime asks of the cluster beside records: topics, offsets, the group. By kafka-python's admin client."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final, TypeVar
from uuid import UUID

from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import OffsetSpec
from kafka.errors import (
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    GroupIdNotFoundError,
    KafkaConnectionError,
    NotControllerError,
    NotCoordinatorError,
    TopicAlreadyExistsError,
    for_code,
)

from openqueue.runtimes.kafka.clients.kafka_python import FAILURES, connection, milliseconds, opened
from openqueue.runtimes.kafka.options import Options
from openqueue.runtimes.kafka.refusals import KafkaFailed
from openqueue.runtimes.kafka.topics import Place, Shape

Answer = TypeVar("Answer")
PASSING: Final = (
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    NotControllerError,
    NotCoordinatorError,
)
"""Answers of a cluster that is about to sort itself out, such as when the very first group is looked for."""
REST: Final = 0.1
READY: Final = 10.0
"""Seconds that a new topic may take until its partitions have leaders."""


class Topic:
    """What the cluster told of a topic."""

    __slots__ = ("id", "partitions", "replication", "seen_at")

    def __init__(self, told: Mapping[str, Any]) -> None:
        self.seen_at = time.monotonic()
        self.id = UUID(str(told.get("topic_id") or UUID(int=0)))
        self.partitions = sorted(one["partition_index"] for one in told["partitions"])
        self.replication = min((len(one["replica_nodes"]) for one in told["partitions"]), default=0)


class Cluster:
    """Safe to share between threads; the connection is made at the first question."""

    def __init__(self, options: Options, *, name: str) -> None:
        self.options = options
        self.name = name
        self.admin: Any = None
        self.opening = threading.Lock()

    def opened(self) -> Any:
        with self.opening:
            if self.admin is None:
                settings = connection(self.options, name=self.name)
                self.admin = opened(KafkaAdminClient, settings, self.options)
            return self.admin

    def ask(self, question: Callable[[Any], Answer]) -> Answer:
        """Put a question to the admin client.

        Raises:
            KafkaFailed: no answer, or a refusal.
        """
        until = time.monotonic() + self.options.timeout
        cut = False
        while True:
            admin = self.opened()
            try:
                return question(admin)
            except FAILURES as error:
                # A connection that the broker closed meanwhile is told by the first question, once.
                again = isinstance(error, PASSING) or (isinstance(error, KafkaConnectionError) and not cut)
                cut = cut or isinstance(error, KafkaConnectionError)
                if not again or time.monotonic() > until:
                    raise KafkaFailed(self.options.where, error, certain=False) from error
                if isinstance(error, NotCoordinatorError):
                    self.close()  # this client keeps to the broker that it once was told
            time.sleep(REST)

    def topics(self, names: Iterable[str]) -> dict[str, Topic]:
        """Return those that exist.

        Raises:
            KafkaFailed: as above, or this user may not look at one.
        """
        found = {}
        for told in self.ask(lambda admin: admin.describe_topics(sorted(names))):
            kind = for_code(told["error_code"])
            if kind.__name__ == "NoError":
                found[told["name"]] = Topic(told)
            elif kind.__name__ not in {"UnknownTopicOrPartitionError", "LeaderNotAvailableError"}:
                raise KafkaFailed(self.options.where, kind(told["name"]), certain=True)
        return found

    def create(self, shapes: Mapping[str, Shape]) -> None:
        """Make topics, and wait until they can be written to; one that is there already is left as it is."""
        wanted = {
            name: {"num_partitions": shape.partitions, "replication_factor": shape.replication}
            for name, shape in shapes.items()
        }

        def create(admin: Any) -> None:
            told = admin.create_topics(wanted, raise_errors=False)
            for topic in told["topics"]:
                kind = for_code(topic["error_code"])
                if kind.__name__ != "NoError" and kind is not TopicAlreadyExistsError:
                    raise kind(f"topic {topic['name']}: {topic.get('error_message')}")
            admin.wait_for_topics(list(wanted), timeout_ms=milliseconds(READY))

        self.ask(create)

    def committed(self, group: str, places: Iterable[Place]) -> dict[Place, int]:
        """Return what the group has committed; a place without a commit is left out."""
        listed = [TopicPartition(*place) for place in places]
        try:
            told = self.ask(lambda admin: admin.list_group_offsets({group: listed})) if listed else {}
        except KafkaFailed as error:
            if isinstance(error.__cause__, GroupIdNotFoundError):
                return {}
            raise
        return {Place(*place): at.offset for place, at in told.get(group, {}).items() if at.offset >= 0}

    def ends(self, places: Iterable[Place], *, first: bool = False) -> dict[Place, int]:
        """Return the offset that each log's next record gets, or that of its oldest record."""
        spec = OffsetSpec.EARLIEST if first else OffsetSpec.LATEST
        wanted = {TopicPartition(*place): spec for place in places}
        told = self.ask(lambda admin: admin.list_partition_offsets(wanted)) if wanted else {}
        return {Place(*place): at.offset for place, at in told.items()}

    def group(self, name: str) -> tuple[str, dict[Place, str]]:
        """Return the state of a group, and which of its members holds each partition."""
        told = self.ask(lambda admin: admin.describe_groups([name]))[name]
        holders = {
            Place(assigned["topic"], number): f"{member['client_id']} {member['client_host']}"
            for member in told["members"]
            for assigned in (member["member_assignment"] or {}).get("assigned_partitions", ())
            for number in assigned["partitions"]
        }
        return told["group_state"], holders

    def version(self, broker: int) -> tuple[int, ...]:
        """Return the oldest version that has what a broker offers."""
        found = self.ask(lambda admin: admin.get_broker_version_data(broker))
        return tuple(found.broker_version)

    def since(self, places: Iterable[Place], moment: datetime) -> dict[Place, int]:
        """Return the offset of each log's first record of this moment or later; a log without one is left out."""
        stamp = int(moment.timestamp() * 1000)
        wanted = {TopicPartition(*place): stamp for place in places}
        told = self.ask(lambda admin: admin.list_partition_offsets(wanted)) if wanted else {}
        return {Place(*place): at.offset for place, at in told.items() if at.offset >= 0}

    def close(self) -> None:
        with self.opening:
            admin, self.admin = self.admin, None
        if admin is not None:
            admin.close()
