"""Parts that no longer come back from a call: noticed, relieved, and their late answers refused."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from openqueue import runtimes
from openqueue.models import Claim, RunEvent, Worker
from openqueue.processes.worker import intake, watchdog
from openqueue.processes.worker.watchdog import MOST_ABANDONED, Part, Watchdog
from openqueue.runtimes.memory import MemoryConsumer, MemoryRuntime
from openqueue.store import store
from tests.eventually import eventually

Declare = Callable[..., Any]

pytestmark = pytest.mark.once


class Step:
    """A part that a test has stuck."""

    def __init__(self) -> None:
        self.stuck_for, self.turns = 0.0, 0
        self.relieved = 0

    def relieve(self) -> None:
        self.relieved += 1
        self.stuck_for, self.turns = 0.0, 0


@pytest.fixture
def step() -> Step:
    return Step()


@pytest.fixture
def part(step: Step) -> Part:
    return Part("some", now=lambda: step, relieve=step.relieve, limit=30)


def stick(step: Step, part: Part, seconds: float) -> int:
    step.stuck_for = seconds
    Watchdog([part]).look()
    return step.relieved


def test_a_part_in_a_step_that_takes_its_time_is_left_alone(step: Step, part: Part):
    assert stick(step, part, 29) == 0
    assert not part.look()


def test_each_relief_in_a_row_has_twice_the_time(step: Step, part: Part):
    assert [stick(step, part, seconds) for seconds in (31, 59, 61, 119, 121)] == [1, 1, 2, 2, 3]


def test_after_three_reliefs_that_did_not_help_only_a_new_process_can(step: Step, part: Part):
    dog = Watchdog([part])
    for seconds in (31, 61, 121):
        stick(step, part, seconds)
        assert not dog.is_helpless
    stick(step, part, 241)
    assert dog.is_helpless


def test_a_step_that_comes_back_ends_the_row(step: Step, part: Part):
    dog = Watchdog([part])
    stick(step, part, 31)
    dog.look()
    assert dog.stalled == ["some"]
    step.turns = 1
    dog.look()
    assert dog.stalled == []
    assert stick(step, part, 31) == 2


def test_no_more_than_so_many_threads_are_left_behind(step: Step, part: Part):
    dog = Watchdog([part])
    for _ in range(MOST_ABANDONED + 5):
        step.turns += 1
        stick(step, part, 31)
    assert step.relieved == MOST_ABANDONED
    assert dog.is_helpless


# --- in a worker ------------------------------------------------------------------------------------------------


class HangingConsumer(MemoryConsumer):
    """Receives, and then hangs where a broken client would."""

    def receive(self, **options: Any) -> Any:
        received = super().receive(**options)
        if received and self.runtime.hangs > 0:
            self.runtime.hangs -= 1
            self.runtime.hung.set()
            self.runtime.free.wait(60)
        return received


class HangingRuntime(MemoryRuntime):
    """Its first `hangs` consumers that receive something never come back with it."""

    def __init__(self, alias: str, *, hangs: int = 1) -> None:
        super().__init__(alias, in_flight=0.5)
        self.hangs = hangs
        self.hung, self.free = threading.Event(), threading.Event()

    def consumer(self, queues: Any, *, prefetch: int) -> HangingConsumer:
        return HangingConsumer(self, queues)


@pytest.fixture
def hanging(quick: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The runtime of the default queue; parts are stuck after half a second."""
    entry = {"BACKEND": "tests.processes.test_watchdog.HangingRuntime"}
    quick.OPENQUEUE = {**quick.OPENQUEUE, "REPUBLISH_AFTER": 1, "RUNTIMES": {"default": entry}}
    monkeypatch.setattr(watchdog, "limit", lambda lease: 0.5)
    monkeypatch.setattr(intake, "WAIT", 0.05)
    runtime = runtimes.get("default")
    yield runtime
    runtime.free.set()
    runtimes.close_all()


