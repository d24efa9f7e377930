"""A worker whose look for work took long rests a little, never so long that somebody waits for it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from openqueue.core import transitions
from openqueue.processes.worker.worker import Worker
from openqueue.types import Due

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(("took", "rests"), [(0.05, 0.0), (0.2, 1.0), (60.0, 2.0)])
def test_after_a_long_look_in_vain_it_rests_two_seconds_at_most(
    took: float, rests: float, monkeypatch: pytest.MonkeyPatch
):
    """A minute: the database was locked by somebody else for as long."""
    worker = Worker(queues=["default"], slots=1)
    worker.heartbeat.step()
    (intake,) = worker.intakes
    now, looks = [time.monotonic()], []

    def look(*given: Any, **more: Any) -> Any:
        looks.append(now[0])
        now[0] += took
        return found(*given, **more)

    found = transitions.claim_due
    monkeypatch.setattr(transitions, "claim_due", look)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    due = Due(queues=["default"], limit=1)
    intake.claim_due(due)
    began = now[0]
    while len(looks) < 2:
        intake.claim_due(due)
        now[0] += 0.01
    assert looks[1] - began == pytest.approx(rests, abs=0.02)
