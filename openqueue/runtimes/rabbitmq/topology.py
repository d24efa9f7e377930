"""Which exchanges and queues there are, and what each is declared with.

exchange  NS                      direct, or topic: where announcements are published
exchange  NS.dlx                  fanout: where rejected messages go
queue     NS.QUEUE                announcements of priority 0
queue     NS.QUEUE:high  :low     those above and below; not with native priorities, or none
queue     NS.dlx:rejected         the newest rejected messages, to look at
exchange  NS.delay:5              fanout, with a queue of the same name: announcements of what is due within 5 seconds;
                                  each expires when it is due, into NS with the key that it came with. One for each of
                                  the option `delay_lanes`

The colon occurs in no name of ours, so none of these can be another queue.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from openqueue.runtimes.rabbitmq.options import Options

HELD: Final = 5_000
"""Messages in a delay lane; more are refused, and the sweeps announce those. It is the window of a queue."""
KEPT: Final = 10_000
"""Rejected messages, the newest."""
NATIVE_MOST: Final = 10
"""Native priorities are 0 to 10: RabbitMQ's own advice, since each costs a queue inside the queue."""


class Lane(NamedTuple):
    """One queue of the broker: what of a queue of ours travels in it."""

    queue: str
    """Ours."""
    name: str
    """The broker's."""
    key: str
    """The first word of its routing keys."""


class DelayLane(NamedTuple):
    """A queue of the broker in which messages of all queues of ours wait until they are due."""

    name: str
    """The broker's, of the queue and of the exchange before it."""
    seconds: int


class Topology:
    """The names and arguments of one namespace."""

    def __init__(self, namespace: str, options: Options) -> None:
        self.options = options
        self.exchange = namespace
        self.dlx = f"{namespace}.dlx"
        self.rejected = f"{namespace}.dlx:rejected"
        self.kinds = ("high", "", "low") if options.priorities == "lanes" else ("",)

    def lanes(self, queue: str) -> Sequence[Lane]:
        """Return the lanes of a queue, the most urgent first."""
        return [self.lane(queue, kind) for kind in self.kinds]

    def lane(self, queue: str, kind: str) -> Lane:
        word = f"{queue}:{kind}" if kind else queue
        # In a topic key a dot parts words, and a binding to "mail.#" would take what is for "mail.urgent".
        key = word.replace(".", "/") if self.options.exchange_type == "topic" else word
        return Lane(queue, f"{self.exchange}.{word}", key)

    def lane_of(self, queue: str, priority: int) -> Lane:
        """Return the lane of an announcement."""
        if self.options.priorities != "lanes" or priority == 0:
            return self.lane(queue, "")
        return self.lane(queue, "high" if priority > 0 else "low")

    @property
    def delay_lanes(self) -> Sequence[DelayLane]:
        """Return the delay lanes, the shortest first."""
        return [DelayLane(self.delay_lane_name(step), step) for step in self.options.delay_lanes]

    def delay_lane_name(self, step: object) -> str:
        return f"{self.exchange}.delay:{step}"

    def delay_lane(self, seconds: float) -> DelayLane | None:
        """Return the shortest that is long enough; None: there are none, or the time has come."""
        lanes = self.delay_lanes
        if seconds <= 0 or not lanes:
            return None
        return next((lane for lane in lanes if lane.seconds >= seconds), lanes[-1])

    def routing_key(self, lane: Lane, task_id: str) -> str:
        """Return what a message is published with; 255 bytes at most, by the protocol."""
        if self.options.exchange_type == "direct":
            return lane.key
        return f"{lane.key}.{task_id}".encode()[:255].decode("utf-8", "ignore")

    def binding(self, lane: Lane) -> str:
        return f"{lane.key}.#" if self.options.exchange_type == "topic" else lane.key

    def native_priority(self, priority: int) -> int | None:
        """Return 0 to 10 for -100 to 100, where the broker itself sorts."""
        if self.options.priorities != "native":
            return None
        return round((max(-100, min(100, priority)) + 100) / 200 * NATIVE_MOST)

    @property
    def arguments(self) -> dict[str, Any]:
        """Return what a queue of ours is declared with."""
        given: dict[str, Any] = {"x-dead-letter-exchange": self.dlx}
        if self.options.queue_type == "quorum":
            given |= {"x-queue-type": "quorum", "x-delivery-limit": self.options.delivery_limit}
        if self.options.priorities == "native":
            given["x-max-priority"] = NATIVE_MOST
        return given

    def delay_arguments(self, lane: DelayLane) -> dict[str, Any]:
        """Return what a delay lane is declared with. What expires goes back with the routing key that it came with."""
        given: dict[str, Any] = {
            "x-dead-letter-exchange": self.exchange,
            "x-message-ttl": lane.seconds * 1_000,
            "x-max-length": HELD,
            "x-overflow": "reject-publish",
        }
        return given | ({"x-queue-type": "quorum"} if self.options.queue_type == "quorum" else {})

    @property
    def rejected_arguments(self) -> dict[str, Any]:
        given: dict[str, Any] = {"x-max-length": KEPT}
        return given | ({"x-queue-type": "quorum"} if self.options.queue_type == "quorum" else {})
