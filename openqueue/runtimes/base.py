"""The contract between OpenQueue and whatever carries its announcements. Small and boring on purpose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable
from uuid import UUID

from openqueue import codec
from openqueue.types import Due

Means = Literal["native", "storage", False]


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a runtime promises. Each key is read at one place and gates at least one conformance test."""

    delayed: Means = "storage"
    retries: Means = "storage"
    flows: Means = "storage"
    schedules: Means = "storage"
    repeatable_jobs: Means = "storage"
    job_logs: Means = "storage"
    job_progress: Means = "storage"
    inspect_jobs: Means = "storage"
    priorities: Literal["native", "emulated", False] = False
    pause_resume: Literal["queue", "worker", False] = "queue"
    queue_order: bool = False
    """`receive` takes from queues in the order it is given: workers may serve them strictly or by weights."""
    depth: bool = False
    """`inspect` knows how many messages wait."""
    unacked: bool = False
    lag: bool = False
    """`inspect` knows how far consumers are behind, by partition."""
    dead_letter: bool = False
    replay: bool = False
    """Its broker keeps messages that were received: it has `stretch` and `reread`."""
    ahead: float = 0.0
    """Seconds: `publish` takes messages that are due up to so much later, and has them arrive then, not before."""
    sets_aside: bool = False
    """Its consumers have `set_aside` and `let_in`: messages of a task without room wait for whoever has some."""


class Message(NamedTuple):
    """An announcement on its way: (run_id, seq) is its identity, the rest is for people and other consumers."""

    run_id: UUID
    seq: int
    task_id: str
    queue: str
    attempt: int = 1
    priority: int = 0
    traceparent: str | None = None
    """Of the trigger, for who watches the broker; it travels in a header where there are some. Ours is on the run."""
    due: float = 0.0
    """When it is to arrive, by this process's monotonic clock; other than 0 only where a runtime has `ahead`."""
    key: str | None = None
    """The ordering key of the run, for brokers that keep messages of a key together."""

    def encode(self, *, namespace: str) -> bytes:
        """Return the JSON envelope."""
        envelope = {
            "v": 1,
            "id": str(self.run_id),
            "seq": self.seq,
            "namespace": namespace,
            "queue": self.queue,
            "task_id": self.task_id,
            "attempt": self.attempt,
            "priority": self.priority,
        }
        return codec.encode(envelope, what="message", limit=2**20).encode()


class PoisonMessage(ValueError):
    """The message is not an OpenQueue announcement. It is moved aside; look at who else writes to this queue."""