@pytest.mark.django_db(transaction=True)
def test_a_consumer_that_hangs_for_ever_is_replaced_and_its_messages_come_again(
    hanging: Any, declare: Declare, serving: Any
):
    @declare
    def nothing() -> None: ...

    with serving() as worker:
        run = nothing.trigger()
        assert hanging.hung.wait(10)
        eventually(lambda: run.refresh().status == "completed")
        assert run.row.attempt == 1
        eventually(lambda: not worker.watchdog.stalled)
        first = [thread for thread in threading.enumerate() if getattr(thread, "abandoned", False)]
        assert len(first) == 1
        hanging.free.set()  # the first comes back after all, with a message that another has executed
        eventually(lambda: not first[0].is_alive())
        assert nothing.trigger().wait(timeout=10) is None
    assert worker.code == 0
    assert not Claim.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_worker_whose_consumers_all_hang_asks_to_be_replaced(
    hanging: Any, declare: Declare, serving: Any, caplog: pytest.LogCaptureFixture
):
    @declare
    def nothing() -> None: ...

    hanging.hangs = 99
    with serving() as worker:
        nothing.trigger()
        assert worker.over.wait(30)
    assert worker.code == 75
    taken_over = [r for r in caplog.records if "another thread takes over" in r.message]
    assert [r.part for r in taken_over].count("intake-default") == watchdog.RELIEFS + 1


@pytest.mark.django_db(transaction=True)
def test_a_claim_that_is_answered_after_its_intake_was_replaced_goes_back_uncharged(
    declare: Declare, serving: Any, monkeypatch: pytest.MonkeyPatch
):
    hung, free = threading.Event(), threading.Event()
    kind = type(store())
    claim_due = kind.claim_due

    def slow(self: Any, *args: Any, **options: Any) -> Any:
        result = claim_due(self, *args, **options)
        if result.claimed and not hung.is_set():
            hung.set()
            free.wait(30)
        return result

    monkeypatch.setattr(kind, "claim_due", slow)
    monkeypatch.setattr(watchdog, "limit", lambda lease: 0.5)
    monkeypatch.setattr(intake, "WAIT", 0.05)

    @declare
    def nothing() -> None: ...

    run = nothing.trigger()
    with serving() as worker:
        assert hung.wait(10)
        eventually(lambda: run.refresh().status == "completed")
        free.set()
        old = [thread for thread in threading.enumerate() if getattr(thread, "abandoned", False)]
        eventually(lambda: not any(thread.is_alive() for thread in old))
    assert worker.code == 0
    kinds = [event.kind for event in RunEvent.objects.filter(run_id=run.id).order_by("id")]
    assert kinds == ["triggered", "started", "released", "started", "completed"]
    assert run.row.attempt == 1


@pytest.mark.django_db(transaction=True)
def test_a_recorder_that_gets_no_answer_is_relieved_and_each_outcome_counts_once(
    declare: Declare, serving: Any, monkeypatch: pytest.MonkeyPatch
):
    hung, free = threading.Event(), threading.Event()
    told: list[Any] = []
    kind = type(store())
    settle = kind.settle

    def slow(self: Any, *args: Any, **options: Any) -> Any:
        first = not hung.is_set()
        hung.set()
        if first:
            free.wait(30)
        return settle(self, *args, **options)

    monkeypatch.setattr(kind, "settle", slow)
    monkeypatch.setattr(watchdog, "limit", lambda lease: 0.5)
    monkeypatch.setattr(intake, "WAIT", 0.05)

    @declare(on_success=lambda ctx, result: told.append(result))
    def one() -> int:
        return 1

    run = one.trigger()
    with serving() as worker:
        assert hung.wait(10)
        eventually(lambda: run.refresh().status == "completed")
        free.set()
        eventually(lambda: told)
        assert one.trigger().wait(timeout=10) == 1
        eventually(lambda: worker.ledger.empty)
    assert worker.code == 0
    assert told == [1, 1]
    assert worker.ledger.unsettled == 0
    assert Worker.objects.count() == 1
