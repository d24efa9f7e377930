"""Payloads of another version of the code."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from openqueue.core import transitions
from openqueue.models import Outbox, Run, RunEvent
from openqueue.processes.worker import skew
from openqueue.states import Reason
from openqueue.store import store
from openqueue.types import Claimed
from tests.eventually import eventually

pytestmark = pytest.mark.django_db(transaction=True)
Declare = Callable[..., Any]


@pytest.fixture
def unsuitable(declare: Declare) -> Any:
    """A run whose payload is of another version of the code."""

    @declare
    def old(n: int) -> None: ...

    run = old.trigger(1)
    Run.objects.update(payload={"n": "not a number any more"})
    return run


def test_a_payload_that_does_not_fit_is_left_to_newer_code_for_a_while(unsuitable: Any, drain: Any):
    drain()
    assert (unsuitable.refresh().status, unsuitable.attempt) == ("queued", 0)
    event = RunEvent.objects.get(kind="released")
    assert event.data["why"] == "unsupported_version"
    assert "n" in event.data["error"]["message"]
    row = Outbox.objects.get()
    assert (row.ready, row.attempt) == (False, 1)
    assert 0.9 < (row.due_at - event.at).total_seconds() < 30
    Run.objects.update(payload={"n": 2})  # the worker with the new code finds that it fits
    eventually(lambda: store().flip_ready(limit=1))
    drain()
    assert (unsuitable.refresh().status, unsuitable.attempt, unsuitable.error) == ("completed", 1, None)


def test_a_payload_that_fits_no_code_fails_without_another_attempt(
    unsuitable: Any, drain: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(skew, "PATIENCE", 0.0)
    drain()
    assert (unsuitable.refresh().status, unsuitable.reason, unsuitable.attempt) == (
        "failed",
        "payload_invalid",
        1,
    )


def test_each_wait_for_newer_code_is_as_long_as_all_before():
    def waits(age: float) -> float:
        made = UUID(int=int((time.time() - age) * 1000) << 80)
        attempt = Claimed(made, uuid4(), uuid4(), 1, 1, "t", "q", "{}", 3, 0, None, None, None)
        failed = transitions.failed(attempt, reason=Reason.PAYLOAD_INVALID, error="{}", age=None)
        outcome = skew.deferred(attempt, failed)
        return round(outcome.delay) if outcome.status == "queued" else -1

    assert [waits(age) for age in (0, 5, 60, 899, 901)] == [1, 5, 60, 300, -1]
