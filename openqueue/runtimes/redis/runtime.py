"""The Redis runtime: publish, look, and open consumers. Keys never hold the truth: losing them costs time only."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Final

from openqueue.conf import config
from openqueue.runtimes.base import (
    BrokerFacts,
    Capabilities,
    Message,
    Published,
    QueueStats,
    Reach,
    RuntimeHealth,
)
from openqueue.runtimes.redis import facts
from openqueue.runtimes.redis.cluster import ClusterLink
from openqueue.runtimes.redis.consumer import RedisConsumer
from openqueue.runtimes.redis.direct import DirectLink
from openqueue.runtimes.redis.keys import Keys, keys_of
from openqueue.runtimes.redis.link import Link, RedisFailed
from openqueue.runtimes.redis.options import Options
from openqueue.runtimes.redis.scripts import Call

logger = logging.getLogger("openqueue")

CHUNK: Final = 500
"""Announcements in one call: others wait while a script runs, about two milliseconds."""
PATIENCE: Final = 1.9
"""Seconds that `health` waits for an answer."""


class RedisRuntime:
    """Carries announcements by a Redis or Valkey server. OPTIONS are those of `Options`."""

    capabilities = Capabilities(
        priorities="native", queue_order=True, depth=True, unacked=True, dead_letter=True, sets_aside=True
    )
    carries_messages = True

    def __init__(self, alias: str, **options: Any) -> None:
        self.alias = alias
        self.options = Options.of(options)
        self.link: Link = (ClusterLink if self.options.cluster else DirectLink)(self.options)

    def reach(self) -> Sequence[Reach]:
        """Return the ways to the server and to the Sentinels that name it."""
        told, sentinel = self.options.connection, self.options.sentinel
        certain = told.get("ssl_check_hostname", True)
        hosts = [told["host"]] if "host" in told and not self.options.sentinels else []
        watchers = [host for host, _ in self.options.sentinels]
        return [
            Reach(hosts or watchers, self.options.tls, certain, bool(told.get("password"))),
            Reach(watchers, self.options.tls, certain, bool(sentinel.get("password"))),
        ]

    @staticmethod
    def keys(queue: str) -> Keys:
        return keys_of(config.namespace, queue)

    def declare(self, queues: Sequence[str]) -> None:
        """Warn of a server that throws keys away; a queue exists while something waits in it."""
        found = self.configuration()
        if found.eviction_policy not in {None, "noeviction"}:
            logger.warning(
                "Redis throws messages away when it is full: set maxmemory-policy to noeviction",
                extra={"runtime": self.alias, "eviction_policy": found.eviction_policy},
            )

    def configuration(self) -> BrokerFacts:
        """Return how the server is set up; of a Cluster, one of its nodes.

        Raises:
            RedisFailed: it cannot be asked.
        """
        return facts.read(self.link.ask("INFO"))

    def publish(self, messages: Sequence[Message]) -> Sequence[Published]:
        """Send one batch: one call a queue and 500 messages, all in one round trip."""
        calls, numbers = [], []
        for queue, some in by_queue(messages).items():
            keys = self.keys(queue)
            left = iter(some)
            while chunk := list(islice(left, CHUNK)):
                arguments: list[Any] = []
                for n in chunk:
                    arguments += (rank(messages[n]), messages[n].encode(namespace=config.namespace))
                calls.append(
                    Call(
                        "publish", (keys.waiting, keys.flying, keys.stamp, keys.wake, keys.asides), arguments
                    )
                )
                numbers.append(chunk)
        told = [Published()] * len(messages)
        if not calls:
            return told
        try:
            answers = self.link.call(calls)
        except RedisFailed as error:
            return [Published(error=str(error), certain=error.certain)] * len(messages)
        for chunk, answer in zip(numbers, answers, strict=True):
            for n in chunk:
                told[n] = (
                    Published(error=str(RedisFailed(self.options.where, answer, certain=True)))
                    if isinstance(answer, Exception)
                    else Published(ref=answer.decode())
                )
        return told

    def missing(self, messages: Sequence[Message], refs: Sequence[str | None]) -> Sequence[bool]:
        """Tell which are neither waiting, nor in flight, nor set aside."""
        calls, numbers = [], []
        for queue, some in by_queue(messages).items():
            keys = self.keys(queue)
            bodies = [messages[n].encode(namespace=config.namespace) for n in some]
            calls.append(Call("missing", (keys.waiting, keys.flying, keys.asides), bodies))
            numbers.append(some)
        gone = [True] * len(messages)
        for some, answer in zip(numbers, self.call(calls), strict=True):
            for n, missing in zip(some, answer, strict=True):
                gone[n] = bool(missing)
        return gone

    def consumer(self, queues: Sequence[str], *, prefetch: int) -> RedisConsumer:
        return RedisConsumer(
            self.link, {queue: self.keys(queue) for queue in queues}, in_flight=self.options.in_flight
        )

    def inspect(self, queue: str) -> QueueStats:
        keys = self.keys(queue)
        call = Call("inspect", (keys.waiting, keys.flying, keys.asides))
        ((depth, flying, oldest),) = self.call([call])
        return QueueStats(depth=depth, unacked=flying, oldest=None if oldest < 0 else oldest / 1000)

    def health(self) -> RuntimeHealth:
        """Answer within 2 s, whatever the network does."""
        told: list[RuntimeHealth] = []

        def look() -> None:
            try:
                self.link.ask("PING")
                told.append(RuntimeHealth(ok=True, detail=self.options.where))
            except (RedisFailed, ValueError) as error:  # redis-py's ValueError: the link was closed meanwhile
                told.append(RuntimeHealth(ok=False, detail=str(error)))

        thread = threading.Thread(target=look, name="openqueue-redis-health", daemon=True)
        thread.start()
        thread.join(PATIENCE)
        return (
            told[0]
            if told
            else RuntimeHealth(
                ok=False, detail=f"Redis at {self.options.where} has not answered for {PATIENCE} s."
            )
        )

    def call(self, calls: Sequence[Call]) -> list[Any]:
        """Call scripts of which each must succeed."""
        answers = self.link.call(calls) if calls else []
        for answer in answers:
            if isinstance(answer, Exception):
                raise RedisFailed(self.options.where, answer, certain=True)
        return answers

    def close(self) -> None:
        self.link.close()


def by_queue(messages: Sequence[Message]) -> Mapping[str, list[int]]:
    """Return the numbers of the messages of each queue."""
    found: dict[str, list[int]] = {}
    for number, message in enumerate(messages):
        found.setdefault(message.queue, []).append(number)
    return found


def rank(message: Message) -> int:
    """Return 0 for the highest priority, 200 for the lowest."""
    return 100 - max(-100, min(100, message.priority))
