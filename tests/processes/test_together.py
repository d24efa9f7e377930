"""What is built apart holds together: flows with limits, keys, completions of one's own, and schedules."""

from __future__ import annotations

import time
from collections import Counter
from threading import Lock
from typing import Any

import pytest
from django.db import transaction

from openqueue import Flow, FlowInvalid, TaskContext, enqueue_flow, group
from openqueue.control import runs
from openqueue.control.actor import Actor
from openqueue.core import cancellation, permits, post_commit
from openqueue.models import DedupeKey, Outbox, Run
from tests.store.fleet import story

pytestmark = pytest.mark.django_db(transaction=True)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Most:
    """Counts who is inside at one time, by key."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.inside: Counter[Any] = Counter()
        self.most: Counter[Any] = Counter()

    def visit(self, key: Any) -> None:
        with self.lock:
            self.inside[key] += 1
            self.most[key] = max(self.most[key], self.inside[key])
        time.sleep(0.05)  # a body that takes its time
        with self.lock:
            self.inside[key] -= 1


@pytest.mark.parametrize("first", [True, False], ids=["at once", "let go"])
def test_nodes_keep_the_limits_of_their_tasks(declare: Any, drain: Any, first: bool):
    seen = Most()

    @declare(max_concurrency=2)
    def visit(n: int) -> None:
        seen.visit("all")

    @declare
    def open_the_door() -> None:
        pass

    flow = Flow("crowd")
    door = [] if first else [flow.add(open_the_door.bind())]
    for n in range(8):
        flow.add(visit.bind(n), after=door)
    handle = enqueue_flow(flow)
    drain()
    assert handle.refresh().status == "completed"
    assert seen.most["all"] == 2


def test_a_node_that_is_let_go_into_a_line_waits_for_its_turn(declare: Any):
    @declare(ordering_key="account:{account}")
    def book(account: int) -> None:
        pass

    before = book.trigger(account=7)
    handle = enqueue_flow(group([book.bind(8)], then=book.bind(7)))
    first, last = handle.nodes.values()
    assert not Outbox.objects.filter(pk=last.id).exists()
    assert set(Outbox.objects.values_list("run_id", "ordering_key")) == {
        (before.id, "account:7"), (first.id, "account:8"),
    }  # fmt: skip


def test_the_last_of_a_line_ends_a_flow(declare: Any, drain: Any):
    booked = []

    @declare(ordering_key="account:{account}")
    def book(account: int, n: int) -> None:
        booked.append(n)

    before = [book.trigger(account=7, n=n) for n in range(3)]
    handle = enqueue_flow(group([book.bind(7, 3), book.bind(7, 4)], then=book.bind(7, 5)))
    drain()
    assert handle.refresh().status == "completed"
    assert booked == [0, 1, 2, 3, 4, 5]
    assert all(run.refresh().status == "completed" for run in before)


def test_a_node_has_no_key_of_its_own(declare: Any):
    @declare(dedupe_key="one")
    def keyed() -> None:
        pass

    flow = Flow("keys")
    for call in (keyed, keyed.bind(), keyed.using(debounce=5).bind()):
        with pytest.raises(FlowInvalid, match=r"Node 'keyed.*using\(dedupe_key=None\)"):
            flow.add(call)
    flow.add(keyed.using(dedupe_key=None).bind())
    enqueue_flow(flow)
    assert not DedupeKey.objects.exists()


def test_a_parent_that_completes_itself_lets_its_child_go_with_its_own_writes(declare: Any, drain: Any):
    seen = []

    @declare
    def pay(ctx: TaskContext) -> None:
        child = ctx.flow.handle.nodes["ship"].id
        with transaction.atomic():
            ctx.complete_in_transaction(result="paid")
            seen.append(Run.objects.get(pk=child).status)
            transaction.set_rollback(len(seen) == 1)
        seen.append(Run.objects.get(pk=child).status)

    @declare
    def ship(ctx: TaskContext) -> str:
        return f"shipped, {ctx.flow.result('pay')}"

    flow = Flow("order")
    flow.add(ship.bind(), name="ship", after=[flow.add(pay.using(backoff=0).bind(), name="pay")])
    handle = enqueue_flow(flow)
    drain()
    assert seen[0] == "queued"
    assert seen[1] == "waiting", "what the rolled back transaction let go is not gone"
    assert handle.refresh().status == "completed"
    assert story(handle.nodes["ship"].id)[:2] == ["triggered", "unblocked"]


def test_a_scheduled_run_waits_in_the_line_of_its_key_and_takes_no_other_key(declare: Any, drain: Any):
    ran = []

    @declare(ordering_key="report", dedupe_key="report")
    def report(n: int = 0) -> None:
        ran.append(n)

    schedule = report.schedules.create(every=3600, key="hourly", payload={"n": 1})
    schedule.trigger_now()
    drain()
    assert ran == [1]
    assert not DedupeKey.objects.exists()
    assert Run.objects.get(schedule_id=schedule.row.pk).ordering_key == "report"


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Any]]:
    """What the publisher of this process is handed: messages, and limits to look at."""
    handed: dict[str, list[Any]] = {"messages": [], "limits": []}
    monkeypatch.setattr(post_commit, "put", lambda alias, messages: handed["messages"].extend(messages))
    monkeypatch.setattr(post_commit, "look", lambda limits: handed["limits"].extend(limits))
    return handed


@pytest.mark.parametrize("door", ["flow", "run"])
def test_a_retried_node_of_a_line_is_let_through_and_not_announced(declare: Any, told: Any, door: str):
    @declare(ordering_key="account:{account}")
    def book(account: int) -> None:
        pass

    @declare
    def free() -> None:
        pass

    flow = Flow("books")
    booked, loose = flow.add(book.bind(7)), flow.add(free.bind())
    handle = enqueue_flow(flow)
    nodes = handle.nodes
    cancellation.cancel([node.id for node in nodes.values()], actor="ada")
    Run.objects.filter(pk=nodes[loose.name].id).update(traceparent=TRACE)
    told["messages"].clear()
    told["limits"].clear()
    if door == "flow":
        assert handle.retry() == 2
    else:
        runs.retry([node.id for node in nodes.values()], actor=Actor(name="ada"))
    (message,) = told["messages"]
    assert (message.run_id, message.traceparent) == (nodes[loose.name].id, TRACE)
    assert told["limits"] == ["order:account:7"]
    assert Outbox.objects.get(pk=nodes[booked.name].id).waits_for == "order:account:7"


def test_who_is_let_through_carries_the_trace_of_its_trigger(declare: Any, told: Any):
    @declare(max_concurrency=1)
    def one() -> None:
        pass

    run = one.trigger()
    Run.objects.filter(pk=run.id).update(traceparent=TRACE)
    ((_, (message,)),) = permits.messages(permits.admit(told["limits"]))
    assert (message.run_id, message.traceparent) == (run.id, TRACE)
