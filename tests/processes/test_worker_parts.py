"""The parts of a worker, one at a time: ledger, start gate, heartbeat, intake, recorder, log capture."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import OperationalError

from openqueue import TaskContext, runtimes
from openqueue.core import cancellation, transitions
from openqueue.models import Claim, DeadLetter, Outbox, Run, RunEvent, RunLog
from openqueue.models import Worker as WorkerRow
from openqueue.processes.worker.job import Job
from openqueue.processes.worker.ledger import Ledger
from openqueue.processes.worker.worker import Worker
from openqueue.store import store
from openqueue.types import Claimed, ClaimRequest, Held, Outcome
from tests.eventually import eventually

pytestmark = pytest.mark.django_db(transaction=True)
Declare = Callable[..., Any]


def attempt_of(
    task_id: str = "test.some", *, worker_id: UUID | None = None, queue: str = "default"
) -> Claimed:
    return Claimed(uuid4(), uuid4(), worker_id or uuid4(), 1, 1, task_id, queue, "{}", 3, 0, None, None, None)


class Some:
    """As much of a task as a job asks for."""

    id, is_async, concurrency, function = "test.some", False, None, staticmethod(lambda: None)

    class options:  # noqa: N801
        timeout = None


def hold(ledger: Ledger, count: int, *, task_id: str = "test.some") -> list[Job]:
    jobs = [Job(attempt_of(task_id, worker_id=ledger.worker_id), Some) for _ in range(count)]
    take(ledger, uuid4(), jobs)
    return jobs


def take(ledger: Ledger, token: UUID, jobs: list[Job]) -> None:
    ledger.expect(token)
    assert ledger.take(token, jobs)


# --- ledger -------------------------------------------------------------------------------------------------------


def test_without_a_backlog_no_more_is_claimed_than_slots_are_free():
    ledger = Ledger(slots=4, lease=30)
    ledger.settled([], outcomes=100)
    assert ledger.room() == 4
    hold(ledger, 3)
    assert ledger.room() == 1


def test_the_runway_is_what_was_settled_lately_and_never_more_than_200():
    ledger = Ledger(slots=4, lease=30)
    ledger.backlog = True
    assert ledger.room() == 4, "nothing was settled yet"
    ledger.settled([], outcomes=50)
    assert ledger.room() == 54
    ledger.settled([], outcomes=900)
    assert ledger.room() == 204


def test_a_slow_task_gets_no_runway():
    ledger = Ledger(slots=4, lease=30)
    ledger.backlog = True
    ledger.settled([], outcomes=50)
    (job,) = hold(ledger, 1)
    ledger.usual["test.some"] = 0.051
    assert ledger.room() == 3
    ledger.usual["test.some"] = 0.049
    assert ledger.room() == 53
    assert job.begun_at is None


def test_nothing_is_claimed_while_too_much_waits_to_be_settled():
    ledger = Ledger(slots=4, lease=30)
    ledger.unsettled = 2_000
    assert ledger.room() == 0


def test_a_body_begins_only_while_the_lease_is_sure():
    ledger = Ledger(slots=4, lease=30)
    (job,) = hold(ledger, 1)
    assert not ledger.may_begin(job), "never beaten"
    ledger.beaten(time.monotonic() - 27)
    assert ledger.may_begin(job)
    ledger.beaten(time.monotonic() - 28.1)
    assert not ledger.may_begin(job)
    ledger.beaten(time.monotonic())
    ledger.reincarnate()
    ledger.beaten(time.monotonic())
    assert not ledger.may_begin(job), "the claim is of the incarnation before"


def test_claims_that_this_process_does_not_hold_are_strangers():
    ledger = Ledger(slots=4, lease=30)
    (job,) = hold(ledger, 1)
    mine = Held(job.attempt.run_id, job.attempt.token, False)
    other_token = mine._replace(token=uuid4())
    pending = Held(uuid4(), uuid4(), False)
    ledger.expect(pending.token)
    assert ledger.strangers([mine, other_token, pending]) == [other_token]
    ledger.forget(pending.token)
    assert ledger.strangers([mine, pending]) == [pending]


# --- heartbeat ----------------------------------------------------------------------------------------------------


@pytest.fixture
def worker(quick: Any) -> Worker:
    """A worker whose parts stand still."""
    return Worker(queues=["default"], slots=2)


def claim(worker: Worker, task: Any) -> Claimed:
    request = ClaimRequest(worker_id=worker.ledger.worker_id, token=uuid4(), known=[task.id])
    (attempt,) = transitions.claim_due(request, runtime="default", rooms={"default": 1}, limit=1).claimed
    return attempt


@pytest.fixture
def nothing(declare: Declare) -> Any:
    @declare
    def nothing() -> None: ...

    return nothing


def test_a_worker_declared_lost_goes_on_as_another(worker: Worker):
    worker.heartbeat.step()
    first = worker.ledger.worker_id
    store().declare_lost(first)
    worker.heartbeat.step()
    assert worker.ledger.worker_id != first
    assert dict(WorkerRow.objects.values_list("pk", "state")) == {
        first: "lost",
        worker.ledger.worker_id: "running",
    }
    assert worker.ledger.sure


def test_claims_that_nobody_here_runs_are_given_back_and_refunded(worker: Worker, nothing: Any):
    worker.heartbeat.step()
    run = nothing.trigger()
    claim(worker, nothing)
    worker.heartbeat.step()
    assert (run.refresh().status, run.attempt) == ("queued", 0)
    assert Outbox.objects.get().attempt == 1
    assert RunEvent.objects.get(kind="released").token is None


def test_a_run_cancelled_in_the_runway_never_begins(worker: Worker, nothing: Any):
    worker.heartbeat.step()
    run = nothing.trigger()
    job = Job(claim(worker, nothing), nothing)
    take(worker.ledger, job.attempt.token, [job])
    cancellation.cancel([run.id], actor="anna")
    worker.heartbeat.step()
    assert not worker.executor.begins(job)
    outcome = worker.recorder.items.get_nowait()
    assert (outcome.kind, outcome.age) == ("cancelled", None)
    transitions.settle([outcome])
    assert run.refresh().status == "cancelled"


def test_a_body_whose_claim_was_lost_does_not_begin_and_says_nothing(worker: Worker, nothing: Any):
    worker.heartbeat.step()
    nothing.trigger()
    job = Job(claim(worker, nothing), nothing)
    take(worker.ledger, job.attempt.token, [job])
    worker.ledger.beaten(time.monotonic() - 5)
    assert not worker.executor.begins(job)
    assert worker.recorder.items.empty()
    assert worker.ledger.open == 0
    worker.heartbeat.step()
    assert Run.objects.get().status == "queued", "the heartbeat returned it"


def test_a_zombie_that_hears_of_its_loss_is_not_taken_for_cancelled(declare: Declare, serving: Any):
    import threading

    begun = threading.Event()

    @declare
    def heedful(ctx: TaskContext) -> str:
        begun.set()
        until = time.monotonic() + 5
        while ctx.attempt == 1 and not lost.is_set() and time.monotonic() < until:
            ctx.raise_if_cancelled()
            time.sleep(0.005)
        return f"attempt {ctx.attempt}"

    lost = threading.Event()
    run = heedful.trigger()
    with serving(sweeps=False) as worker:
        assert begun.wait(10)
        first = worker.ledger.worker_id
        store().declare_lost(first)
        eventually(lambda: worker.ledger.worker_id != first and worker.ledger.sure)
        from openqueue.processes.sweeps.reaper import Reaper

        assert Reaper(trusting=True).step() == 1
        eventually(lambda: run.refresh().status == "completed")
        lost.set()
        eventually(lambda: RunEvent.objects.filter(kind="late_result_discarded").exists())
    assert run.result == "attempt 2"


# --- intake -------------------------------------------------------------------------------------------------------


@pytest.fixture
def intake(quick: Any, worker: Worker) -> Any:
    quick.OPENQUEUE = {
        **quick.OPENQUEUE,
        "RUNTIMES": {"default": {"BACKEND": "openqueue.runtimes.memory.MemoryRuntime"}},
    }
    made = Worker(queues=["default"], slots=2)
    made.heartbeat.step()
    (intake,) = made.intakes
    intake.submitted = []
    intake.submit = intake.submitted.append
    return intake


@pytest.mark.parametrize(
    "body",
    [
        b"\x80\x04\x95",
        b"[1]",
        b'{"v": 1, "id": "no uuid", "seq": 1}',
        b'{"v": 1, "id": "0190a7a0-0000-7000-8000-000000000000", "seq": true}',
        b'{"v": 1, "id": "0190a7a0-0000-7000-8000-000000000000", "seq": 99999999999}',
        b'{"v": 1, "id": "0190a7a0-0000-7000-8000-000000000000", "seq": -1}',
        b'{"v": 99, "id": "0190a7a0-0000-7000-8000-000000000000", "seq": 1}',
        b'{"v": 1, "id": 7, "seq": 1}',
        b"[" * 100_000,
    ],
    ids=range(9),
)
def test_poison_is_buried_and_the_next_message_served(intake: Any, nothing: Any, body: bytes):
    run = nothing.trigger()
    runtime = runtimes.get("default")
    runtime.put("default", -1000, body)
    eventually(lambda: runtime.inspect("default").depth == 2)
    eventually(lambda: intake.step() or intake.submitted)
    assert [job.attempt.run_id for job in intake.submitted] == [run.id]
    letter = DeadLetter.objects.get()
    assert (letter.size, letter.head) == (len(body), body[:200].hex())
    assert list(runtime.rejected["default"]) == [body]
    assert runtime.inspect("default").unacked == 0


def test_only_the_messages_of_locked_rows_are_left_unacked(intake: Any, nothing: Any, monkeypatch):
    locked, free = nothing.trigger(), nothing.trigger()
    asked = []
    claim_named = transitions.claim_named

    def claims(request: Any, *, announcements: Any, nowait: bool = False, **more: Any) -> Any:
        asked.append((len(announcements), nowait))
        if locked.id in {run for run, _ in announcements}:
            error = OperationalError("canceling statement due to lock timeout")
            error.__cause__ = LockTimeout()
            raise error
        return claim_named(request, announcements=announcements, nowait=nowait, **more)

    monkeypatch.setattr(transitions, "claim_named", claims)
    eventually(lambda: runtimes.get("default").inspect("default").depth == 2)
    eventually(lambda: intake.step() or intake.submitted)
    assert [job.attempt.run_id for job in intake.submitted] == [free.id]
    assert asked[0] == (2, False)
    assert set(asked[1:3]) == {(1, True)}
    stats = runtimes.get("default").inspect("default")
    assert (stats.depth, stats.unacked) in {(1, 0), (0, 1)}, "one of the two waits for its row"


class LockTimeout(Exception):
    sqlstate = "55P03"


def test_messages_come_again_when_the_database_gave_no_answer(intake: Any, nothing: Any, monkeypatch):
    nothing.trigger()
    eventually(lambda: runtimes.get("default").inspect("default").depth == 1)

    def away(*_: Any, **__: Any) -> Any:
        raise OperationalError("server closed the connection unexpectedly")

    with monkeypatch.context() as patched, pytest.raises(OperationalError):
        patched.setattr(transitions, "claim_named", away)
        intake.step()
    assert runtimes.get("default").inspect("default").depth == 1
    assert intake.ledger.pending == set()
    eventually(intake.step)
    assert Claim.objects.count() == 1


# --- recorder and capture -----------------------------------------------------------------------------------------


def test_what_could_not_be_recorded_is_sent_again(declare: Declare, serving: Any, monkeypatch):
    @declare
    def add(a: int) -> int:
        return a + 1

    failures = [OperationalError("the connection broke")] * 2
    settle = transitions.settle

    def unsure(outcomes: list[Outcome], **more: Any) -> Any:
        if failures:
            raise failures.pop()
        return settle(outcomes, **more)

    monkeypatch.setattr(transitions, "settle", unsure)
    run = add.trigger(1)
    with serving():
        eventually(lambda: run.refresh().status == "completed")
    assert run.result == 2
    assert failures == []


def test_what_a_body_logs_is_kept_whatever_logger_it_uses(declare: Declare, drain: Any):
    other = logging.getLogger("tests.of.a.project")
    other.setLevel(logging.INFO)

    @declare
    def talk(ctx: TaskContext) -> None:
        ctx.logger.warning("own %d", 1, extra={"a": 1})
        other.info("other %s", "NUL \0 and \ud800")
        ctx.logger.debug("too quiet")
        ctx.logger.info("x" * 20_000)
        ctx.logger.log(99_999, "loud")

    run = talk.trigger()
    other.info("not in a body")
    drain()
    lines = list(RunLog.objects.filter(run_id=run.id).order_by("id"))
    assert [line.text[:5] for line in lines] == ["own 1", "other", "xxxxx", "loud"]
    assert all(len(line.text.encode()) <= 8_192 and "\0" not in line.text for line in lines)
    assert (lines[0].level, lines[0].attempt) == (30, 1)
    assert run.refresh().status == "completed"


def test_a_run_keeps_a_thousand_lines_and_says_that_there_were_more(declare: Declare, drain: Any):
    @declare
    def flood(ctx: TaskContext) -> None:
        for n in range(1_500):
            ctx.logger.info("line %d", n)

    run = flood.trigger()
    drain()
    texts = list(RunLog.objects.filter(run_id=run.id).order_by("id").values_list("text", flat=True))
    assert texts[:2] == ["line 0", "line 1"]
    assert (len(texts), texts[-1]) == (1_001, "more than 1000 lines: the rest was left out")


def test_of_progress_the_newest_is_kept(declare: Declare, drain: Any):
    @declare
    def hurry(ctx: TaskContext) -> None:
        for percent in range(101):
            ctx.progress(percent, f"{percent} %")

    run = hurry.trigger()
    drain()
    kept = [event.data for event in RunEvent.objects.filter(run_id=run.id, kind="progress").order_by("id")]
    assert len(kept) <= 2
    assert kept[-1] == {"percent": 100, "message": "100 %"}
