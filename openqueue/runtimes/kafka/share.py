"""Receives for one worker from a share group: any number of workers take single records of the same partitions.

A thread of its own has the client. It fetches when somebody waits in `receive`, and not again before every record of
the last fetch has its verdict, as the client wants it: what nobody took for a while goes back to the group.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from openqueue.runtimes.base import Receipt
from openqueue.runtimes.kafka.clients import Record, ShareMember, Verdict
from openqueue.runtimes.kafka.consumer import origin
from openqueue.runtimes.kafka.poller import Poller
from openqueue.runtimes.kafka.refusals import KafkaFailed
from openqueue.runtimes.kafka.topics import Place

logger = logging.getLogger("openqueue")

HOLD: Final = 5.0
"""Seconds that a record waits here for somebody with room, before others may have it. The broker locks it for 30."""
QUIET: Final = 0.2
"""Seconds that a fetch waits for records at most."""
LATE: Final = 100
"""Records that are remembered because they were settled after they had gone back."""
PATIENCE: Final = 2.0
"""Seconds that the broker may take to confirm verdicts at the end."""


class Lot:
    """One fetched record, and what becomes of it."""

    __slots__ = ("due", "handed", "record", "verdict")

    def __init__(self, record: Record, *, due: float) -> None:
        self.record = record
        self.due = due
        """When it goes back to the group if nothing has become of it; monotonic."""
        self.handed = False
        self.verdict: Verdict | None = None

    @property
    def key(self) -> tuple[Place, int]:
        return self.record.place, self.record.offset


class ShareReceiver(Poller):
    """`open_member` joins the share group, `dead_letter` keeps a rejected record where people find it."""

    def __init__(
        self,
        queues: Mapping[str, str],
        *,
        open_member: Callable[[], ShareMember],
        dead_letter: Callable[[Receipt, Record, str], None],
        in_flight: float,
    ) -> None:
        super().__init__(queues)
        self.open_member = open_member
        self.dead_letter = dead_letter
        self.in_flight = in_flight
        self.lots: list[Lot] = []
        """Those of the last fetch that have no verdict yet."""
        self.waiting: deque[Lot] = deque()
        self.decided: list[Lot] = []
        """Those whose verdict the broker has not been told."""
        self.telling = False
        self.late: deque[tuple[Place, int]] = deque(maxlen=LATE)
        self.wanted = 0
        """How many `receive` waits for."""
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
                if taken := self.take(limit):
                    self.wanted = 0
                    return taken
                left = until - time.monotonic()
                if self.woken or left <= 0:
                    self.woken, self.wanted = False, 0
                    if self.error is not None:
                        raise self.error
                    return []
                self.wanted = limit
                self.changed.notify_all()
                self.changed.wait(left)

    def take(self, limit: int) -> list[Receipt]:
        receipts: list[Receipt] = []
        due = time.monotonic() + self.in_flight
        while self.waiting and len(receipts) < limit:
            lot = self.waiting.popleft()
            queue = self.queues[lot.record.place.topic]
            if lot.verdict is not None:
                continue
            if queue in self.shut:
                self.decide(lot, Verdict.RELEASE)
                continue
            lot.handed, lot.due = True, due
            receipts.append(Receipt(lot.record.body, queue, lot, origin(lot.record)))
        return receipts

    def decide(self, lot: Lot, verdict: Verdict) -> None:
        if lot.verdict is None:
            lot.verdict = verdict
            self.decided.append(lot)
            self.changed.notify_all()

    # --- settle ---------------------------------------------------------------------------------------------------

    def ack(self, receipts: Sequence[Receipt]) -> None:
        """Settle a batch; the thread tells the broker within some milliseconds."""
        self.settle(receipts, Verdict.ACCEPT)

    def release(self, receipts: Sequence[Receipt]) -> None:
        """Let these go back to the group, which gives a record away five times before it puts it aside."""
        self.settle(receipts, Verdict.RELEASE)

    def reject(self, receipts: Sequence[Receipt], *, reason: str) -> None:
        """Copy poison to the dead-letter topic, and have the broker give it to nobody."""
        for receipt in receipts:
            self.dead_letter(receipt, receipt.handle.record, reason)
        self.settle(receipts, Verdict.REJECT)

    def settle(self, receipts: Sequence[Receipt], verdict: Verdict) -> None:
        with self.changed:
            for receipt in receipts:
                lot: Lot = receipt.handle
                if lot.verdict is Verdict.RELEASE and verdict is not Verdict.RELEASE:
                    self.settle_late(lot)
                self.decide(lot, verdict)

    def settle_late(self, lot: Lot) -> None:
        """Note what was settled after it went back: if it comes here again, nobody need be asked."""
        for here in self.lots:
            if here.key == lot.key and not here.handed:
                self.decide(here, Verdict.ACCEPT)
                return
        self.late.append(lot.key)

    def committed(self, timeout: float) -> bool:
        """Wait until the broker was told every verdict; tell whether it was."""
        with self.changed:
            return self.changed.wait_for(lambda: not self.decided and not self.telling, timeout)

    # --- the client's thread --------------------------------------------------------------------------------------

    def serve(self) -> None:
        member = self.open_member()
        topics: set[str] = set()
        try:
            while not self.closing.is_set():
                topics = self.turn(member, topics)
        finally:
            self.leave(member)

    def turn(self, member: ShareMember, subscribed: set[str]) -> set[str]:
        """Tell verdicts; fetch if somebody waits and nothing is open; else wait for either. Return the topics."""
        with self.changed:
            self.overdue()
            verdicts = self.verdicts()
            topics = {topic for topic, queue in self.queues.items() if queue not in self.shut}
            fetches = self.wanted > 0 and not self.lots and bool(topics)
            if not verdicts and not fetches and topics == subscribed:
                self.changed.wait(
                    min([QUIET, *(max(0.001, lot.due - time.monotonic()) for lot in self.lots)])
                )
                return subscribed
        if topics != subscribed:
            member.subscribe(sorted(topics))
        self.tell(member, verdicts)
        if fetches:
            self.keep(member.poll(QUIET))
        return topics

    def overdue(self) -> None:
        """Send back what was not settled, or not even taken, in time."""
        now = time.monotonic()
        for lot in self.lots:
            if lot.due <= now:
                self.decide(lot, Verdict.RELEASE)

    def verdicts(self) -> list[tuple[Record, Verdict]]:
        told = [(lot.record, lot.verdict) for lot in self.decided if lot.verdict is not None]
        self.decided.clear()
        self.lots = [lot for lot in self.lots if lot.verdict is None]
        self.telling = bool(told)
        return told

    def tell(self, member: ShareMember, verdicts: Sequence[tuple[Record, Verdict]]) -> None:
        if not verdicts:
            return
        try:
            member.acknowledge(verdicts)
            member.commit()
        finally:
            with self.changed:
                self.telling = False
                self.changed.notify_all()

    def keep(self, records: Sequence[Record]) -> None:
        due = time.monotonic() + HOLD
        with self.changed:
            self.error = None
            self.lots = [Lot(record, due=due) for record in records]
            for lot in self.lots:
                if lot.key in self.late:
                    self.late.remove(lot.key)
                    self.decide(lot, Verdict.ACCEPT)
            self.waiting = deque(self.lots)
            if records:
                self.changed.notify_all()

    def leave(self, member: ShareMember) -> None:
        """Release all that is open, so that others need not wait for its locks to end."""
        with self.changed:
            for lot in self.lots:
                self.decide(lot, Verdict.RELEASE)
            verdicts = self.verdicts()
            self.waiting.clear()
        try:
            member.acknowledge(verdicts)
            member.commit(timeout=PATIENCE)
            member.close()
        except KafkaFailed as error:
            logger.warning("could not leave the group", extra={"error": str(error)})
        with self.changed:
            self.telling = False
            self.changed.notify_all()
