"""A transaction that stays open for long keeps the places of claimed rows: claims do not walk past all of them."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connections

from openqueue.core import transitions
from openqueue.store import floors, store
from openqueue.types import ClaimRequest
from tests.scale.drain import NOOP, QUEUE, fill
from tests.scale.plans import as_worker, executed, pages
from tests.store.test_floors import other_session

pytestmark = [pytest.mark.scale, pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]

GONE = 20_000


def claim(limit: int) -> int:
    request = ClaimRequest(worker_id=uuid4(), token=uuid4(), known=[NOOP])
    done = transitions.claim_due(request, runtime="default", rooms={QUEUE: limit}, limit=limit)
    return len(done.claimed)


def visited() -> int:
    """Trigger and claim a thousand runs; return how many pages were visited to find them."""
    fill(1_000)
    with executed() as plans:
        assert claim(1_000) == 1_000
    found = [scan for plan in plans for scan in plan.scans if "labelled" in plan.statement]
    return sum(pages(scan) for scan in found if scan.get("Index Name") == "openqueue_outbox_due")


def test_claims_begin_past_what_an_old_snapshot_keeps(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(floors, "MARGIN", timedelta(0))

    def watched() -> tuple[int, int, int]:
        store().floors.clear()
        monkeypatch.setattr(floors, "SLOW", 3600.0)  # no looks
        before = visited()
        for _ in range(GONE // 1_000):
            fill(1_000)
            claim(1_000)
        without = visited()
        monkeypatch.setattr(floors, "SLOW", -1.0)
        monkeypatch.setattr(floors, "CHEAP", -1.0)
        visited()  # looks
        return before, without, visited()

    with other_session() as old:
        old.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        old.execute("SELECT count(*) FROM openqueue_outbox")
        before, without, within = as_worker(watched)
    store().floors.clear()
    connections["default"].close()
    assert without > 5 * before, (before, without, within)
    assert within < 2 * before, (before, without, within)