def decode(body: bytes) -> tuple[UUID, int]:
    """Read (run, seq) from a message; nothing else in it is trusted.

    Raises:
        PoisonMessage: the bytes are no announcement, or of a newer version.
    """
    try:
        envelope = codec.decode(body.decode("utf-8"))
        version, run_id, seq = envelope["v"], UUID(envelope["id"]), envelope["seq"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise PoisonMessage(f"not an announcement: {type(error).__name__}") from error
    if version != 1:
        raise PoisonMessage("unsupported_version")
    if not isinstance(seq, int) or isinstance(seq, bool) or not 0 < seq < 2**31:
        raise PoisonMessage("not an announcement: seq is no number that a row could have")
    return run_id, seq


def task_of(body: bytes) -> str:
    """Read which task a message is said to be of: a hint for sorting messages, never a decision. Unreadable: ""."""
    try:
        return str(codec.decode(body.decode("utf-8"))["task_id"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""


class Published(NamedTuple):
    """What became of one message: the broker's reference, or the error that kept it."""

    ref: str | None = None
    error: str | None = None
    certain: bool = True
    """False: the broker may have it all the same (the answer was lost)."""
    refused: bool = False
    """True: it would be refused however often it is sent, as a message that is too large. Its run fails in the end."""


class Receipt(NamedTuple):
    """One message as it was received: its body, and what the runtime needs to settle it."""

    body: bytes
    queue: str
    handle: Any
    origin: Mapping[str, Any] = {}
    """Coordinates at the broker, for a dead letter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionStats:
    """What the broker knows of one partition of a queue's log."""

    number: int
    first: int
    """The offset of the oldest record."""
    following: int
    """The offset that the next record gets."""
    committed: int | None
    """The offset from which consumers go on; None: they have not begun."""
    holder: str = ""
    """Which consumer receives from it; empty: none."""

    @property
    def lag(self) -> int:
        """Return how many records are not consumed."""
        return max(0, self.following - max(self.first, self.committed or 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStats:
    """What the broker knows of a queue; None where it cannot tell."""

    depth: int | None = None
    unacked: int | None = None
    consumers: int | None = None
    oldest: float | None = None
    """Seconds since the oldest message that waits was published."""
    rejected: int | None = None
    """Messages that were moved aside, of all queues together where they share a place."""
    lag: int | None = None
    """Records that consumers have not passed, over all partitions."""
    partitions: Sequence[PartitionStats] = ()
    group: str = ""
    """The state of the consumers' group, such as "Stable"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeHealth:
    """Whether the broker answers; no credentials in it."""

    ok: bool
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerFacts:
    """How the server behind a runtime is set up, as far as it tells; None where it does not. Sizes are bytes."""

    software: str
    """Such as "redis" or "valkey"."""
    version: str
    role: str | None = None
    """Such as "master"; announcements can be published to no other."""
    persistence: Sequence[str] = ()
    """What outlives a restart: "aof", "rdb", both, or nothing."""
    eviction_policy: str | None = None
    """What it throws away when it is full; all but "noeviction" costs messages, and with them time."""
    used_memory: int | None = None
    max_memory: int | None = None
    """None or 0: no limit."""
    evicted: int | None = None
    """How many keys it has thrown away since its start."""
    refuses_writes: str = ""
    """Why it refuses writes at the moment."""
    cpu_seconds: float | None = None
    """What the server has used since its start."""
    outdated: str = ""
    """Why its version is too old."""
    differing: Sequence[str] = ()
    """Queues that were declared otherwise than the OPTIONS say, each with what differs."""
    left_over: Sequence[str] = ()
    """Queues of ours at the broker that the OPTIONS have no use for any more."""
    nodes: int | None = None
    """How many brokers there are."""
    copies: int | None = None
    """On how many of them each message lies, at least."""
    copies_required: int | None = None
    """How many of those must be in step before a message counts as published."""
    retention: float | None = None
    """Seconds after which a message is deleted though nobody has read it; None: never, or it does not tell."""
    partitions: Mapping[str, int] = field(default_factory=dict)
    """By queue: how many consumers can receive at a time."""


class Kept(NamedTuple):
    """A message that the broker still has, whether or not it was received."""

    offset: int
    body: bytes


@runtime_checkable
class Rereads(Protocol):
    """What a runtime with the capability `replay` offers beside the contract. Consumers notice nothing of it."""

    def stretch(
        self, queue: str, *, since: datetime | None = None, until: datetime | None = None
    ) -> Mapping[int, tuple[int, int]]:
        """Return for each partition which offsets lie between two moments: the first, and the one behind the last."""

    def reread(self, queue: str, *, partition: int, offset: int, until: int, limit: int) -> Sequence[Kept]:
        """Return messages from an offset on, at least one; none if there are none before ``until``."""


@runtime_checkable
class Describes(Protocol):
    """What a runtime may offer beside the contract, for those who look after its server."""

    def configuration(self) -> BrokerFacts:
        """Ask the server how it is set up; raises whatever the client raises when it cannot be asked."""


class Reach(NamedTuple):
    """One way to a broker, as far as its settings tell."""

    hosts: Sequence[str]
    """None for a socket of this host."""
    encrypted: bool
    knows_whom: bool
    """The certificate must name the host that was asked for."""
    tells_password: bool
    """A password goes this way."""


@runtime_checkable
class Reaches(Protocol):
    """What a runtime may offer beside the contract, for `check --deploy`. It asks nobody."""

    def reach(self) -> Sequence[Reach]:
        """Return the ways it goes."""


class Consumer(Protocol):
    """Receives for one worker; used from one thread."""

    def receive(
        self, *, limit: int, timeout: float, order: Sequence[str] | None = None
    ) -> Sequence[Receipt] | Due:
        """Wait up to ``timeout`` seconds for messages. None is an empty list, never an error.

        ``order``, given only where the runtime promises `queue_order`: these queues, the next one only for what the
        one before it leaves of ``limit``.
        """

    def ack(self, receipts: Sequence[Receipt]) -> None:
        """Settle a batch for good."""

    def release(self, receipts: Sequence[Receipt]) -> None:
        """Give unclaimed ones back; they come again, perhaps with later ones."""

    def reject(self, receipts: Sequence[Receipt], *, reason: str) -> None:
        """Move poison aside by the broker's means; the core has written it to the dead letters."""

    def pause(self, queues: Sequence[str]) -> None:
        """Stop receiving from these queues."""

    def resume(self, queues: Sequence[str]) -> None:
        """Receive from these queues again."""

    def set_aside(self, receipts: Sequence[Receipt], *, task: str) -> None:
        """Keep these until a consumer has room for the task. Only with the capability `sets_aside`."""

    def let_in(self, rooms: Mapping[str, int]) -> None:
        """Say for how many more of each limited task there is room here. Only with the capability `sets_aside`."""

    def wake(self) -> None:
        """End a `receive` that waits; the one method that any thread may call."""

    def close(self) -> None:
        """Hand back what is unsettled. Safe twice."""


class Runtime(Protocol):
    """Knows its broker and nothing of runs. Safe to share between threads."""

    alias: str
    capabilities: Capabilities
    carries_messages: bool
    """False: the outbox is the queue, and `publish` only wakes whoever waits."""

    def declare(self, queues: Sequence[str]) -> None:
        """Make the queues exist; again changes nothing."""

    def publish(self, messages: Sequence[Message]) -> Sequence[Published]:
        """Send one batch; answer per message."""

    def missing(self, messages: Sequence[Message], refs: Sequence[str | None]) -> Sequence[bool]:
        """Tell which of these, announced before, may no longer be at the broker. Cannot tell: True.

        ``refs`` are what `publish` told of each; None: nothing is known of a message, or the last one was settled.
        """

    def consumer(self, queues: Sequence[str], *, prefetch: int) -> Consumer:
        """Open a consumer for one worker."""

    def inspect(self, queue: str) -> QueueStats:
        """Tell what the broker knows of a queue."""

    def health(self) -> RuntimeHealth:
        """Answer within 2 s, or say why not."""

    def close(self) -> None:
        """Close every connection. Safe twice."""
