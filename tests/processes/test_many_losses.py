"""Five hundred workers gone at once: a rolling restart that was none."""

from __future__ import annotations

from typing import Any

import pytest

from openqueue.models import Claim, Outbox, Run, Worker
from openqueue.processes.sweeps.reaper import BATCH, Reaper
from tests.store import fleet
from tests.store.fleet import Clock, FakeWorker

pytestmark = pytest.mark.django_db
WORKERS, CLAIMS = 500, 2
MOST_STATEMENTS = 80
"""Of one pass, with its savepoints: what it costs must not grow with what was lost."""


def test_all_come_back_set_wise_in_few_passes_that_cost_the_same(django_assert_num_queries: Any):
    clock = Clock()
    fleet.make_run(clock, runs=WORKERS * CLAIMS)
    for _ in range(WORKERS):
        assert len(FakeWorker(clock).claim(CLAIMS)) == CLAIMS
    alive = FakeWorker(clock)
    clock.pass_(fleet.LEASE.total_seconds() + 1)
    alive.beat()
    reaper, passes, returned = Reaper(trusting=True), 0, 0
    while Claim.objects.exists():
        with django_assert_num_queries(MOST_STATEMENTS, exact=False):
            returned += reaper.step(clock.now)
        passes += 1
    assert returned == WORKERS * CLAIMS
    assert passes == -(-WORKERS // BATCH)
    assert Outbox.objects.count() == WORKERS * CLAIMS
    assert set(Run.objects.values_list("crash_count", "status")) == {(1, "queued")}
    assert list(Worker.objects.exclude(state="lost").values_list("pk", flat=True)) == [alive.id]
