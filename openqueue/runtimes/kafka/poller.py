"""A consumer that polls on a thread of its own: beginning again, pausing, waking, ending, whatever the group's mode."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Final

from openqueue.runtimes.kafka.refusals import KafkaFailed

logger = logging.getLogger("openqueue")

BREATHER: Final = 1.0
"""Seconds until another member is opened for one that failed."""
FAREWELL: Final = 10.0
"""Seconds that a close waits for the thread to leave the group."""


class Poller(ABC):
    """What its thread shares with the worker is touched while `changed` is held."""

    def __init__(self, queues: Mapping[str, str]) -> None:
        self.queues = {topic: queue for queue, topic in queues.items()}
        self.changed = threading.Condition()
        self.shut: set[str] = set()
        self.woken = False
        self.error: KafkaFailed | None = None
        """Why there is no member at the moment."""
        self.closing = threading.Event()
        self.thread = threading.Thread(target=self.run, name="openqueue-kafka-poll", daemon=True)

    @abstractmethod
    def serve(self) -> None:
        """Be a member of the group, until `closing` is set or something fails."""

    def run(self) -> None:
        while not self.closing.is_set():
            try:
                self.serve()
            except KafkaFailed as error:
                logger.warning("cannot receive from Kafka, tries again", extra={"error": str(error)})
                self.fail(error)
            except Exception as error:
                # A client's own mistake must not end the thread that keeps the group's membership.
                logger.exception("polling Kafka failed, tries again")
                self.fail(KafkaFailed("", error, certain=False))
            self.closing.wait(BREATHER)

    def fail(self, error: KafkaFailed) -> None:
        with self.changed:
            self.error = error
            self.changed.notify_all()

    def pause(self, queues: Sequence[str]) -> None:
        with self.changed:
            self.shut.update(queues)
            self.changed.notify_all()

    def resume(self, queues: Sequence[str]) -> None:
        with self.changed:
            self.shut.difference_update(queues)
            self.changed.notify_all()

    def wake(self) -> None:
        with self.changed:
            self.woken = True
            self.changed.notify_all()

    def close(self) -> None:
        """Leave the group: others receive at once what is not settled."""
        self.closing.set()
        with self.changed:
            self.changed.notify_all()
        self.thread.join(FAREWELL)
