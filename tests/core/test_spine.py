"""Trigger, claim and settle, and what they cost in statements."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from openqueue.core import transitions
from openqueue.models import Claim, Outbox, Run, RunEvent
from openqueue.types import ClaimRequest
from tests.app.tasks import add

TRIGGER, CLAIM, SETTLE = {"postgresql": (1, 1, 2), "mysql": (4, 5, 4), "sqlite": (3, 3, 6)}[connection.vendor]


def request() -> ClaimRequest:
    return ClaimRequest(worker_id=uuid4(), token=uuid4(), known=[add.id])


def claim(limit: int = 100):
    return transitions.claim_due(request(), runtime="default", rooms={"default": limit}, limit=limit).claimed


def statements(captured: CaptureQueriesContext) -> int:
    return sum(not (q["sql"] or "").startswith(("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE")) for q in captured)


@pytest.mark.django_db
def test_a_triggered_run_is_claimed_and_settled():
    run = add.trigger(1, b=2)
    (attempt,) = claim()
    assert (attempt.run_id, attempt.attempt, attempt.payload) == (run.id, 1, '{"a":1,"b":2}')
    assert Run.objects.get().status == "running"
    assert not Outbox.objects.exists()
    (settled,) = transitions.settle([transitions.completed(attempt, result="3", age=0.5)])
    assert settled.status == "completed"
    row = Run.objects.get()
    assert (row.status, row.result, row.attempt, row.version) == ("completed", 3, 1, 3)
    assert row.started_at < row.finished_at
    assert not Claim.objects.exists()
    assert list(RunEvent.objects.values_list("kind", "version")) == [
        ("triggered", 1),
        ("started", 2),
        ("completed", 3),
    ]


@pytest.mark.django_db
@pytest.mark.parametrize("size", [1, 50])
def test_the_hot_paths_cost_the_same_statements_for_one_run_as_for_many(size):
    with transaction.atomic():
        with CaptureQueriesContext(connection) as triggered:
            add.trigger_many([{"a": n, "b": 1} for n in range(size)])
        assert statements(triggered) == TRIGGER
    with CaptureQueriesContext(connection) as claimed:
        attempts = claim()
    assert len(attempts) == size
    assert statements(claimed) == CLAIM
    with CaptureQueriesContext(connection) as settled:
        assert (
            len(transitions.settle([transitions.completed(a, result="1", age=0) for a in attempts])) == size
        )
    assert statements(settled) <= SETTLE
