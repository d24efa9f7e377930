"""Nodes of one flow that end at the same moment, in transactions of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.db import connection, connections, transaction

from openqueue import Flow, enqueue_flow, group, registry
from openqueue.core import flow_acts, transitions
from openqueue.declaration import Task
from openqueue.models import Flow as FlowRow
from openqueue.models import FlowNode, Outbox, RunEvent
from openqueue.store import store
from tests.store import fleet
from tests.store.fleet import Clock, FakeWorker, completes, fails

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.each_database]
TIMES = 40 if connection.vendor == "sqlite" else 150


@pytest.fixture
def task() -> Any:
    def anything() -> None: ...

    made: Any = Task(anything, id=fleet.TASK)
    yield made
    registry.remove(made)


@pytest.fixture
def worker() -> FakeWorker:
    clock = Clock()
    clock.now = store().clock(None)
    return FakeWorker(clock)


def together(*acts: Callable[[], Any]) -> None:
    """Do these on threads of their own, as near to one moment as threads come."""
    gate = threading.Barrier(len(acts))
    errors: list[BaseException] = []

    def do(act: Callable[[], Any]) -> None:
        try:
            connection.ensure_connection()
            gate.wait(10)
            act()
        except BaseException as error:  # told below
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=do, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(150)
    assert not any(thread.is_alive() for thread in threads), "not through in time"
    assert errors == []


def settles(*outcomes: Any) -> Callable[[], Any]:
    return lambda: transitions.settle(outcomes)


def claim(worker: FakeWorker) -> list[Any]:
    worker.clock.now = store().clock(None)
    return worker.claim(10_000)


def test_two_parents_that_end_at_once_let_their_child_go_once(task: Any, worker: FakeWorker):
    flows = [enqueue_flow(group([task.bind(), task.bind()], then=task.bind())) for _ in range(TIMES)]
    parents: dict[Any, list[Any]] = {}
    for claimed in claim(worker):
        parents.setdefault(claimed.flow_id, []).append(claimed)
    pairs = list(parents.values())
    left = [settles(completes(pair[0])) for pair in pairs]
    right = [settles(completes(pair[1])) for pair in pairs]
    gate = threading.Barrier(2)

    def all_of(acts: list[Callable[[], Any]]) -> Callable[[], None]:
        def do() -> None:
            for act in acts:
                gate.wait(20)
                act()

        return do

    together(all_of(left), all_of(right))
    children = FlowNode.objects.filter(flow__in=[flow.id for flow in flows], number=2)
    assert not children.filter(waiting=True).exists()
    assert Outbox.objects.filter(run_id__in=children.values("pk")).count() == TIMES
    assert RunEvent.objects.filter(kind="unblocked").count() == TIMES
    assert {(f.waiting, f.active, f.completed) for f in FlowRow.objects.all()} == {(0, 1, 2)}


def test_batches_of_many_flows_that_cross_do_not_hold_each_other_up(task: Any, worker: FakeWorker):
    for _ in range(20):
        enqueue_flow(group([task.bind() for _ in range(4)], then=task.bind()))
    held = claim(worker)
    shares = [held[number::4] for number in range(4)]
    together(
        *(
            settles(*(completes(c) for c in (share if n % 2 else share[::-1])))
            for n, share in enumerate(shares)
        )
    )
    assert {(f.waiting, f.active, f.completed) for f in FlowRow.objects.all()} == {(0, 1, 4)}


def test_a_cancel_that_meets_the_last_parent_leaves_nothing_waiting(task: Any, worker: FakeWorker):
    for _ in range(15):
        flow = enqueue_flow(group([task.bind(), task.bind()], then=task.bind()))
        mine = [c for c in claim(worker) if c.flow_id == flow.id]
        together(settles(*map(completes, mine)), partial(flow_acts.cancel, flow.id, actor="ada"))
        for late in claim(worker):
            transitions.settle([completes(late)])
        row = flow.refresh().row
        assert (row.waiting, row.active, row.is_final) == (0, 0, True), flow.nodes


def test_two_retries_of_one_flow_begin_it_once(task: Any, worker: FakeWorker):
    flow = Flow("twice")
    flow.add(task.bind(), name="a")
    flow.add(task.bind(), name="b", after=["a"])
    handle = enqueue_flow(flow)
    transitions.settle([fails(c) for c in claim(worker)])
    counts: list[int] = []
    together(*[lambda: counts.append(handle.retry())] * 3)
    assert sorted(counts) == [0, 0, 2]
    assert Outbox.objects.count() == 1


@pytest.mark.postgresql
def test_a_flow_that_somebody_holds_locked_keeps_no_other_outcome_waiting(task: Any, worker: FakeWorker):
    flow = enqueue_flow(group([task.bind()], then=task.bind()))
    task.trigger()
    node, plain = sorted(claim(worker), key=lambda claimed: claimed.flow_id is None)
    left: list[Any] = []
    locked, tried = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            FlowRow.objects.select_for_update().get(pk=flow.id)
            locked.set()
            tried.wait(120)

    def settle() -> None:
        locked.wait(10)
        try:
            settled = transitions.settle([completes(node), completes(plain)], left=left)
            assert [one.run_id for one in settled] == [plain.run_id]
        finally:
            tried.set()

    together(hold, settle)
    assert [outcome.run_id for outcome in left] == [node.run_id]
    assert [one.run_id for one in transitions.settle(left)] == [node.run_id]
    assert flow.nodes["anything-2"].status == "queued"
