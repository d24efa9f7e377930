"""One worker, several queues: in order, by weights, by limits of their tasks, on one runtime and on several."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from openqueue import runtimes
from openqueue.core import transitions
from openqueue.errors import UnsupportedCapability
from openqueue.models import Run
from openqueue.processes.worker.worker import Worker
from tests.broker.broker import Broker
from tests.eventually import eventually

pytestmark = pytest.mark.django_db(transaction=True)
Declare = Callable[..., Any]
MEMORY = {"BACKEND": "openqueue.runtimes.memory.MemoryRuntime"}


@pytest.fixture(params=["database", "memory"])
def carried(request: pytest.FixtureRequest, quick: Any) -> Iterator[str]:
    if request.param == "memory":
        quick.OPENQUEUE = {**quick.OPENQUEUE, "RUNTIMES": {"default": MEMORY}}
    yield request.param
    runtimes.close_all()


def announced(carried: str) -> None:
    """Wait until everything that was triggered is where a consumer can find it."""
    if carried == "memory":
        waiting = runtimes.get("default").waiting
        eventually(lambda: sum(map(len, waiting.values())) == Run.objects.count())


def executed(declare: Declare) -> tuple[Any, list[str]]:
    """Return a task that notes the queue of each of its runs, and its notes."""
    order: list[str] = []

    @declare
    def note(queue: str) -> None:
        order.append(queue)

    return note, order


def one_by_one(*queues: str) -> Worker:
    """Return a worker that executes runs in the order in which they are claimed."""
    worker = Worker(queues=queues, slots=1, drain=True)
    worker.ledger.runway = lambda: 0
    return worker


def test_strict_a_queue_gives_only_what_those_before_it_leave(declare: Declare, carried: str):
    note, order = executed(declare)
    note.using(queue="low", priority=90).trigger_many([{"queue": "low"}] * 4)
    note.using(queue="high").trigger_many([{"queue": "high"}] * 4)
    announced(carried)
    worker = one_by_one("high", "low")
    worker.keep_order()
    assert worker.run() == 0
    assert order == ["high"] * 4 + ["low"] * 4


def test_by_weights_each_queue_has_its_share(declare: Declare, carried: str):
    note, order = executed(declare)
    for queue in ("reports", "mail"):
        note.using(queue=queue).trigger_many([{"queue": queue}] * 40)
    announced(carried)
    worker = one_by_one("mail", "reports")
    worker.keep_order(weights={"mail": 3, "reports": 1})
    assert worker.run() == 0
    assert abs(Counter(order[:40])["mail"] - 30) <= 2
    assert Counter(order) == {"mail": 40, "reports": 40}


def test_otherwise_priority_and_due_time_decide_across_the_queues(declare: Declare, carried: str):
    note, order = executed(declare)
    note.using(queue="a").trigger_many([{"queue": "a"}] * 3)
    note.using(queue="b", priority=50).trigger_many([{"queue": "b"}] * 3)
    announced(carried)
    assert one_by_one("a", "b").run() == 0
    assert order == ["b"] * 3 + ["a"] * 3


def test_a_runtime_that_knows_no_order_refuses_one(quick: Any):
    entry = {"BACKEND": "tests.broker.runtime.BrokerRuntime", "OPTIONS": {"port": 1}}
    quick.OPENQUEUE = {**quick.OPENQUEUE, "RUNTIMES": {"default": entry}}
    with pytest.raises(UnsupportedCapability, match="'default' cannot take queues in an order"):
        Worker(queues=["a", "b"]).keep_order()
    runtimes.close_all()


def test_limited_tasks_are_claimed_together_with_the_others_in_one_statement(
    declare: Declare, quick: Any, monkeypatch: pytest.MonkeyPatch
):
    claims: list[Counter[str]] = []
    claim_due = transitions.claim_due

    def watched(*args: Any, **options: Any) -> Any:
        result = claim_due(*args, **options)
        claims.append(Counter(attempt.task_id for attempt in result.claimed))
        return result

    monkeypatch.setattr(transitions, "claim_due", watched)
    gate = threading.Event()
    names = ["one", "two", "three"]

    for name in names:

        def body() -> None:
            gate.wait(10)

        body.__name__ = name
        declare(body, concurrency=2).trigger_many([{}] * 3)

    @declare
    def free() -> None:
        gate.set()

    free.trigger_many([{}] * 3)
    assert Worker(queues=["default"], slots=20, drain=True).run() == 0
    assert claims[0] == {"test.one": 2, "test.two": 2, "test.three": 2, "test.free": 3}
    assert Run.objects.filter(status="completed").count() == 12


def test_with_one_runtime_down_the_others_go_on_and_it_is_served_when_it_is_back(
    declare: Declare, serving: Any, quick: Any
):
    broker = Broker()
    with broker:
        port = broker.port
    down = {"BACKEND": "tests.broker.runtime.BrokerRuntime", "OPTIONS": {"port": port}}
    database = {"BACKEND": "openqueue.runtimes.database.DatabaseRuntime"}
    quick.OPENQUEUE = {
        **quick.OPENQUEUE,
        "REPUBLISH_AFTER": 1,
        "RUNTIMES": {"default": database, "memory": MEMORY, "broker": down},
        "QUEUES": {"on-memory": {"runtime": "memory"}, "on-broker": {"runtime": "broker"}},
    }
    queues = ["default", "on-memory", "on-broker"]

    @declare
    def nothing() -> None: ...

    runs = {queue: nothing.using(queue=queue).trigger() for queue in queues}
    with serving(queues=queues) as worker:
        assert len(worker.intakes) == 3
        for _ in range(3):
            for queue in ("default", "on-memory"):
                assert nothing.using(queue=queue).trigger().wait(timeout=15) is None
        assert runs["on-broker"].refresh().status == "queued"
        with broker:
            eventually(lambda: runs["on-broker"].refresh().status == "completed", within=30)
    runtimes.close_all()
    assert {run.refresh().status for run in runs.values()} == {"completed"}
