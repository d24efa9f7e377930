"""The cases of messages that are settled without a claim: their runs are announced again, soon, whoever else waits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import pytest

from openqueue.control import queue_acts
from openqueue.control.actor import Actor
from openqueue.core import transitions
from openqueue.declaration import Task
from openqueue.models import Outbox
from openqueue.processes.sweeps.announcer import Announcer
from openqueue.processes.sweeps.due import Due as FallingDue
from openqueue.runtimes.base import Consumer, Receipt, Runtime, decode
from openqueue.store import store
from openqueue.testing.conformance.suite import Declare, Suite, needs
from openqueue.types import ClaimRequest

ANNA: Final = Actor(name="anna")
MANY: Final = 60
"""More than are on their way to a consumer: the rest waits at the broker."""
IN_HAND: Final = 20
SECOND: Final = timedelta(seconds=1)


class Deferrals(Suite):
    """A broker has no message any more of what was put back, however close to it those are that it still has."""

    @pytest.fixture
    def greedy(self, runtime: Runtime, queue: str) -> Iterator[Consumer]:
        """Yield a consumer that has so many in hand at a time."""
        consumer = runtime.consumer([queue], prefetch=IN_HAND)
        yield consumer
        consumer.close()

    @pytest.mark.parametrize("why", ["no_slot", "unknown_task", "paused"])
    def test_what_was_put_back_is_announced_again_though_others_are_still_waiting(
        self, runtime: Runtime, queue: str, greedy: Consumer, declare: Declare, why: str
    ) -> None:
        nothing, put_back = self.in_hand(queue, greedy, declare)
        if why == "paused":
            queue_acts.pause([queue], actor=ANNA)
        known, rooms = ([] if why == "unknown_task" else [nothing.id]), {nothing.id: 0}
        self.answered("deferred", put_back, known=known, rooms=rooms if why == "no_slot" else {})
        greedy.ack(put_back)
        if why == "paused":
            queue_acts.resume([queue], actor=ANNA)
        Announcer().step(store().clock(None) + 2 * SECOND)
        self.all_come(greedy, put_back)

    def test_who_settles_late_takes_no_later_announcement_along(
        self, runtime: Runtime, queue: str, greedy: Consumer, declare: Declare
    ) -> None:
        """A worker may stand still between the commit that put a run back and the settling of its message."""
        nothing, put_back = self.in_hand(queue, greedy, declare)
        self.answered("deferred", put_back, known=[nothing.id], rooms={nothing.id: 0})
        Announcer().step(store().clock(None) + 2 * SECOND)
        greedy.ack(put_back)
        self.all_come(greedy, put_back)

    @needs("ahead")
    def test_what_came_before_its_time_is_announced_again_though_others_are_still_waiting(
        self, runtime: Runtime, queue: str, greedy: Consumer, declare: Declare
    ) -> None:
        """The clocks of a broker and of the database may go differently."""

        @declare
        def nothing() -> None: ...

        made_at = store().clock(None)
        nothing.using(delay=0.5).trigger_many([{}] * MANY)
        self.announced(queue, MANY)
        early = self.receive(greedy, IN_HAND)
        self.answered("later", early, known=[nothing.id], now=made_at)
        greedy.ack(early)
        soon = store().clock(None) + 2 * SECOND
        FallingDue().step(soon)
        Announcer().step(soon)
        self.all_come(greedy, early)

    # --- verbs ----------------------------------------------------------------------------------------------------

    def in_hand(
        self, queue: str, consumer: Consumer, declare: Declare
    ) -> tuple[Task[..., Any], Sequence[Receipt]]:
        """Have many announced and some received; return every other of these, with their task.

        Those between are not settled: a log has not passed what comes after them.
        """

        @declare
        def nothing() -> None: ...

        nothing.trigger_many([{}] * MANY)
        self.announced(queue, MANY)
        return nothing, self.receive(consumer, IN_HAND)[1::2]

    def announced(self, queue: str, count: int) -> None:
        rows = Outbox.objects.filter(queue=queue, announced_at__isnull=False)
        self.eventually(lambda: rows.count() == count)

    @staticmethod
    def answered(
        answer: str,
        receipts: Sequence[Receipt],
        *,
        known: Sequence[str],
        rooms: dict[str, int] | None = None,
        now: datetime | None = None,
    ) -> None:
        request = ClaimRequest(worker_id=uuid4(), token=uuid4(), known=known, task_rooms=rooms or {})
        named = [decode(receipt.body) for receipt in receipts]
        answers = transitions.claim_named(request, announcements=named, now=now).answers
        assert answers == dict.fromkeys(named, answer)

    def all_come(self, consumer: Consumer, receipts: Iterable[Receipt]) -> None:
        """Receive until the runs of these have come, among whatever else comes."""
        left: set[UUID] = {decode(receipt.body)[0] for receipt in receipts}

        def have_come() -> bool:
            received: Any = consumer.receive(limit=MANY, timeout=0.5)
            left.difference_update(decode(receipt.body)[0] for receipt in received)
            consumer.ack(received)
            return not left

        self.eventually(have_come)
