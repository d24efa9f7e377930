"""Claims what free slots and the runway allow: one thread a runtime."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from hashlib import sha256
from typing import Any, Final
from uuid import UUID, uuid4

from django.db import DatabaseError, InterfaceError, OperationalError

from openqueue import registry, runtimes
from openqueue.conf import DEFAULT_QUEUE, config
from openqueue.core import transitions
from openqueue.models import DeadLetter
from openqueue.processes.loop import is_abandoned
from openqueue.processes.worker import admission
from openqueue.processes.worker.job import Job
from openqueue.processes.worker.ledger import Ledger
from openqueue.processes.worker.order import Order
from openqueue.runtimes.base import Consumer, PoisonMessage, Receipt, Runtime, decode
from openqueue.states import Reason
from openqueue.store import store
from openqueue.types import ClaimRequest, ClaimResult, Due

logger = logging.getLogger("openqueue")

WAIT: Final = 1.0
"""Seconds that one `receive` waits at most, so that pause and stop are heard."""
DISCOVER_EVERY: Final = 2.0
RESERVED: Final = "openqueue-"
"""Queues of OpenQueue's own: served only by who names them."""
UNKNOWN_EVERY: Final = 5.0
UNKNOWN_AGE: Final = 5.0
UNKNOWN_TRIES: Final = 10
"""Deferrals, each twice as long as the last, before a run whose task nobody knows fails: about 17 minutes."""
LONG_LOOK: Final = 0.1
REST: Final = 5
LONGEST_REST: Final = 2.0
"""A look in vain that took longer than LONG_LOOK seconds, since it walked past a backlog that is not for us, rests
REST times as long, unless room for a limited task or queue comes; LONGEST_REST at most: it may have been a lock."""
HEAD: Final = 200


