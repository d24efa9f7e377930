"""A worker with nothing to do is a quiet neighbour."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from uuid import UUID

import pytest
from django.db import connection

from openqueue.models import Worker
from tests.eventually import eventually
from tests.scale.drain import idle_cost, process

pytestmark = [pytest.mark.scale, pytest.mark.sqlite_too]

SECONDS, TRIES = 10.0, 3


@pytest.mark.django_db(transaction=True)
def test_an_idle_worker_takes_less_than_a_hundredth_of_a_core_and_80_megabytes(
    process_environment: Callable[..., dict[str, str]],
) -> None:
    def lease() -> UUID | None:
        return Worker.objects.filter(pid=worker.pid).values_list("pk", flat=True).first()

    with process(process_environment(), "openqueue_worker", "-v", "0") as worker:
        eventually(lease, within=30)
        connection.close()
        idle_cost(worker.pid, 2.0)  # what it imports and looks at once
        costs = []
        for _ in range(TRIES):  # a busy machine makes cold caches, which cost as well
            costs.append(idle_cost(worker.pid, SECONDS))
            print(f"{costs[-1][0]:.2f} % of a core, {costs[-1][1]:.1f} MB")
            if costs[-1][0] < 1:
                break
        worker.terminate()
        assert worker.wait(30) == 0
    assert min(percent for percent, _ in costs) < 1
    assert statistics.fmean(megabytes for _, megabytes in costs) < 80
