"""A hundred thousand runs that wait for one permit: they cost the others nothing, and the next is found at once."""

from __future__ import annotations

import time

import pytest
from django.db import transaction
from django.db.models import F

from openqueue.core import permits, transitions
from openqueue.models import Outbox
from openqueue.store import permits as waiting
from openqueue.store import store
from openqueue.types import Claimed
from tests.scale import history
from tests.scale.history import QUEUES
from tests.scale.plans import as_worker, executed
from tests.scale.test_plans import assert_bounded, claim, undone

pytestmark = [pytest.mark.scale, pytest.mark.postgresql]

WAITING, OTHERS, BATCH = 100_000, 2_000, 100
DOOR = "door"


@pytest.fixture
def crowded(fresh: str) -> str:
    """100,000 runs of one key in front of 2,000 others, in the same queues."""
    with history.server(fresh) as connection:
        history.fill_waiting(connection, WAITING)
    Outbox.objects.update(ready=False, waits_for=DOOR, concurrency_key=DOOR, turn=-F("priority"))
    with history.server(fresh) as connection:
        history.fill_waiting(connection, OTHERS, first=4_000_000)
        connection.execute("VACUUM ANALYZE")
    return fresh


def settle(attempts: list[Claimed]) -> None:
    transitions.settle([transitions.completed(attempt, result=None, age=0.01) for attempt in attempts])


@pytest.mark.parametrize("plans", ["force_generic_plan", "force_custom_plan"])
def test_they_are_not_in_the_way_of_others(crowded: str, plans: str) -> None:
    def watched() -> None:
        with undone(), executed() as found:
            attempts = claim(*QUEUES, limit=BATCH)
            settle(attempts)
            assert store().flip_ready(limit=BATCH) == []
            assert waiting.waited_for(store(), limit=BATCH) == [DOOR]
        assert len(attempts) == BATCH
        assert_bounded(found, rows=BATCH)

    as_worker(watched, plans=plans)


def test_others_are_claimed_as_fast_as_without_them(crowded: str) -> None:
    def seconds() -> float:
        took = []
        for _ in range(10):
            with undone():
                began = time.perf_counter()
                claim(*QUEUES, limit=BATCH)
                took.append(time.perf_counter() - began)
        return sorted(took)[1]

    def both() -> tuple[float, float]:
        crowd = seconds()
        Outbox.objects.filter(waits_for=DOOR).delete()
        with history.server(crowded) as connection:
            connection.execute("VACUUM ANALYZE openqueue_outbox")
        return crowd, seconds()

    crowd, alone = as_worker(both)
    print(
        f"a claim of {BATCH}: {crowd * 1000:.1f} ms beside {WAITING} that wait, {alone * 1000:.1f} ms without them"
    )
    assert crowd < 1.5 * alone + 0.002


@pytest.mark.parametrize("plans", ["force_generic_plan", "force_custom_plan"])
def test_a_freed_permit_finds_the_next_without_a_walk(crowded: str, plans: str) -> None:
    def watched() -> None:
        assert len(permits.admit([DOOR])) == 1
        for _ in range(3):
            with transaction.atomic():  # where a claim begins at the beginning, whatever was claimed before
                (attempt,) = claim(*QUEUES, limit=1)
            with executed() as found:
                settle([attempt])
                (admitted,) = permits.admit([DOOR])
            assert_bounded(found, rows=BATCH)
            assert admitted.priority == 40
            assert permits.admit([DOOR]) == []
            Outbox.objects.filter(ready=True).exclude(pk=admitted.run_id).update(
                announce_at="2100-01-01T00:00Z"
            )

    as_worker(watched, plans=plans)
