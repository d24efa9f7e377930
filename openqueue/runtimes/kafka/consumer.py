"""Receives for one worker: a thread polls for as long as the consumer lives, `receive` takes from what it brought."""

from __future__ import annotations

import logging
import time
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

from openqueue.runtimes.base import Receipt
from openqueue.runtimes.kafka.clients import Member, Record
from openqueue.runtimes.kafka.poller import Poller
from openqueue.runtimes.kafka.refusals import KafkaFailed
from openqueue.runtimes.kafka.tenure import Tenure
from openqueue.runtimes.kafka.topics import Place

logger = logging.getLogger("openqueue")

AHEAD: Final = 5000
"""Records of one queue that may wait here; its partitions are paused meanwhile."""
TURN, LONG_TURN = 0.25, 1.0
"""Seconds that a poll waits: records end it at once, a rebalance and an offset to commit can wait as long."""
IDLE_AFTER: Final = 1.0
"""Seconds after the last record from which a poll waits longer: each costs about a millisecond of CPU."""
LOOK_EVERY: Final = 2.0
"""Seconds between looks for a topic that was not there."""
AGAIN: Final = 0.02
"""Seconds that a record which was released twice waits, each time twice as long, up to a second."""


class Held(NamedTuple):
    """A record of a tenure, and how often it was given back."""

    tenure: Tenure
    record: Record
    releases: int = 0