class Intake:
    """Receives, claims, acknowledges, submits. `step` is one round."""

    def __init__(
        self,
        runtime: Runtime,
        *,
        queues: Sequence[str],
        ledger: Ledger,
        submit: Callable[[Job], None],
        discovers: bool = False,
    ) -> None:
        self.runtime = runtime
        self.discovers = discovers
        """Serve also queues that nobody named and that hold due rows."""
        self.discovered_at = float("-inf")
        self.queues = list(queues)
        self.ledger = ledger
        self.submit = submit
        self.consumer: Consumer | None = None
        self.paused: set[str] = set()
        self.shut: set[str] = set()
        """What the consumer was told to leave out."""
        self.closed = threading.Event()
        self.quiet = threading.Event()  # claim nothing until told otherwise
        self.hungry = False
        self.once = False
        """Claim one batch, then no more."""
        self.unknown_at = time.monotonic()
        self.crowded = False
        """The last claim may have seen nothing but rows of tasks that are at their own limit."""
        self.order: Order | None = None
        """Which queues give first; None: all merged, by priority and due time."""
        self.claims = 0
        self.token: UUID | None = None
        """Of the newest claim."""
        self.rests_until = 0.0
        """No look before, since the last one in vain took long; monotonic."""
        ledger.wakers.append(self.wake)

    def step(self) -> int:
        """Do one round; return how many attempts were claimed."""
        if self.quiet.is_set():
            self.leave()  # what the broker has handed over is for others
        if self.closed.is_set() or self.quiet.is_set() or not self.ledger.sure:
            self.closed.wait(0.05)
            return 0
        room = self.ledger.room()
        if room <= 0:
            self.ledger.room_changed.wait(0.05)
            self.ledger.room_changed.clear()
            return 0
        if self.discovers and time.monotonic() - self.discovered_at > DISCOVER_EVERY:
            self.discover()
        if self.consumer is None:
            self.runtime.declare(self.queues)
            self.shut = set()
            self.consumer = self.runtime.consumer(self.queues, prefetch=self.ledger.slots)
        opened = self.close_queues()
        if self.runtime.capabilities.sets_aside:
            self.consumer.let_in(self.task_rooms())
        limit = min(room, self.queues_room(otherwise=room))
        wait = 0 if self.hungry or opened else WAIT
        if self.order is None:
            received = self.consumer.receive(limit=limit, timeout=wait)
        else:
            received = self.consumer.receive(limit=limit, timeout=wait, order=self.order.ranked())
        # stopped or replaced while it waited, or asleep with the process
        if self.closed.is_set() or self.quiet.is_set() or is_abandoned() or not self.ledger.sure:
            if not isinstance(received, Due):
                self.consumer.release(received)
            return 0
        claimed = self.claim_due(received) if isinstance(received, Due) else self.claim_receipts(received)
        if claimed and self.once:
            self.closed.set()
        self.hungry = claimed > 0
        self.ledger.backlog = claimed >= room
        return claimed

    def discover(self) -> None:
        """Look for due rows in queues that neither settings nor tasks name: `using(queue=...)` may make up any."""
        self.discovered_at = time.monotonic()
        found = [name for name in store().outbox_queues(runtime=self.runtime.alias) if not is_reserved(name)]
        if fresh := sorted(set(found) - set(self.queues)):
            self.queues += fresh
            self.leave()

    # --- the database runtime ------------------------------------------------------------------------------------

    def claim_due(self, due: Due) -> int:
        tasks: dict[str, Any] = registry.index()
        rooms = self.rooms(due.queues, limit=due.limit)
        known = [name for name, task in tasks.items() if task.concurrency is None] if self.crowded else tasks
        claimed, asked = 0, time.monotonic()
        if rooms and known and asked >= self.rests_until:
            ask = partial(transitions.claim_due, runtime=self.runtime.alias, rooms=rooms, limit=due.limit)
            claimed = self.claim(ask, known=list(known))
            took = time.monotonic() - asked
            if not claimed and took > LONG_LOOK:
                self.rests_until = asked + took + min(REST * took, LONGEST_REST)
        # Rows of a limited task beyond its room may have stood in front of others: ask for those alone, once.
        looked_past, self.crowded = self.crowded, False
        if 0 < claimed < due.limit and not looked_past:
            self.crowded = any(task.concurrency is not None for task in tasks.values())
        if due.queues and not claimed and time.monotonic() - self.unknown_at > UNKNOWN_EVERY:
            self.defer_unknown(list(tasks))
        return claimed

    def rooms(self, queues: Sequence[str], *, limit: int) -> dict[str, int]:
        """Return how many attempts each queue may give, by its own concurrency."""
        rooms = {queue: self.queue_room(queue) for queue in queues}
        limited = {queue: limit if room is None else min(limit, room) for queue, room in rooms.items()}
        return {queue: room for queue, room in limited.items() if room > 0}

    def queue_room(self, queue: str) -> int | None:
        most = config.queue(queue).concurrency
        return None if most is None else most - self.ledger.by_queue[queue]

    def limited_queues(self, queues: Iterable[str]) -> dict[str, int]:
        return {name: room for name in queues if (room := self.queue_room(name)) is not None}

    def queues_room(self, *, otherwise: int) -> int:
        """Return how much the queues that are open have room for, when each of them is limited."""
        rooms = [self.queue_room(name) for name in self.queues if name not in self.shut]
        limited = [room for room in rooms if room is not None]
        return max(1, sum(limited)) if limited and len(limited) == len(rooms) else otherwise

    def task_rooms(self) -> dict[str, int]:
        """Return how many more of each task with a limit of its own may run here."""
        tasks: dict[str, Any] = registry.index()
        return {
            name: task.concurrency - self.ledger.by_task[name]
            for name, task in tasks.items()
            if task.concurrency is not None
        }

    def defer_unknown(self, known: Sequence[str]) -> None:
        """Rows that nobody took for a while and that we have no task for: later each time, then failed."""
        self.unknown_at = time.monotonic()
        deferred = store().defer_unknown(
            runtime=self.runtime.alias,
            queues=self.queues,
            known=known,
            older_than=timedelta(seconds=UNKNOWN_AGE),
            limit=100,
        )
        self.refuse([(run, seq, task) for run, seq, task, unheard in deferred if unheard >= UNKNOWN_TRIES])

    def refuse(self, rows: Sequence[tuple[UUID, int, str]]) -> None:
        for run, seq, task in rows:
            message = (
                f"No worker knows the task {task!r}. Is its tasks.py in an app of INSTALLED_APPS, everywhere?"
            )
            transitions.refuse([(run, seq)], reason=Reason.UNKNOWN_TASK, message=message)

    # --- messages ---------------------------------------------------------------------------------------------------

    def claim_receipts(self, receipts: Sequence[Receipt], *, nowait: bool = False) -> int:
        named: dict[tuple[UUID, int], list[Receipt]] = {}
        for receipt in receipts if nowait else self.admitted(receipts):
            try:
                named.setdefault(decode(receipt.body), []).append(receipt)
            except PoisonMessage as error:
                self.bury(receipt, reason=str(error))
        if not named:
            return 0
        tasks: dict[str, Any] = registry.index()
        result: list[ClaimResult] = []
        announcements = list(named)

        def ask(request: ClaimRequest) -> ClaimResult:
            told = transitions.claim_named(request, announcements=announcements, nowait=nowait)
            place = {key: n for n, key in enumerate(announcements)}  # the order in which they were received
            result.append(replace(told, claimed=sorted(told.claimed, key=lambda a: place[a.run_id, a.seq])))
            return result[-1]

        assert self.consumer is not None  # noqa: S101  # receipts come from it
        try:
            claimed = self.claim(ask, known=list(tasks), queues={r.queue for r in receipts})
        except (OperationalError, InterfaceError) as error:
            # Locked, or no answer: these come back by the broker's own means. One by one, only the locked ones wait.
            gone = transitions.connection_is_gone(error)
            if gone or nowait:
                self.consumer.release([r for some in named.values() for r in some])
            if gone:
                raise
            if nowait:
                return 0
            return sum(self.claim_receipts(some, nowait=True) for some in named.values())
        answers = result[-1].answers or {}
        self.consumer.ack([r for key, some in named.items() if key in answers for r in some])
        hopeless = [d for d in result[-1].deferred if d.why == "unknown_task" and d.unheard >= UNKNOWN_TRIES]
        if hopeless:
            served = store().served_tasks()
            self.refuse([(d.run_id, d.seq, d.task_id) for d in hopeless if d.task_id not in served])
        return claimed

    def admitted(self, receipts: Sequence[Receipt]) -> Sequence[Receipt]:
        """Give back what there is no room for here, before the database is asked: others may have it at once."""
        assert self.consumer is not None  # noqa: S101  # receipts come from it
        sorted_ = admission.sort(
            receipts,
            queues=self.limited_queues({receipt.queue for receipt in receipts}),
            tasks=self.task_rooms() if self.runtime.capabilities.sets_aside else {},
        )
        if sorted_.beyond_queue:
            self.consumer.release(sorted_.beyond_queue)
        for task, some in sorted_.beyond_task.items():
            self.consumer.set_aside(some, task=task)
        return sorted_.admitted

    def bury(self, receipt: Receipt, *, reason: str) -> None:
        """Put poison into the dead letters, then have the broker move it aside."""
        store().bury(
            DeadLetter(
                runtime=self.runtime.alias,
                queue=receipt.queue,
                origin=dict(receipt.origin),
                reason=reason[:200],
                sha256=sha256(receipt.body).hexdigest(),
                size=len(receipt.body),
                head=receipt.body[:HEAD].hex(),
            )
        )
        assert self.consumer is not None  # noqa: S101  # the receipt comes from it
        self.consumer.reject([receipt], reason=reason)

    # --- both ---------------------------------------------------------------------------------------------------------

    def claim(
        self,
        ask: Callable[[ClaimRequest], ClaimResult],
        *,
        known: Sequence[str],
        queues: Iterable[str] = (),
    ) -> int:
        """Claim one batch under a token made beforehand, so that an unknown outcome can be looked up."""
        token = uuid4()
        request = ClaimRequest(
            worker_id=self.ledger.worker_id,
            token=token,
            known=known,
            task_rooms=self.task_rooms(),
            in_order=self.order is not None,
            queue_rooms=self.limited_queues(queues),
        )
        self.token = token
        self.ledger.expect(token)
        try:
            result = ask(request)
        except (DatabaseError, InterfaceError):
            # Perhaps it did commit: what is there under this token and not held goes back with the next heartbeat.
            self.ledger.forget(token)
            raise
        jobs = [Job(attempt, registry.get(attempt.task_id)) for attempt in result.claimed]
        if not self.ledger.take(token, jobs):
            raise AnsweredTooLate
        self.claims += 1
        if self.order is not None:
            self.order.gave(Counter(job.attempt.queue for job in jobs))
        for job in jobs:
            self.submit(job)
        return len(jobs)

    # --- control ------------------------------------------------------------------------------------------------------

    def heed(self, paused: set[str]) -> None:
        """Note what operators decided; the intake's own thread tells the consumer."""
        self.paused = paused & set(self.queues)

    def close_queues(self) -> bool:
        """Have the consumer leave out what is paused and what has no room here; tell whether some came back."""
        assert self.consumer is not None  # noqa: S101  # step made it
        shut = self.paused | {
            name for name in self.queues if (room := self.queue_room(name)) is not None and room <= 0
        }
        if shut != self.shut:
            self.consumer.pause(sorted(shut - self.shut))
            self.consumer.resume(sorted(self.shut - shut))
        opened, self.shut = bool(self.shut - shut), shut
        return opened

    def close(self) -> None:
        """Claim no more."""
        self.closed.set()
        self.wake()

    def wake(self) -> None:
        """End a receive that waits."""
        self.rests_until = 0.0
        if (consumer := self.consumer) is not None:
            consumer.wake()

    def leave(self) -> None:
        """Hand back what is unsettled, from the thread that received it."""
        if (consumer := self.consumer) is not None:
            self.consumer = None
            consumer.close()

    def successor(self) -> Intake:
        """Give this one up, whose thread does not come back; return another, with a consumer of its own.

        The claim that it perhaps waits for is awaited no longer: an answer that comes all the same is refused, and
        the next heartbeat gives back what it claimed. Messages in hand come again by the broker's own means.
        """
        self.ledger.wakers.remove(self.wake)
        if self.token is not None:
            self.ledger.forget(self.token)
        other = Intake(
            self.runtime,
            queues=self.queues,
            ledger=self.ledger,
            submit=self.submit,
            discovers=self.discovers,
        )
        other.paused, other.once, other.order, other.quiet = self.paused, self.once, self.order, self.quiet
        if self.closed.is_set():
            other.closed.set()
        return other


