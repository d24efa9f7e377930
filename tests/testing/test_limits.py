"""`run_all()` keeps the limits of the fleet, one run after the other."""

from __future__ import annotations

from typing import Any

import pytest

from openqueue import registry, retry
from openqueue.declaration import Task
from openqueue.models import Run

pytestmark = pytest.mark.django_db


@pytest.fixture
def declare():
    made = []

    def declare(function: Any, **options: Any) -> Task[..., Any]:
        made.append(Task(function, id=f"limits.{function.__name__}", **options))
        return made[-1]

    yield declare
    for task in made:
        registry.remove(task)


def test_limited_runs_are_executed(declare: Any, queued_runs: Any):
    def tight() -> None: ...

    declare(tight, max_concurrency=1).trigger_many([{}] * 3)
    assert [one.status for one in queued_runs.run_all()] == ["completed"] * 3


def test_the_later_ones_of_an_order_wait_for_the_first(declare: Any, queued_runs: Any):
    begun: list[int] = []

    def book(number: int) -> None:
        begun.append(number)

    task = declare(book, ordering_key="account:7", max_attempts=2, backoff=retry.fixed(60))
    task.trigger_many([{"number": n} for n in range(3)])
    queued_runs.fail(queued_runs[0], attempt=1)
    queued_runs.run_all()
    assert begun == []
    queued_runs.run_all(until=61)
    assert begun == [0, 1, 2]


def test_time_passes_until_a_rate_has_room(declare: Any, queued_runs: Any):
    def send() -> None: ...

    declare(send, rate_limit="2/h").trigger_many([{}] * 5)
    assert len(queued_runs.run_all()) == 2
    assert len(queued_runs.run_all(until=3700)) == 2
    assert len(queued_runs.run_all(until=3300)) == 0
    assert len(queued_runs.run_all(until=500)) == 1
    assert Run.objects.filter(status="completed").count() == 5
