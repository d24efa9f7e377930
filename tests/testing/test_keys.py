"""Keys, debounce and completing in a transaction, in a project's own tests."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction

from openqueue import TaskContext
from tests.app.models import Note

pytestmark = pytest.mark.django_db


def test_a_key_is_kept_and_free_again_after_its_run(queued_runs: Any, declare: Any):
    @declare
    def sync(account: int) -> int:
        return account

    order = sync.using(dedupe_key="7")
    assert [order.trigger(n).created for n in (1, 2)] == [True, False]
    queued_runs.assert_triggered(sync, account=1, count=1, options={"dedupe_key": "7"})
    queued_runs.run_all()
    assert order.trigger(3).created
    with pytest.raises(TypeError, match="dedupe_scope"):
        queued_runs.assert_triggered(sync, options={"dedupe_scope": "all"})


def test_a_window_ends_as_the_test_lets_time_pass(queued_runs: Any, declare: Any):
    @declare(dedupe_window=60)
    def sync() -> None: ...

    sync.using(dedupe_key="7").trigger()
    queued_runs.run_all()
    assert not sync.using(dedupe_key="7").trigger().created
    queued_runs.advance(61)
    assert sync.using(dedupe_key="7").trigger().created


def test_what_is_debounced_runs_once_with_the_newest_payload(queued_runs: Any, declare: Any):
    @declare(debounce=30)
    def index(n: int) -> int:
        return n

    for n in range(3):
        index.using(dedupe_key="7").trigger(n)
        queued_runs.advance(20)
    assert queued_runs.run_all() == []
    (execution,) = queued_runs.run_all(until=30)
    assert execution.result == 2


def test_a_body_completes_in_its_transaction_or_not_at_all(queued_runs: Any, declare: Any):
    @declare(max_attempts=2, backoff=0)
    def pay(ctx: TaskContext) -> None:
        with transaction.atomic():
            Note.objects.create(text="paid")
            ctx.complete_in_transaction(ctx.attempt)
            if ctx.attempt == 1:
                raise ValueError

    pay.trigger()
    first, second = queued_runs.run_all(raises=False)
    assert (first.status, second.status, second.result) == ("retrying", "completed", 2)
    assert Note.objects.count() == 1