class KafkaConsumer(Poller):
    """`open_member` joins the group, `dead_letter` keeps a rejected record in the cluster, for people."""

    def __init__(
        self,
        queues: Mapping[str, str],
        *,
        open_member: Callable[[KafkaConsumer, Sequence[str]], Member],
        find_topics: Callable[[Collection[str]], Collection[str]],
        dead_letter: Callable[[Receipt, Record, str], None],
        in_flight: float,
    ) -> None:
        super().__init__(queues)
        self.open_member = open_member
        self.find_topics = find_topics
        self.dead_letter = dead_letter
        self.in_flight = in_flight
        self.tenures: dict[Place, Tenure] = {}
        self.waiting: defaultdict[str, deque[Held]] = defaultdict(deque)
        self.later: deque[tuple[float, Held]] = deque()
        """Given back more than once, and when they are let in again."""
        self.handed: dict[tuple[Tenure, int], Held] = {}
        self.deadlines: deque[tuple[float, tuple[Tenure, int]]] = deque()
        self.turn = 0
        self.acked = False
        self.commits = 0
        """Commits under way."""
        self.brought_at = time.monotonic()
        """When the last record came."""
        self.paused: set[Place] = set()
        """What the member was told to leave out."""
        self.thread.start()

    # --- receive --------------------------------------------------------------------------------------------------

    def receive(self, *, limit: int, timeout: float, order: Sequence[str] | None = None) -> Sequence[Receipt]:
        """Take what is there, or wait for it.

        Raises:
            KafkaFailed: the group cannot be joined. The worker tries again with back-off.
        """
        until = time.monotonic() + timeout
        with self.changed:
            while True:
                self.overdue()
                if taken := self.take(limit):
                    return taken
                left = until - time.monotonic()
                if self.woken or left <= 0:
                    self.woken = False
                    if self.error is not None and not self.tenures:
                        raise self.error
                    return []
                self.changed.wait(min(left, self.next_event()))

    def take(self, limit: int) -> list[Receipt]:
        queues = [queue for queue in self.queues.values() if queue not in self.shut]
        if not queues:
            return []
        self.turn += 1
        first = self.turn % len(queues)
        deadline = time.monotonic() + self.in_flight
        receipts: list[Receipt] = []
        for queue in queues[first:] + queues[:first]:
            line = self.waiting[queue]
            while line and len(receipts) < limit:
                held = line.popleft()
                if held.tenure.over:
                    continue
                key = held.tenure, held.record.offset
                self.handed[key] = held
                self.deadlines.append((deadline, key))
                receipts.append(Receipt(held.record.body, queue, held, origin(held.record)))
        return receipts

    def overdue(self) -> None:
        """Bring back what was handed out and never settled, and what has waited long enough."""
        now = time.monotonic()
        while self.deadlines and (self.deadlines[0][0] <= now or self.deadlines[0][1] not in self.handed):
            held = self.handed.pop(self.deadlines.popleft()[1], None)
            if held is not None and not held.tenure.over:
                self.waiting[self.queue_of(held)].appendleft(held)
        while self.later and self.later[0][0] <= now:
            held = self.later.popleft()[1]
            self.waiting[self.queue_of(held)].appendleft(held)

    def next_event(self) -> float:
        """Return the seconds until `overdue` has something to do."""
        moments = [line[0][0] for line in (self.deadlines, self.later) if line]
        return max(0.001, min(moments) - time.monotonic()) if moments else 3600.0

    def queue_of(self, held: Held) -> str:
        return self.queues[held.record.place.topic]

    # --- settle ---------------------------------------------------------------------------------------------------

    def ack(self, receipts: Sequence[Receipt]) -> None:
        """Settle a batch; the polling thread commits, within `TURN`, as far as everything before it is settled."""
        with self.changed:
            for receipt in receipts:
                held: Held = receipt.handle
                if self.handed.pop((held.tenure, held.record.offset), None) is not None:
                    held.tenure.settle(held.record.offset)
            self.acked = True
            self.changed.notify_all()

    def release(self, receipts: Sequence[Receipt]) -> None:
        """Let these come again, without passing their offsets."""
        now = time.monotonic()
        with self.changed:
            for receipt in reversed(receipts):
                held: Held = receipt.handle
                if self.handed.pop((held.tenure, held.record.offset), None) is None or held.tenure.over:
                    continue
                again = held._replace(releases=held.releases + 1)
                if held.releases:
                    wait = min(1.0, AGAIN * 2 ** min(held.releases, 10))
                    self.later.append((now + wait, again))
                else:
                    self.waiting[receipt.queue].appendleft(again)
            self.changed.notify_all()

    def reject(self, receipts: Sequence[Receipt], *, reason: str) -> None:
        """Copy poison to the dead-letter topic and pass it by."""
        for receipt in receipts:
            self.dead_letter(receipt, receipt.handle.record, reason)
        self.ack(receipts)

    def committed(self, timeout: float) -> bool:
        """Wait until what was acked is committed; tell whether it is."""
        with self.changed:
            return self.changed.wait_for(lambda: not self.acked and not self.commits, timeout)

    # --- the polling thread ---------------------------------------------------------------------------------------

    def serve(self) -> None:
        """Be a member for as long as it works, of the topics that are there; others may come later."""
        topics = self.topics_there()
        if not topics:
            return
        member = self.open_member(self, topics)
        try:
            self.error = None
            looked_at = time.monotonic()
            while not self.closing.is_set():
                if len(topics) < len(self.queues) and time.monotonic() - looked_at > LOOK_EVERY:
                    looked_at, found = time.monotonic(), self.topics_there()
                    if found != topics:
                        topics = found
                        member.subscribe(topics)
                self.turn_once(member)
        finally:
            self.leave(member)

    def topics_there(self) -> list[str]:
        return sorted(self.find_topics(list(self.queues)))

    def turn_once(self, member: Member) -> None:
        """Commit, pause and resume, poll: each as the state asks for it."""
        with self.changed:
            offsets = self.to_commit()
            pause, resume = self.to_pause()
            idle = not self.handed and time.monotonic() - self.brought_at > IDLE_AFTER
        if offsets:
            member.commit(offsets, self.commit_ended)
        if pause:
            member.pause(pause)
        if resume:
            member.resume(resume)
        if records := member.poll(LONG_TURN if idle else TURN):
            self.brought_at = time.monotonic()
            self.keep(records)

    def to_commit(self) -> dict[Place, int]:
        self.acked = False
        offsets = {}
        for place, tenure in self.tenures.items():
            if (due := tenure.due) is not None:
                offsets[place] = tenure.committed = due
        self.commits += bool(offsets)
        return offsets

    def commit_ended(self, done: bool) -> None:
        """A commit that failed is made good by the next one, or by the database that answers `gone`."""
        with self.changed:
            self.commits -= 1
            if not done:
                for tenure in self.tenures.values():
                    tenure.committed = None
            self.changed.notify_all()

    def to_pause(self) -> tuple[set[Place], set[Place]]:
        """Return which partitions to pause and to resume: their queue is paused, or enough of it waits here."""
        full = {queue for queue, line in self.waiting.items() if len(line) >= AHEAD}
        lean = {queue for queue in self.queues.values() if len(self.waiting[queue]) < AHEAD // 2}
        want = set()
        for place in self.tenures:
            queue = self.queues[place.topic]
            if queue in self.shut or queue in full or (place in self.paused and queue not in lean):
                want.add(place)
        pause, resume = want - self.paused, (self.paused - want) & self.tenures.keys()
        self.paused = want
        return pause, resume

    def keep(self, records: Sequence[Record]) -> None:
        with self.changed:
            for record in records:
                tenure = self.tenures.get(record.place)
                if tenure is not None:
                    tenure.receive(record.offset)
                    self.waiting[self.queues[record.place.topic]].append(Held(tenure, record))
            self.changed.notify_all()

    def leave(self, member: Member) -> None:
        try:
            member.close()
        except KafkaFailed as error:
            logger.warning("could not leave the group", extra={"error": str(error)})
        self.lost(list(self.tenures))

    # --- what the member tells ------------------------------------------------------------------------------------

    def assigned(self, places: Collection[Place]) -> None:
        with self.changed:
            for place in places:
                self.tenures[place] = Tenure(place)
            self.paused -= set(places)

    def revoked(self, places: Collection[Place]) -> Mapping[Place, int]:
        with self.changed:
            gone = [self.tenures.pop(place) for place in places if place in self.tenures]
            for tenure in gone:
                tenure.over = True
            self.paused -= set(places)
            positions = {tenure.place: tenure.position for tenure in gone}
        return {place: position for place, position in positions.items() if position is not None}

    def lost(self, places: Collection[Place]) -> None:
        self.revoked(places)


def origin(record: Record) -> dict[str, Any]:
    """Return a record's coordinates, for a dead letter."""
    return {
        "topic": record.place.topic,
        "partition": record.place.partition,
        "offset": record.offset,
        "headers": {name: text(value) for name, value in record.headers},
    }


def text(value: bytes | None) -> str:
    return (value or b"")[:200].decode("utf-8", "backslashreplace")
