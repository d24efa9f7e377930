"""Workers without processes: they claim, beat and settle when a test says so, on the test's clock."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from openqueue import codec
from openqueue.core import transitions
from openqueue.ids import uuid7
from openqueue.models import RunEvent
from openqueue.states import Reason
from openqueue.store import store
from openqueue.types import Beat, Claimed, ClaimRequest, ClaimResult, Incarnation, NewRun, Outcome

START = datetime(2030, 1, 1, tzinfo=UTC)
LEASE = timedelta(seconds=30)
TASK = "test.anything"
ERROR = {"type": "ValueError", "message": "no", "traceback": ""}


class Clock:
    """The moment that every verb is given."""

    def __init__(self) -> None:
        self.now = START

    def pass_(self, seconds: float) -> datetime:
        self.now += timedelta(seconds=seconds)
        return self.now


def make_run(clock: Clock, *, runs: int = 1, **facts: Any) -> Any:
    """Create runs that are alike; return their ids, or the one id."""
    facts = {"task_id": TASK, "queue": "default", "runtime": "default", "payload": "{}"} | facts
    new = [NewRun(id=uuid7(), **facts) for _ in range(runs)]
    transitions.create(new, now=clock.now)
    return new[0].id if runs == 1 else [run.id for run in new]


def incarnation(worker_id: UUID, *, tasks: Sequence[str] = ()) -> Incarnation:
    return Incarnation(
        id=worker_id, host="here", pid=os.getpid(), version="0", runtimes=[], queues=[], tasks=tasks, slots=10
    )


class FakeWorker:
    """One incarnation."""

    def __init__(
        self,
        clock: Clock,
        *,
        known: Sequence[str] = (TASK,),
        full: Sequence[str] = (),
        tasks: Sequence[str] = (),
        task_rooms: Mapping[str, int] | None = None,
        in_order: bool = False,
    ) -> None:
        self.clock = clock
        self.known, self.rooms = known, dict.fromkeys(full, 0) | dict(task_rooms or {})
        self.in_order = in_order
        self.id = uuid4()
        store().register(incarnation(self.id, tasks=tasks), lease=LEASE, now=clock.now)

    def request(self) -> ClaimRequest:
        return ClaimRequest(
            worker_id=self.id,
            token=uuid4(),
            known=self.known,
            task_rooms=self.rooms,
            in_order=self.in_order,
        )

    def claim(
        self,
        limit: int = 100,
        *,
        queues: Iterable[str] = ("default",),
        rooms: Mapping[str, int] | None = None,
    ) -> list[Claimed]:
        rooms = dict(rooms or dict.fromkeys(queues, limit))
        found = transitions.claim_due(
            self.request(), runtime="default", rooms=rooms, limit=limit, now=self.clock.now
        )
        return list(found.claimed)

    def claim_named(self, *announcements: tuple[UUID, int], nowait: bool = False) -> ClaimResult:
        return transitions.claim_named(
            self.request(), announcements=announcements, nowait=nowait, now=self.clock.now
        )

    def beat(self) -> Beat:
        return store().beat(self.id, lease=LEASE.total_seconds(), busy=0, state="running", now=self.clock.now)

    def settle(self, *outcomes: Outcome) -> list[str]:
        """Return the statuses of what was accepted."""
        return [s.status.value for s in transitions.settle(outcomes, now=self.clock.now)]


def completes(attempt: Claimed, result: str | None = "1") -> Outcome:
    return transitions.completed(attempt, result=result, age=0.5)


def fails(attempt: Claimed) -> Outcome:
    return transitions.failed(attempt, reason=Reason.ERROR, error=ERROR, age=0.5)


def retries(attempt: Claimed, delay: float = 0.0) -> Outcome:
    return transitions.retrying(
        attempt, reason=Reason.ERROR, error=ERROR, delay=delay, backoff="fixed", age=0.5
    )


def releases(attempt: Claimed, *, age: float | None = None) -> Outcome:
    return transitions.released(attempt.run_id, attempt.token, age=age, own=True, why="test")


def story(run: UUID) -> list[str]:
    return list(RunEvent.objects.filter(run_id=run).order_by("id").values_list("kind", flat=True))


def events(run: UUID, kind: str) -> list[RunEvent]:
    return list(RunEvent.objects.filter(run_id=run, kind=kind).order_by("id"))


def text(value: Any) -> str:
    return codec.encode(value, what="value", limit=2**20)