class AnsweredTooLate(Exception):
    """A claim was answered after its intake had been replaced. What it claimed goes back with the next heartbeat."""


def is_reserved(queue: str) -> bool:
    return queue.startswith(RESERVED)


def serving(queues: Sequence[str] | None, *, runtime: str | None) -> dict[str, list[str]]:
    """Return which queues a worker serves, by runtime alias: those named, or all that settings and tasks know."""
    by_runtime: dict[str, list[str]] = {}
    if queues is None:
        by_runtime = {alias: [] for alias in config.runtimes}
        names = {task.options.queue for task in registry.every()} | set(config.queues) | {DEFAULT_QUEUE}
        queues = sorted(name for name in names if not is_reserved(name))
    for queue in queues:
        by_runtime.setdefault(config.runtime_of(queue).alias, []).append(queue)
    return {alias: some for alias, some in by_runtime.items() if runtime is None or alias == runtime}


def open_intakes(
    by_runtime: dict[str, list[str]], *, ledger: Ledger, submit: Callable[[Job], None], discovers: bool
) -> list[Intake]:
    """Return one intake a runtime; ``discovers``: serve also queues that nobody named."""
    return [
        Intake(runtimes.get(alias), queues=queues, ledger=ledger, submit=submit, discovers=discovers)
        for alias, queues in by_runtime.items()
    ]
