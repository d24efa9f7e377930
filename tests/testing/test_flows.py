"""The testing kit runs flows, and what bodies see of them; named steps."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from django.db import transaction

from openqueue import (
    Flow,
    FlowInvalid,
    LeaseLost,
    NotInFlow,
    ResultInvalid,
    StepRepeated,
    TaskContext,
    TaskFailed,
    chain,
    enqueue_flow,
    fixed,
    group,
)
from openqueue.control import runs
from openqueue.control.actor import Actor
from openqueue.models import Claim, Run, RunEvent
from openqueue.models import Flow as FlowRow

pytestmark = pytest.mark.django_db
AT_ONCE = fixed(0)


@pytest.fixture
def tasks(declare: Any) -> Any:
    @declare
    def number(n: int) -> int:
        return n

    @declare(max_attempts=1)
    def fail() -> None:
        raise ValueError("no")

    @declare
    def total(ctx: TaskContext) -> dict[str, Any]:
        flow = ctx.flow
        return {"sum": sum(flow.results.values()), "failed": flow.failed, "names": list(flow.results)}

    @declare
    def ended(ctx: TaskContext, word: str) -> str:
        return f"{word}: {ctx.flow.handle.status}"

    return SimpleNamespace(number=number, fail=fail, total=total, ended=ended)


def test_a_join_reads_the_results_of_those_before_it(tasks, queued_runs):
    flow = enqueue_flow(group([tasks.number.bind(n) for n in (1, 2, 3)], then=tasks.total.bind()))
    queued_runs.run_all()
    said = flow.nodes["total"].result
    assert said == {"sum": 6, "failed": {}, "names": ["number", "number-2", "number-3"]}
    assert flow.refresh().status == "completed"


def test_a_chain_hands_a_result_on(declare, tasks, queued_runs):
    @declare
    def double(ctx: TaskContext, of: str) -> int:
        assert ctx.flow.name == "double"
        assert ctx.flow.results[of] == ctx.flow.result(of)
        return 2 * ctx.flow.result(of)

    flow = enqueue_flow(chain(tasks.number.bind(21), double.bind("number")))
    queued_runs.run_all()
    assert flow.nodes["double"].result == 42


def test_a_join_that_continues_sees_what_failed(tasks, queued_runs):
    flow = enqueue_flow(
        group([tasks.number.bind(1), tasks.fail.bind()], then=tasks.total.bind(), on_failure="continue")
    )
    queued_runs.run_all(raises=False)
    assert flow.nodes["total"].result == {"sum": 1, "failed": {"fail": "failed"}, "names": ["number"]}


def test_a_result_that_is_not_there_says_why(declare, tasks, queued_runs):
    seen = []

    @declare
    def look(ctx: TaskContext) -> None:
        for name in ("fail", "nobody"):
            try:
                ctx.flow.result(name)
            except (TaskFailed, KeyError) as error:
                seen.append(type(error))

    enqueue_flow(chain(tasks.fail.bind(), look.bind(), on_failure="continue"))
    queued_runs.run_all(raises=False)
    assert seen == [TaskFailed, KeyError]


def test_a_run_outside_of_a_flow_has_none(declare, queued_runs):
    @declare(max_attempts=1)
    def alone(ctx: TaskContext) -> None:
        _ = ctx.flow

    alone.trigger()
    with pytest.raises(NotInFlow):
        queued_runs.run_all()


@pytest.mark.parametrize(
    ("first", "said"),
    [("number", ["ended: completed", "well: completed"]), ("fail", ["badly: failed", "ended: failed"])],
)
def test_callbacks_become_runs_by_how_the_flow_ended(tasks, queued_runs, first, said):
    flow = chain(tasks.number.bind(1) if first == "number" else tasks.fail.bind(), tasks.number.bind(2))
    flow.when_completed(tasks.ended.bind("well")).when_failed(tasks.ended.bind("badly"))
    flow.when_ended(tasks.ended.bind("ended"))
    enqueue_flow(flow)
    queued_runs.run_all(raises=False)
    assert sorted(run.result for run in queued_runs.of(tasks.ended)) == said


def test_a_running_node_adds_others_and_the_join_waits_for_them(declare, tasks, queued_runs):
    @declare(max_attempts=2, backoff=AT_ONCE)
    def split(ctx: TaskContext) -> int:
        ctx.flow.add(*[tasks.number.bind(n) for n in (1, 2, 3)], before=["total"])
        if ctx.attempt == 1:
            raise ValueError("after it has added them")
        return 0

    flow = enqueue_flow(chain(split.bind(), tasks.total.bind(), name="dynamic"))
    queued_runs.run_all(raises=False)
    nodes = flow.nodes
    assert list(nodes) == ["split", "total", "split/number-1", "split/number-2", "split/number-3"]
    said = nodes["total"].result
    assert (said["sum"], said["names"]) == (6, [name for name in nodes if name != "total"])
    assert FlowRow.objects.get().completed == 5


def test_what_cannot_be_added_is_refused(declare, tasks, queued_runs):
    refused = []

    @declare
    def split(ctx: TaskContext) -> None:
        for wrong in (
            {"name": "total"},
            {"name": "x", "before": ["split"]},
            {"name": "y", "after": ["nobody"]},
            {"name": "z", "after": ["total"], "before": ["total"]},
        ):
            try:
                ctx.flow.add(tasks.number.bind(1), **wrong)
            except FlowInvalid as error:
                refused.append(str(error))

    enqueue_flow(chain(split.bind(), tasks.number.using(delay=60).bind(1)))
    flow = Flow("refused")
    flow.add(split.bind(), name="split")
    flow.add(tasks.number.bind(1), name="total", after=["split"])
    enqueue_flow(flow)
    queued_runs.run_all()
    said = refused[-4:]
    assert "has a node named 'total'" in said[0]
    assert "waits no more" in said[1]
    assert "'nobody', which is no node" in said[2]
    assert "circle: total -> ... -> total -> total" in said[3]


# --- steps ------------------------------------------------------------------------------------------------------


def test_a_later_attempt_goes_on_after_the_steps_that_are_done(declare, queued_runs):
    done: list[str] = []

    @declare(max_attempts=3, backoff=AT_ONCE)
    def long(ctx: TaskContext) -> list[Any]:
        first = ctx.step("first", lambda: done.append("first") or {"a": (1, 2)})
        if ctx.attempt == 1:
            raise ValueError
        second = ctx.step("second", lambda: done.append("second"))
        return [first, second]

    run = long.trigger()
    queued_runs.run_all(raises=False)
    assert done == ["first", "second"]
    assert run.result == [{"a": [1, 2]}, None]
    steps = RunEvent.objects.filter(kind="step").order_by("pk").values_list("attempt", "data")
    assert list(steps) == [
        (1, {"name": "first", "result": {"a": [1, 2]}}),
        (2, {"name": "second", "result": None}),
    ]


def test_an_async_task_has_steps_too(declare, queued_runs):
    done: list[str] = []

    @declare(max_attempts=2, backoff=AT_ONCE)
    async def long(ctx: TaskContext) -> int:
        async def load() -> int:
            done.append("load")
            return 7

        number = await ctx.astep("load", load)
        if ctx.attempt == 1:
            raise ValueError
        return number + await ctx.astep("plain", lambda: 1)

    run = long.trigger()
    queued_runs.run_all(raises=False)
    assert (run.result, done) == (8, ["load"])


def test_the_first_attempt_gets_what_a_later_one_would_read(declare, queued_runs):
    @declare
    def long(ctx: TaskContext) -> bool:
        return ctx.step("pair", lambda: (1, 2)) == [1, 2]

    run = long.trigger()
    queued_runs.run_all()
    assert run.result is True


@pytest.mark.parametrize(
    ("names", "result", "error"),
    [(["a", "a"], 1, StepRepeated), ([""], 1, ValueError), (["a"], object(), ResultInvalid)],
    ids=["repeated", "without a name", "no JSON"],
)
def test_a_wrong_step_is_refused(declare, queued_runs, names, result, error):
    @declare(max_attempts=1)
    def long(ctx: TaskContext) -> None:
        for name in names:
            ctx.step(name, lambda: result)

    long.trigger()
    with pytest.raises(error):
        queued_runs.run_all()


def test_a_step_that_would_record_a_secret_is_refused(declare, queued_runs):
    @declare(max_attempts=1, secret=["token"])
    def long(ctx: TaskContext, token: str) -> None:
        ctx.step("log in", lambda: f"with {token}")

    long.trigger(token="sesame-open")
    with pytest.raises(ResultInvalid, match="holds a secret"):
        queued_runs.run_all()
    assert not RunEvent.objects.filter(kind="step").exists()


def test_a_step_in_a_transaction_that_rolls_back_is_not_recorded(declare, queued_runs):
    @declare(max_attempts=1)
    def long(ctx: TaskContext) -> None:
        with transaction.atomic():
            ctx.step("undone", lambda: 1)
            transaction.set_rollback(True)
        ctx.step("done", lambda: 1)

    long.trigger()
    queued_runs.run_all()
    assert [event.data["name"] for event in RunEvent.objects.filter(kind="step")] == ["done"]


@pytest.mark.parametrize(("ends", "times"), [("failed", 1), ("completed", 2)])
def test_a_retry_of_what_failed_keeps_its_steps_and_one_of_what_completed_begins_afresh(
    declare, queued_runs, ends, times
):
    done = []

    @declare(max_attempts=1)
    def long(ctx: TaskContext) -> None:
        ctx.step("charge", lambda: done.append(1))
        if ends == "failed" and len(Run.objects.get().error or []) == 0 and Run.objects.get().cycle == 1:
            raise ValueError

    run = long.trigger()
    queued_runs.run_all(raises=False)
    assert run.refresh().status == ends
    runs.retry([run.id], actor=Actor(name="ada"))
    queued_runs.run_all()
    assert len(done) == times


def test_a_function_that_is_called_directly_does_its_steps_unrecorded(declare):
    @declare
    def long(ctx: TaskContext) -> int:
        return ctx.step("one", lambda: 1)

    assert long.call() == 1
    assert not RunEvent.objects.exists()


def test_a_step_of_an_attempt_that_counts_no_more_is_not_recorded(declare, queued_runs):
    @declare(max_attempts=1)
    def long(ctx: TaskContext) -> None:
        Claim.objects.all().delete()
        with pytest.raises(LeaseLost):
            ctx.step("late", lambda: 1)
        refused.append(ctx.run_id)

    refused: list[Any] = []
    run = long.trigger()
    queued_runs.run_all()
    assert refused == [run.id]
    assert not RunEvent.objects.filter(kind="step").exists()
