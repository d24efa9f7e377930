"""How much stands in each queue is counted among 200,000 rows by looking at each of them once, through the indexes."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from openqueue.store import depths, store
from tests.scale import history
from tests.scale.plans import executed

pytestmark = [pytest.mark.scale, pytest.mark.postgresql]
NAME, WAITING = "openqueue_scale_depths", 100_000
MOST = 0.5
"""Seconds, once in a minute."""


def test_a_look_at_all_queues_reads_each_waiting_row_once_and_no_run(create: Callable[[str], None]):
    create(NAME)
    with history.server(NAME) as connection:
        history.fill_waiting(connection, WAITING, delayed=WAITING)
        connection.execute("VACUUM ANALYZE")
    with history.working_on(NAME):
        best, clock = 9.0, store().clock(None)
        for _ in range(10):
            began = time.perf_counter()
            found = depths.read(store(), clock=clock)
            best = min(best, time.perf_counter() - began)
        with executed() as plans:
            depths.read(store(), clock=clock)
    print(f"{best * 1000:.0f} ms")
    assert (found[depths.ALL].ready, found[depths.ALL].delayed) == (WAITING, WAITING)
    assert set(found) == {depths.ALL, *history.QUEUES}
    (plan,) = plans
    assert {scan["Relation Name"] for scan in plan.scans} <= {"openqueue_outbox", "openqueue_claim"}
    assert plan.touched <= 2.01 * WAITING, plan
    ready = [scan for scan in plan.scans if scan.get("Index Name") == "openqueue_outbox_due"]
    assert [scan["Node Type"] for scan in ready] == ["Index Only Scan"], plan
    assert best < MOST
