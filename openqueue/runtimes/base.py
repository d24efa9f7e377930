"""The contract between OpenQueue and whatever carries its announcements. Small and boring on purpose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol
from uuid import UUID

from openqueue import codec
from openqueue.types import Due

Means = Literal["native", "storage", False]


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a runtime promises. Each key is read at one place and gates at least one conformance test."""

    delayed: Means = "storage"
    retries: Means = "storage"
    flows: Means = False
    schedules: Means = False
    repeatable_jobs: Means = False
    job_logs: Means = "storage"
    job_progress: Means = "storage"
    inspect_jobs: Means = "storage"
    priorities: Literal["native", "emulated", False] = False
    pause_resume: Literal["queue", "worker", False] = "queue"
    depth: bool = False
    """`inspect` knows how many messages wait."""
    unacked: bool = False
    dead_letter: bool = False


class Message(NamedTuple):
    """An announcement on its way: (run_id, seq) is its identity, the rest is for people and other consumers."""

    run_id: UUID
    seq: int
    task_id: str
    queue: str
    attempt: int = 1
    priority: int = 0

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


class Published(NamedTuple):
    """What became of one message: the broker's reference, or the error that kept it."""

    ref: str | None = None
    error: str | None = None
    certain: bool = True
    """False: the broker may have it all the same (the answer was lost)."""


class Receipt(NamedTuple):
    """One message as it was received: its body, and what the runtime needs to settle it."""

    body: bytes
    queue: str
    handle: Any
    origin: Mapping[str, Any] = {}
    """Coordinates at the broker, for a dead letter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStats:
    """What the broker knows of a queue; None where it cannot tell."""

    depth: int | None = None
    unacked: int | None = None
    consumers: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeHealth:
    """Whether the broker answers; no credentials in it."""

    ok: bool
    detail: str = ""


class Consumer(Protocol):
    """Receives for one worker; used from one thread."""

    def receive(self, *, limit: int, timeout: float) -> Sequence[Receipt] | Due:
        """Wait up to ``timeout`` seconds for messages. None is an empty list, never an error."""

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
        """Tell which of these, announced before, may no longer be at the broker. Cannot tell: True."""

    def consumer(self, queues: Sequence[str], *, prefetch: int) -> Consumer:
        """Open a consumer for one worker."""

    def inspect(self, queue: str) -> QueueStats:
        """Tell what the broker knows of a queue."""

    def health(self) -> RuntimeHealth:
        """Answer within 2 s, or say why not."""

    def close(self) -> None:
        """Close every connection. Safe twice."""
