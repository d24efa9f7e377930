"""Claims leave the indexes of runs alone."""

from __future__ import annotations

from uuid import UUID

import pytest
from django.db import connection, transaction

from openqueue.core import transitions
from openqueue.ids import uuid7
from openqueue.models import Run
from openqueue.states import Reason
from openqueue.store import store
from openqueue.types import Claimed, NewRun, Outcome
from tests.scale.test_plans import TASK, claim

pytestmark = [pytest.mark.scale, pytest.mark.postgresql]

RUNS, BATCH = 6_000, 100


def test_over_four_fifths_of_claims_are_heap_only_updates(fresh: str) -> None:
    trigger(RUNS)
    updated = heap_only = 0
    ended: set[UUID] = set()
    while len(ended) < RUNS:
        with transaction.atomic():
            before = counted()
            attempts = claim(limit=BATCH)
            after = counted()
        updated += after[0] - before[0]
        heap_only += after[1] - before[1]
        store().settle([retried_once(attempt) for attempt in attempts])
        ended |= {attempt.run_id for attempt in attempts if attempt.attempt > 1}
    assert updated == 2 * RUNS == 2 * Run.objects.filter(status="completed").count()
    assert heap_only / updated > 0.8


def trigger(runs: int) -> None:
    payload = '{"order":1234,"address":"12 Long Street, Some Town"}'
    for _ in range(runs // 1_000):
        store().create(
            [
                NewRun(id=uuid7(), task_id=TASK, queue="default", runtime="default", payload=payload)
                for _ in range(1_000)
            ]
        )


def retried_once(attempt: Claimed) -> Outcome:
    if attempt.attempt > 1:
        return transitions.completed(attempt, result='{"sent":true}', age=0.01)
    error = {"type": "ValueError", "message": "not this time", "traceback": "no trace " * 20}
    return transitions.retrying(
        attempt, reason=Reason.ERROR, error=error, delay=0.0, backoff="fixed", age=0.01
    )


def counted() -> tuple[int, int]:
    """Return how many runs this transaction has updated, and how many of them without a new index entry."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_xact_user_tables WHERE relname = 'openqueue_run'"
        )
        return cursor.fetchone() or (0, 0)
