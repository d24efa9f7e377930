"""Flows on each database: who is let go when, and by whose end."""

from __future__ import annotations

import pytest

from openqueue import Flow, enqueue_flow
from openqueue.core import flow_acts
from openqueue.models import FlowNode, Outbox, Run, RunEvent
from tests.flows.running import Running, Shape
from tests.store import fleet
from tests.store.fleet import fails

pytestmark = pytest.mark.django_db(transaction=True)
DIAMOND: Shape = {"validate": [], "charge": ["validate"], "stock": ["validate"], "ship": ["charge", "stock"]}


def test_only_what_waits_for_nobody_is_in_the_outbox(begin):
    flow = begin(DIAMOND)
    assert flow.statuses == {"validate": "queued", "charge": "waiting", "stock": "waiting", "ship": "waiting"}
    assert Outbox.objects.count() == 1
    assert (flow.row.total, flow.row.waiting, flow.row.active) == (4, 3, 1)


def test_a_node_starts_when_all_that_it_waits_for_have_completed(begin):
    flow = begin(DIAMOND)
    assert flow.claim() == {"validate"}
    flow.end("validate")
    assert flow.claim() == {"charge", "stock"}
    flow.end("charge")
    assert flow.claim() == {"stock"}
    flow.end("stock")
    flow.end("ship")
    assert set(flow.statuses.values()) == {"completed"}
    row = flow.row
    assert (row.status, row.completed, row.failed, row.waiting, row.active) == ("completed", 4, 0, 0, 0)
    assert row.finished_at is not None


def test_two_parents_that_end_in_one_batch_let_their_child_go_once(begin):
    flow = begin(DIAMOND)
    flow.end("validate")
    flow.end("charge", "stock")
    ship = flow.handle.nodes["ship"]
    assert fleet.story(ship.id) == ["triggered", "unblocked"]
    place, run = Outbox.objects.get(pk=ship.id), Run.objects.get(pk=ship.id)
    assert (place.seq, place.attempt, run.version) == (2, 1, 2)


def test_what_waits_for_a_failed_node_fails_with_its_name(begin):
    flow = begin(DIAMOND)
    flow.end("validate")
    flow.end("charge", how=fails)
    assert flow.statuses["ship"] == "failed"
    run = Run.objects.get(pk=flow.handle.nodes["ship"].id)
    assert (run.reason, run.error["type"]) == ("dependency_failed", "DependencyFailed")
    assert "charge ended failed" in run.error["message"]
    assert flow.row.status == "running", "the other branch goes on"
    flow.end("stock")
    assert flow.row.status == "failed"


def test_a_failure_goes_down_a_chain(begin):
    flow = begin({"a": [], "b": ["a"], "c": ["b"], "d": ["c"]})
    flow.end("a", how=fails)
    assert set(flow.statuses.values()) == {"failed"}
    assert (flow.row.status, flow.row.failed) == ("failed", 4)


def test_a_node_that_continues_starts_all_the_same(begin):
    flow = begin({"a": [], "b": [], "join": ["a", "b"]}, on_failure="continue")
    flow.end("a", how=fails)
    flow.end("b")
    flow.end("join")
    assert (flow.row.status, flow.row.failed) == ("completed", 1)


def test_a_blocked_node_waits_for_an_operator(begin):
    flow = begin({"a": [], "b": ["a"], "c": ["b"]}, on_failure="block")
    flow.end("a", how=fails)
    assert flow.statuses == {"a": "failed", "b": "waiting", "c": "waiting"}
    assert flow.row.status == "blocked"
    assert FlowNode.objects.get(name="b").blocked == 1
    assert flow.handle.retry() == 1
    for name in "abc":
        flow.end(name)
    assert flow.row.status == "completed"


def test_a_retry_keeps_what_succeeded(begin):
    flow = begin(DIAMOND)
    flow.end("validate")
    flow.end("charge", how=fails)
    flow.end("stock")
    assert flow.handle.retry(actor="ada") == 2
    assert flow.statuses == {
        "validate": "completed",
        "charge": "queued",
        "stock": "completed",
        "ship": "waiting",
    }
    assert (flow.row.status, flow.row.finished_at) == ("running", None)
    flow.end("charge")
    flow.end("ship")
    assert flow.row.status == "completed"
    assert RunEvent.objects.filter(kind="requeued", actor="ada").count() == 2


def test_a_cancel_ends_what_waits_and_asks_what_runs(begin):
    flow = begin({"a": [], "b": [], "c": ["a"]})
    flow.worker.claim(1)
    assert flow.handle.cancel(actor="ada") == "requested"
    assert sorted(flow.statuses.values()) == ["cancelled", "cancelled", "running"]


def test_the_delay_of_a_node_begins_with_its_release(task, worker, clock):
    flow = Flow("delayed")
    flow.add(task.bind(), name="a")
    flow.add(task.using(delay=60, ttl=5).bind(), name="b", after=["a"])
    running = Running(enqueue_flow(flow), worker)
    clock.pass_(1000)
    running.end("a")
    run = Run.objects.get(pk=running.handle.nodes["b"].id)
    assert run.status == "scheduled"
    assert (run.scheduled_for - clock.now).total_seconds() == 60
    assert (run.expires_at - run.scheduled_for).total_seconds() == 5


def test_a_release_that_was_lost_is_mended(begin, clock):
    flow = begin({"a": [], "b": ["a"]})
    flow.end("a")
    b = flow.handle.nodes["b"].id
    Outbox.objects.filter(pk=b).delete()
    Run.objects.filter(pk=b).update(status="waiting")
    FlowNode.objects.filter(pk=b).update(waiting=True, remaining=1)
    assert flow_acts.unfinished(limit=10, now=clock.now) == []
    clock.pass_(120)
    assert flow_acts.unfinished(limit=10, now=clock.now) == [flow.handle.id]
    assert flow_acts.mend(flow.handle.id, now=clock.now)
    flow.end("b")
    assert flow.row.status == "completed"
