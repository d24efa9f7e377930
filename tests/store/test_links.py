"""Runs that are tied to others: nodes that wait, and ends with consequences in the same transaction."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest
from django.db import connections

from openqueue.core import cancellation, consequences, transitions
from openqueue.models import Claim, Outbox, Run, RunEvent
from openqueue.states import Status
from openqueue.store import store
from tests.store import fleet
from tests.store.fleet import Clock, FakeWorker, completes, fails, retries

pytestmark = pytest.mark.django_db(transaction=True)


class Seen:
    """A consequence that notes what it hears of; in no other transaction than that of the end."""

    def __init__(self) -> None:
        self.calls: list[Mapping[UUID, Status]] = []
        self.error: Exception | None = None

    def __call__(self, ended: Mapping[UUID, Status], now: datetime | None) -> None:
        assert connections[store().alias].in_atomic_block
        self.calls.append(dict(ended))
        if self.error is not None:
            raise self.error


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def worker(clock: Clock) -> FakeWorker:
    return FakeWorker(clock)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    consequence = Seen()
    monkeypatch.setattr(consequences, "CONSEQUENCES", [consequence])
    return consequence


def test_a_claim_tells_what_its_run_is_tied_to(clock: Clock, worker: FakeWorker):
    flow = uuid4()
    fleet.make_run(clock, flow_id=flow, schedule_id=7)
    fleet.make_run(clock, dedupe_key="invoice:42")
    fleet.make_run(clock)
    claimed = worker.claim()
    assert [(c.flow_id, c.dedupe_key, c.is_linked) for c in claimed] == [
        (flow, None, True), (None, "invoice:42", True), (None, None, False),
    ]  # fmt: skip
    assert Run.objects.get(flow_id=flow).schedule_id == 7


@pytest.mark.parametrize(
    "moment", [{}, {"delay": 30.0}, {"run_at": fleet.START + timedelta(days=1)}, {"ttl": 5.0}]
)
def test_a_run_that_waits_for_others_is_in_no_outbox(
    clock: Clock, worker: FakeWorker, moment: dict[str, object]
):
    waiting, due = fleet.make_run(clock, flow_id=uuid4(), waiting=True, **moment), fleet.make_run(clock)
    assert Run.objects.get(pk=waiting).status == "waiting"
    assert list(RunEvent.objects.filter(run_id=waiting).values_list("kind", flat=True)) == ["triggered"]
    assert list(Outbox.objects.values_list("run_id", flat=True)) == [due]
    assert [claimed.run_id for claimed in worker.claim()] == [due]


def test_only_ends_have_consequences(clock: Clock, worker: FakeWorker, seen: Seen):
    fleet.make_run(clock, runs=3, dedupe_key="any")
    a, b, c = worker.claim()
    worker.settle(completes(a), fails(b), retries(c, 5))
    assert seen.calls == [{a.run_id: Status.COMPLETED, b.run_id: Status.FAILED}]


def test_what_is_tied_to_nothing_is_settled_without_asking(clock: Clock, worker: FakeWorker, seen: Seen):
    fleet.make_run(clock)
    worker.settle(*map(completes, worker.claim()))
    assert seen.calls == []


def test_what_waits_in_the_outbox_ends_with_its_consequences(clock: Clock, seen: Seen):
    cancelled, expired = fleet.make_run(clock), fleet.make_run(clock, ttl=5.0)
    cancellation.cancel([cancelled], actor="ada", now=clock.now)
    transitions.expire(limit=10, now=clock.pass_(6))
    assert seen.calls == [{cancelled: Status.CANCELLED}, {expired: Status.EXPIRED}]


def test_an_end_whose_consequence_fails_has_not_happened(clock: Clock, worker: FakeWorker, seen: Seen):
    run = fleet.make_run(clock, dedupe_key="any")
    (attempt,) = worker.claim()
    seen.error = RuntimeError("no")
    with pytest.raises(RuntimeError):
        worker.settle(completes(attempt))
    assert Run.objects.get(pk=run).status == "running"
    assert Claim.objects.filter(pk=run).exists()
    seen.error = None
    assert worker.settle(completes(attempt)) == ["completed"]
