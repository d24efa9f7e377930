"""Names: the topic of a queue, a place in a log, and what is kept of a publish to find it again."""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple
from uuid import UUID

DEAD_LETTERS = ".dlt"


class Shape(NamedTuple):
    """How a topic is made."""

    partitions: int
    replication: int


class Place(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int


class Ref(NamedTuple):
    """Where a record lies. The topic's id tells a topic that was deleted and made again from what it was."""

    topic_id: UUID
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic_id.hex}:{self.partition}:{self.offset}"

    @classmethod
    def read(cls, text: str | None) -> Ref | None:
        """Read what str() wrote; None for anything else."""
        with suppress(ValueError, AttributeError):
            topic_id, partition, offset = (text or "").split(":")
            return cls(UUID(topic_id), int(partition), int(offset))
        return None


def topic_of(namespace: str, queue: str) -> str:
    return f"{namespace}.{queue}"


def dead_letters_of(topic: str) -> str:
    return topic + DEAD_LETTERS
