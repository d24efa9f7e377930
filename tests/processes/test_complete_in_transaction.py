"""A body's own writes and its completion commit together, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError, connection, transaction

from openqueue import LeaseLost, ResultInvalid, TaskContext
from openqueue.models import Claim, DedupeKey, Run
from openqueue.store import store
from tests.app.models import Note
from tests.processes import isolated
from tests.store.fleet import events, story

pytestmark = pytest.mark.django_db(transaction=True)


def notes() -> list[str]:
    return list(Note.objects.order_by("pk").values_list("text", flat=True))


def test_the_effect_and_the_completion_are_one(declare: Any, drain: Any, monkeypatch: Any):
    seen, hooked, settled = [], [], []
    monkeypatch.setattr(type(store()), "settle", spy(settled, type(store()).settle))

    @declare(on_success=lambda ctx, result: hooked.append((result, connection.in_atomic_block)))
    def pay(ctx: TaskContext) -> str:
        with transaction.atomic():
            Note.objects.create(text="paid")
            ctx.complete_in_transaction(result={"paid": True})
            seen.append((Run.objects.get().status, Claim.objects.exists(), list(hooked)))
        seen.append(Run.objects.get().status)
        return "not looked at"

    run = pay.using(dedupe_key="k").trigger()
    drain()
    assert seen == [("completed", False, []), "completed"]
    assert (run.refresh().status, run.result, run.attempt) == ("completed", {"paid": True}, 1)
    assert story(run.id) == ["triggered", "started", "completed"]
    assert events(run.id, "completed")[0].token is not None
    assert not DedupeKey.objects.exists()
    assert hooked == [({"paid": True}, False)]
    assert notes() == ["paid"]
    assert len(settled) == 1


def spy(calls: list[Any], act: Callable[..., Any]) -> Callable[..., Any]:
    def spied(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        return act(*args, **kwargs)

    return spied


def test_a_transaction_that_rolls_back_takes_the_completion_with_it(declare: Any, drain: Any):
    @declare(max_attempts=2, backoff=0)
    def pay(ctx: TaskContext) -> None:
        with transaction.atomic():
            Note.objects.create(text=f"paid {ctx.attempt}")
            ctx.complete_in_transaction(ctx.attempt)
            if ctx.attempt == 1:
                raise ValueError("no")

    run = pay.trigger()
    drain()
    assert notes() == ["paid 2"]
    assert (run.refresh().status, run.result, run.attempt) == ("completed", 2, 2)
    assert story(run.id) == ["triggered", "started", "retrying", "started", "completed"]


def test_a_rollback_that_nobody_hears_of_leaves_the_end_to_what_the_body_returns(declare: Any, drain: Any):
    @declare
    def pay(ctx: TaskContext) -> str:
        with transaction.atomic():
            Note.objects.create(text="paid")
            ctx.complete_in_transaction("in the transaction")
            transaction.set_rollback(True)
        return "afterwards"

    run = pay.trigger()
    drain()
    assert notes() == []
    assert run.refresh().result == "afterwards"


def test_a_body_that_raises_after_the_commit_has_completed(declare: Any, drain: Any, caplog: Any):
    @declare
    def pay(ctx: TaskContext) -> None:
        with transaction.atomic():
            Note.objects.create(text="paid")
            ctx.complete_in_transaction(1)
        raise SystemExit

    run = pay.trigger()
    drain()
    assert (run.refresh().status, run.result, notes()) == ("completed", 1, ["paid"])
    assert "a body failed after it had completed its run" in caplog.messages


def test_a_run_that_is_no_longer_ours_undoes_the_writes(declare: Any, drain: Any):
    raised = []

    @declare
    def pay(ctx: TaskContext) -> None:
        Claim.objects.filter(run_id=ctx.run_id).delete()  # as a reaper takes it
        with transaction.atomic():
            Note.objects.create(text="paid")
            try:
                ctx.complete_in_transaction()
            except LeaseLost as error:  # swallowed, and the writes are undone all the same
                raised.append(error)

    run = pay.trigger()
    drain()
    assert len(raised) == 1
    assert notes() == []
    assert run.refresh().status == "running"
    assert story(run.id) == ["triggered", "started", "late_result_discarded"]


def test_what_cannot_be_is_said(declare: Any, drain: Any):
    said = []

    def told(act: Callable[[], None]) -> None:
        try:
            with transaction.atomic():
                act()
        except (transaction.TransactionManagementError, ResultInvalid) as error:
            said.append(str(error))

    @declare
    def pay(ctx: TaskContext) -> str:
        with pytest.raises(
            transaction.TransactionManagementError, match=r"transaction.atomic\(using='default'\)"
        ):
            ctx.complete_in_transaction()
        told(lambda: ctx.complete_in_transaction(object()))
        with transaction.atomic():
            ctx.complete_in_transaction("once")
            told(ctx.complete_in_transaction)
        told(ctx.complete_in_transaction)
        return "twice"

    run = pay.trigger()
    drain()
    assert ["JSON" in said[0], *("called before" in text for text in said[1:])] == [True] * 3
    assert run.refresh().result == "once"


def test_a_commit_without_an_answer_is_looked_up(declare: Any, drain: Any):
    """The transaction stands, and the body was told that it failed: what it raised is not what became of the run."""
    hooked = []

    @declare(
        on_success=lambda ctx, result: hooked.append(result), on_retry=lambda ctx, error: hooked.append(error)
    )
    def pay(ctx: TaskContext) -> None:
        with transaction.atomic():
            Note.objects.create(text="paid")
            ctx.complete_in_transaction(7)
            connection.run_on_commit.clear()  # as if the commit had never returned
        raise OperationalError("server closed the connection unexpectedly")

    run = pay.trigger()
    drain()
    assert (run.refresh().status, run.result, notes()) == ("completed", 7, ["paid"])
    assert story(run.id) == ["triggered", "started", "completed"]
    assert hooked == [7]


def test_it_works_from_async_bodies_in_a_thread(declare: Any, drain: Any):
    @declare
    async def pay(ctx: TaskContext) -> str:
        def write() -> None:
            with transaction.atomic():
                Note.objects.create(text="paid")
                ctx.complete_in_transaction("there")

        await asyncio.sleep(0)
        await sync_to_async(write)()
        return "here"

    run = pay.trigger()
    drain()
    assert (run.refresh().result, notes()) == ("there", ["paid"])


@pytest.mark.usefixtures("isolated_tasks")
def test_it_works_in_a_child(drain: Any):
    run = isolated.pay.trigger()
    drain(slots=1)
    assert (run.refresh().status, run.result, notes()) == ("completed", "there", ["paid"])
    assert story(run.id) == ["triggered", "started", "completed"]


def test_it_completes_nothing_where_there_is_no_run(declare: Any):
    @declare
    def pay(ctx: TaskContext) -> str:
        with transaction.atomic():
            ctx.complete_in_transaction()
        return "called"

    assert pay.call() == "called"
