"""Claims of due rows within rooms: of each task, of each queue, in the order that was asked for. One statement each."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from django.db import connection

from openqueue.models import Outbox
from tests.store import fleet
from tests.store.fleet import TASK, Clock, FakeWorker

pytestmark = pytest.mark.django_db

LIMITED, OTHER = "test.limited", "test.other"
STATEMENTS = {"postgresql": 1, "mysql": 5, "sqlite": 3}
"""What a claim costs, its savepoints and COMMIT not counted."""


@pytest.fixture
def clock() -> Clock:
    return Clock()


def worker(clock: Clock, **options: Any) -> FakeWorker:
    return FakeWorker(clock, known=[TASK, LIMITED, OTHER], **options)


def claimed(worker: FakeWorker, limit: int = 100, **options: Any) -> Counter[str]:
    return Counter(attempt.task_id for attempt in worker.claim(limit, **options))


def test_no_more_of_a_task_is_claimed_than_it_has_room(clock: Clock):
    fleet.make_run(clock, runs=5, task_id=LIMITED)
    fleet.make_run(clock, runs=5, task_id=OTHER)
    fleet.make_run(clock, runs=5)
    limited = worker(clock, task_rooms={LIMITED: 2, OTHER: 3})
    assert claimed(limited) == {LIMITED: 2, OTHER: 3, TASK: 5}
    assert Outbox.objects.count() == 5


def test_the_room_of_a_task_is_for_all_its_queues_together(clock: Clock):
    for queue in ("a", "b"):
        fleet.make_run(clock, runs=3, task_id=LIMITED, queue=queue)
    assert claimed(worker(clock, task_rooms={LIMITED: 4}), queues=["a", "b"]) == {LIMITED: 4}


def test_within_its_room_a_task_gives_its_most_urgent_runs(clock: Clock):
    fleet.make_run(clock, runs=3, task_id=LIMITED)
    urgent = fleet.make_run(clock, task_id=LIMITED, priority=50, queue="b")
    limited = worker(clock, task_rooms={LIMITED: 1})
    assert [attempt.run_id for attempt in limited.claim(queues=["default", "b"])] == [urgent]


def test_a_task_that_has_no_room_costs_the_others_none(clock: Clock):
    fleet.make_run(clock, runs=20, task_id=LIMITED, priority=50)
    fleet.make_run(clock, runs=5)
    assert claimed(worker(clock, task_rooms={LIMITED: 0}), 10) == {TASK: 5}


def test_the_room_of_a_queue_holds_beside_that_of_a_task(clock: Clock):
    fleet.make_run(clock, runs=5, task_id=LIMITED)
    fleet.make_run(clock, runs=5, priority=-1)
    found = claimed(worker(clock, task_rooms={LIMITED: 4}), rooms={"default": 3})
    assert found == {LIMITED: 3}


def test_in_order_the_first_queue_gives_all_it_has_before_the_next(clock: Clock):
    fleet.make_run(clock, runs=3, queue="a")
    fleet.make_run(clock, runs=3, queue="b", priority=90)
    strict = worker(clock, in_order=True)
    assert [a.queue for a in strict.claim(4, queues=["a", "b"])] == ["a", "a", "a", "b"]


def test_in_order_priority_counts_within_a_queue(clock: Clock):
    low, high = fleet.make_run(clock, queue="a"), fleet.make_run(clock, queue="a", priority=1)
    assert [a.run_id for a in worker(clock, in_order=True).claim(queues=["b", "a"])] == [high, low]


def test_otherwise_the_order_of_the_queues_says_nothing(clock: Clock):
    fleet.make_run(clock, runs=2, queue="a")
    fleet.make_run(clock, runs=2, queue="b", priority=90)
    assert [a.queue for a in worker(clock).claim(3, queues=["a", "b"])] == ["b", "b", "a"]


@pytest.mark.parametrize("rooms", [{}, {LIMITED: 2, OTHER: 1}], ids=["unlimited", "limited"])
@pytest.mark.parametrize("in_order", [False, True])
def test_a_claim_is_so_many_statements_whatever_is_limited(
    clock: Clock, rooms: dict[str, int], in_order: bool, django_assert_num_queries: Any
):
    for queue in ("a", "b", "c"):
        for task in (TASK, LIMITED, OTHER):
            fleet.make_run(clock, runs=4, task_id=task, queue=queue)
    asking = worker(clock, task_rooms=rooms, in_order=in_order)
    with django_assert_num_queries(100, exact=False) as asked:
        assert asking.claim(queues=["a", "b", "c"])
    sent = [
        q["sql"]
        for q in asked
        if not (q["sql"] or "").upper().startswith(("SAVEPOINT", "RELEASE", "BEGIN", "COMMIT"))
    ]
    assert len(sent) == STATEMENTS[connection.vendor], sent
