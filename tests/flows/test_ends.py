"""Ends of nodes other than by a body, operators' retries, retention; what it costs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from openqueue import Flow as Graph
from openqueue import chain, enqueue_flow, group
from openqueue.control import flows as control
from openqueue.control import runs
from openqueue.control.actor import Actor
from openqueue.core import cancellation, consequences, flow_acts, flows, transitions
from openqueue.errors import UnclearFlow
from openqueue.models import AuditLog, Flow, FlowEdge, FlowNode, Outbox, Run, RunEvent
from openqueue.processes.sweeps.flows import Flows
from openqueue.states import Status
from openqueue.store import flows as rows
from openqueue.store import store
from tests.flows.running import Begin, Running
from tests.store import fleet
from tests.store.fleet import LEASE, FakeWorker, completes, fails

pytestmark = pytest.mark.django_db(transaction=True)
ADA = Actor(name="ada")
CHAIN = {"a": [], "b": ["a"], "c": ["b"]}


def expire(flow: Running) -> None:
    transitions.expire(limit=10, now=flow.worker.clock.pass_(60))


def cancel(flow: Running) -> None:
    cancellation.cancel([flow.handle.nodes["a"].id], actor="ada", now=flow.worker.clock.now)


def lose(flow: Running) -> None:
    flow.claim()
    held = flow.held["a"]
    lost = transitions.lost(held.run_id, held.token, crash_count=2, max_crashes=3, worker_id=held.worker_id)
    transitions.settle([lost], now=flow.worker.clock.now)


def refuse(flow: Running) -> None:
    a = flow.handle.nodes["a"].id
    transitions.refuse([(a, 1)], reason=fleet.Reason.UNKNOWN_TASK, message="no", now=flow.worker.clock.now)


ENDS = [
    pytest.param(expire, "expired", id="expired"),
    pytest.param(cancel, "cancelled", id="cancelled"),
    pytest.param(lose, "failed", id="worker lost"),
    pytest.param(refuse, "failed", id="refused"),
]


@pytest.mark.parametrize(("end", "status"), ENDS)
def test_whatever_ends_a_parent_its_children_hear_of_it(begin: Begin, end: Any, status: str):
    for policy, b, c, ended in (
        ("fail", "failed", "failed", "failed"),
        ("continue", "queued", "waiting", "running"),
        ("block", "waiting", "waiting", "blocked"),
    ):
        flow = begin(CHAIN, on_failure=policy, using={"ttl": 30})
        end(flow)
        assert flow.statuses == {"a": status, "b": b, "c": c}
        assert flow.row.status == ended


def test_a_zombie_lets_nobody_go(begin: Begin):
    flow = begin(CHAIN)
    flow.claim()
    zombie = flow.held.pop("a")
    lose_ = transitions.lost(
        zombie.run_id, zombie.token, crash_count=2, max_crashes=3, worker_id=zombie.worker_id
    )
    transitions.settle([lose_], now=flow.worker.clock.now)
    assert flow.worker.settle(completes(zombie)) == []
    assert flow.statuses == {"a": "failed", "b": "failed", "c": "failed"}
    assert not Outbox.objects.exists()


def test_a_waiting_node_is_cancelled_like_any_run(begin: Begin):
    flow = begin(CHAIN)
    assert flow.handle.nodes["b"].cancel(actor="ada") == "cancelled"
    assert flow.statuses == {"a": "queued", "b": "cancelled", "c": "failed"}
    assert RunEvent.objects.get(run_id=flow.handle.nodes["b"].id, kind="cancelled").actor == "ada"
    flow.end("a")
    assert flow.row.status == "failed"


def test_an_operators_retry_of_one_node_puts_its_flow_on_its_way_again(begin: Begin):
    flow = begin(CHAIN)
    flow.end("a", how=fails)
    assert flow.row.status == "failed"
    assert runs.retry([flow.handle.nodes["a"].id], actor=ADA) == {flow.handle.nodes["a"].id: "requeued"}
    assert flow.statuses == {"a": "queued", "b": "waiting", "c": "waiting"}
    assert (flow.row.status, flow.row.waiting, flow.row.active) == ("running", 2, 1)
    flow.worker.clock.now = store().clock(None)
    for name in "abc":
        flow.end(name)
    assert flow.row.status == "completed"


def test_a_child_that_another_failure_keeps_failed_stays_so(begin: Begin):
    flow = begin({"a": [], "b": [], "join": ["a", "b"]})
    flow.end("a", "b", how=fails)
    runs.retry([flow.handle.nodes["a"].id], actor=ADA)
    assert flow.statuses == {"a": "queued", "b": "failed", "join": "failed"}
    assert flow.handle.retry() == 2
    assert flow.statuses == {"a": "queued", "b": "queued", "join": "waiting"}


def test_a_flow_goes_as_a_whole_and_only_when_it_is_over(begin: Begin):
    flow, done = begin(CHAIN), begin({"x": []})
    flow.end("a")
    done.end("x")
    later = flow.worker.clock.pass_(10_000)
    assert store().prune(Status.COMPLETED, before=later, limit=100) == 1
    assert set(flow.statuses) == {"a", "b", "c"}
    assert not Flow.objects.filter(pk=done.handle.id).exists()
    for name in "bc":
        flow.end(name)
    assert store().prune(Status.COMPLETED, before=later + timedelta(seconds=1), limit=100) == 3
    assert not any(model.objects.exists() for model in (Run, RunEvent, Flow, FlowNode, FlowEdge))


def test_the_sweep_mends_what_was_lost_and_says_nothing_of_what_is_well(begin: Begin):
    flow, well = begin(CHAIN), begin(CHAIN)
    flow.end("a")
    FlowNode.objects.filter(name="a").update(outcome=None)
    FlowNode.objects.filter(flow_id=flow.handle.id, name="c").update(remaining=0)
    sweep = Flows()
    assert sweep.step(flow.worker.clock.now) >= 1
    assert sweep.step(flow.worker.clock.pass_(120)) == 0
    assert Flow.objects.filter(checked_at=flow.worker.clock.now).count() == 2
    assert (well.row.waiting, well.row.active) == (2, 1)


def test_a_node_that_was_counted_free_and_not_let_go_is_found_at_once(begin: Begin):
    flow = begin(CHAIN)
    flow.end("a")
    b = flow.handle.nodes["b"].id
    Outbox.objects.filter(pk=b).delete()
    Run.objects.filter(pk=b).update(status="waiting")
    FlowNode.objects.filter(pk=b).update(waiting=True, remaining=0)
    assert Flows().step(flow.worker.clock.now) == 1
    assert flow.statuses == {"a": "completed", "b": "queued", "c": "waiting"}


def test_a_node_whose_run_was_deleted_keeps_nobody_waiting(begin: Begin):
    flow = begin(CHAIN)
    a = flow.handle.nodes["a"].id
    Outbox.objects.filter(pk=a).delete()
    Run.objects.filter(pk=a).delete()
    assert flow_acts.mend(flow.handle.id, now=flow.worker.clock.now) >= 1
    assert flow.row.status == "failed"


def test_operators_list_look_cancel_and_retry(begin: Begin):
    made = [begin(CHAIN) for _ in range(3)]
    page = control.find(limit=2)
    assert [flow.id for flow in page.flows] == [made[2].handle.id, made[1].handle.id]
    assert [flow.id for flow in control.find(limit=2, after=page.next).flows] == [made[0].handle.id]
    flow = begin({"a": [], "b": [], "c": ["a", "b"]}, on_failure="block")
    flow.end("a", how=fails)
    detail = control.show(flow.handle.id)
    node = detail.nodes[2]
    assert (node.name, node.status, node.after) == ("c", "waiting", ["a", "b"])
    assert (node.waits_for, node.blocked_by) == (["a", "b"], ["a"])
    assert control.retry(flow.handle.id, actor=ADA, reason="mended") == 1
    assert control.cancel(flow.handle.id, actor=ADA) in {"cancelled", "requested"}
    acts = AuditLog.objects.order_by("pk").values_list("act", "actor", "reason")
    assert list(acts) == [("flow.retry", "ada", "mended"), ("flow.cancel", "ada", "")]
    with pytest.raises(UnclearFlow):
        control.show(flow.worker.id)


@pytest.mark.parametrize("count", [2, 40])
def test_a_batch_of_ends_costs_the_same_whatever_its_size(task: Any, worker: FakeWorker, count: int):
    flow = Running(enqueue_flow(group([task.bind() for _ in range(count)], then=task.bind())), worker)
    flow.claim()
    with CaptureQueriesContext(connection) as context:
        flow.end(*list(flow.held))
    assert flow.statuses["anything-" + str(count + 1)] == "queued"
    sent = [q["sql"] for q in context.captured_queries]
    # Two thirds are the settle itself, and on SQLite the inserts of the release by parts.
    assert len(sent) <= 26, "\n".join(sql[:120] for sql in sent)


def test_expiry_of_a_lease_is_no_end_of_a_flow(begin: Begin):
    flow = begin(CHAIN)
    flow.claim()
    held = flow.held.pop("a")
    flow.worker.clock.pass_(2 * LEASE.total_seconds())
    again = transitions.lost(held.run_id, held.token, crash_count=0, max_crashes=3, worker_id=held.worker_id)
    transitions.settle([again], now=flow.worker.clock.now)
    assert flow.statuses == {"a": "queued", "b": "waiting", "c": "waiting"}


def test_a_failure_goes_down_a_deep_chain_by_one_question_a_level(task: Any, worker: FakeWorker):
    flow = Running(enqueue_flow(chain(*[task.bind() for _ in range(300)])), worker)
    flow.claim()
    with CaptureQueriesContext(connection) as context:
        flow.end("anything", how=fails)
    assert set(flow.statuses.values()) == {"failed"}
    assert "anything-299 ended failed" in flow.handle.nodes["anything-300"].row.error["message"]
    assert len(context.captured_queries) <= 300 + 40


def test_a_node_is_let_go_once_however_often_it_is_asked_for(begin: Begin):
    flow = begin(CHAIN)
    child = flow.handle.nodes["b"].id
    now = flow.worker.clock.now
    first, second = (
        rows.release(store(), [child, child], moment=now, head_start=lambda _: 0.0) for _ in "12"
    )
    assert ([freed.run_id for freed in first], second) == ([child], [])
    assert Outbox.objects.filter(pk=child).count() == 1


def test_a_flow_that_has_ended_does_not_end_again(task: Any, worker: FakeWorker):
    flow = Graph("told")
    flow.add(task.bind(), name="only")
    flow.when_completed(task.bind())
    handle = enqueue_flow(flow)
    worker.settle(*map(completes, worker.claim()))
    row = handle.refresh().row
    before = Run.objects.count()
    flows.keep(row, moment=worker.clock.now, now=worker.clock.now)
    assert row.status == "completed"
    assert Run.objects.count() == before == 2


def test_every_failure_down_a_chain_is_told_to_whom_it_may_concern(begin: Begin, monkeypatch: Any):
    heard: list[Any] = []
    told = [*consequences.CONSEQUENCES, lambda ended, now: heard.extend(ended)]
    monkeypatch.setattr(consequences, "CONSEQUENCES", told)
    flow = begin(CHAIN)
    flow.end("a", how=fails)
    assert sorted(heard) == sorted(run.id for run in flow.handle.nodes.values())
