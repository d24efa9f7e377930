"""A claim that is under way while its worker stops at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from openqueue.core import transitions
from openqueue.models import Claim, RunEvent
from tests.eventually import eventually

pytestmark = pytest.mark.django_db(transaction=True)


def test_what_it_brings_goes_back_and_is_not_charged(
    declare: Callable[..., Any], serving: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
):
    """Else the reaper would find it with a worker that is gone, and take that for a crash."""

    @declare
    def add(a: int, b: int) -> int:
        return a + b

    asking, go_on = threading.Event(), threading.Event()
    claim = transitions.claim_due

    def slowly(*given: Any, **more: Any) -> Any:
        asking.set()
        assert go_on.wait(10)
        return claim(*given, **more)

    run = add.trigger(1, 2)
    monkeypatch.setattr(transitions, "claim_due", slowly)
    with serving() as worker:
        assert asking.wait(10)
        worker.stop_at_once()
        eventually(lambda: worker.ledger.stopping and worker.wishes.empty())
        go_on.set()
    assert not Claim.objects.exists()
    assert (run.refresh().status, run.row.attempt, run.row.crash_count) == ("queued", 0, 0)
    assert [event.kind for event in RunEvent.objects.order_by("id")] == ["triggered", "started", "released"]
