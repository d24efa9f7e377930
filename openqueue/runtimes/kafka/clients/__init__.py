"""The seam to client libraries: what one has to do so that the runtime can publish and receive through it.

A client makes two things. A `Producer` sends one batch and answers for each record; any thread may use it. A `Member`
is one consumer of a classic consumer group, used from one thread alone, which polls it several times a second for as
long as it lives: so it may do its work inside `poll`. It tells its `Listener` what it gets and what is taken from it;
those calls may come from any thread, but none of them after `poll` has returned records that contradict them.

A client raises `KafkaFailed` and nothing else of its own, so that nobody else imports its library. What the runtime
asks of the cluster beside (topics, offsets, groups) it asks by kafka-python whichever client carries the records.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from enum import Enum
from typing import NamedTuple, Protocol

from openqueue.runtimes.kafka.options import Options
from openqueue.runtimes.kafka.topics import Place

Headers = Sequence[tuple[str, bytes]]


class Outgoing(NamedTuple):
    """A record to send."""

    topic: str
    key: bytes | None
    body: bytes
    headers: Headers = ()


class Sent(NamedTuple):
    """Where a record lies now, or the error that kept it."""

    partition: int = -1
    offset: int = -1
    error: str | None = None
    certain: bool = True
    """False: it may lie there all the same."""


class Record(NamedTuple):
    """A record as it was received; stamp is seconds since 1970."""

    place: Place
    offset: int
    body: bytes
    headers: Headers
    stamp: float


class Producer(Protocol):
    """Idempotent, acks=all. Safe to share between threads."""

    def send(self, records: Sequence[Outgoing]) -> Sequence[Sent]:
        """Send one batch and wait for all of its answers, `Options.timeout` at most; answer per record."""

    def close(self) -> None:
        """Give up what is under way. Safe twice."""


class Listener(Protocol):
    """Hears what a member has."""

    def assigned(self, places: Collection[Place]) -> None:
        """These are ours from now on, beginning where the group has committed."""

    def revoked(self, places: Collection[Place]) -> Mapping[Place, int]:
        """These go to others. The client commits the offsets that this returns before it lets go of them."""

    def lost(self, places: Collection[Place]) -> None:
        """These have gone to others already: nothing can be committed."""


class Member(Protocol):
    """One consumer in the group of the options: cooperative-sticky, offsets by hand, earliest where there is none."""

    def poll(self, timeout: float) -> Sequence[Record]:
        """Take part in the group and return what has come, after so many seconds at most.

        Raises:
            KafkaFailed: it cannot go on. The runtime opens another after a while.
        """

    def subscribe(self, topics: Sequence[str]) -> None:
        """Receive from these topics instead."""

    def commit(self, offsets: Mapping[Place, int], done: Callable[[bool], None]) -> None:
        """Commit without waiting; say whether it was done, from any thread. An offset is the next one to read."""

    def pause(self, places: Collection[Place]) -> None:
        """Fetch no more of these, which stay ours."""

    def resume(self, places: Collection[Place]) -> None:
        """Fetch them again."""

    def close(self) -> None:
        """Let the listener hear of the end, commit what it returns, leave the group. Safe twice."""


class Verdict(Enum):
    """What becomes of a record that a share group gave us."""

    ACCEPT = "accept"
    RELEASE = "release"
    """Another may have it, or we again."""
    REJECT = "reject"


class ShareMember(Protocol):
    """One consumer in a share group, used from one thread alone: records are its own one by one, for a while."""

    def subscribe(self, topics: Sequence[str]) -> None:
        """Receive from these topics, and no longer from others; none is none."""

    def poll(self, timeout: float) -> Sequence[Record]:
        """Return what has come, after so many seconds at most; all of it needs its verdict before the next poll.

        Raises:
            KafkaFailed: it cannot go on. The runtime opens another after a while.
        """

    def acknowledge(self, verdicts: Iterable[tuple[Record, Verdict]]) -> None:
        """Note verdicts; one whose record has gone to another meanwhile is passed over."""

    def commit(self, *, timeout: float | None = None) -> None:
        """Tell the broker what is noted: without waiting, or waiting so long for its answer."""

    def close(self) -> None:
        """Leave the group. Safe twice."""


class Client(Protocol):
    """A library. Made with the options; it raises `OptionInvalid` for 'client_options' that it does not know."""

    def producer(self, options: Options, *, name: str) -> Producer:
        """Open a producer; ``name`` is for the broker's log.

        Raises:
            KafkaFailed: no broker answers.
        """

    def member(
        self, options: Options, *, name: str, group: str, topics: Sequence[str], listener: Listener
    ) -> Member:
        """Join a group. Raises as above."""

    def share_member(self, options: Options, *, name: str, group: str, most: int) -> ShareMember:
        """Join a share group, to get about ``most`` records a poll. Raises as above, also for a client that cannot."""


def client_of(options: Options) -> Client:
    """Return the client that the options name."""
    if options.client == "confluent":
        from openqueue.runtimes.kafka.clients import confluent  # noqa: PLC0415  # imported when it is chosen

        return confluent.Confluent(options)
    from openqueue.runtimes.kafka.clients import kafka_python  # noqa: PLC0415  # as above

    return kafka_python.KafkaPython(options)
