"""Settles: fenced, idempotent, and never sunk by one bad row."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection

from openqueue.conf import config
from openqueue.core import cancellation, transitions
from openqueue.models import Claim, Outbox, Run, RunEvent
from openqueue.processes.sweeps.reaper import Reaper
from openqueue.states import Reason
from openqueue.store import store
from tests.store import fleet, history
from tests.store.fleet import Clock, FakeWorker, completes, fails, releases, retries

pytestmark = pytest.mark.django_db


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def worker(clock: Clock) -> FakeWorker:
    return FakeWorker(clock)


def row(run: object) -> Run:
    return Run.objects.get(pk=run)


def test_a_mixed_batch_ends_each_run_in_its_own_way(clock: Clock, worker: FakeWorker):
    fleet.make_run(clock, runs=5)
    a, b, c, d, e = worker.claim()
    cancelled = transitions.cancelled(e, age=None)
    statuses = worker.settle(completes(a), fails(b), retries(c, 5), releases(d), cancelled)
    assert sorted(statuses) == ["cancelled", "completed", "failed", "queued", "retrying"]
    assert [row(x.run_id).status for x in (a, b, c, d, e)] == [
        "completed", "failed", "retrying", "queued", "cancelled",
    ]  # fmt: skip
    assert row(a.run_id).result == 1
    assert row(b.run_id).error["type"] == "ValueError"
    assert sorted(Outbox.objects.values_list("run_id", "attempt", "ready")) == sorted(
        [(c.run_id, 2, False), (d.run_id, 1, True)]
    )
    assert not Claim.objects.exists()
    history.verify()


def test_settling_nothing_does_nothing():
    assert transitions.settle([]) == []


def test_a_token_that_does_not_hold_the_claim_changes_nothing(clock: Clock, worker: FakeWorker):
    run = fleet.make_run(clock)
    (attempt,) = worker.claim()
    zombie = attempt._replace(token=attempt.worker_id)
    assert worker.settle(completes(zombie, '"stolen"')) == []
    assert (row(run).status, row(run).result) == ("running", None)
    assert worker.settle(completes(attempt)) == ["completed"]


def test_a_zombie_s_result_beside_the_true_one_in_a_batch_is_refused(clock: Clock, worker: FakeWorker):
    """The claim batch that holds the zombie's run now holds another of the same batch: tokens are shared."""
    stolen = fleet.make_run(clock)
    (zombie,) = worker.claim()
    worker.settle(transitions.released(zombie.run_id, zombie.token, age=None, own=False, why="test"))
    other = fleet.make_run(clock)
    again = {attempt.run_id: attempt for attempt in worker.claim()}
    assert again[stolen].token == again[other].token
    assert worker.settle(completes(zombie, '"late"'), completes(again[other])) == ["completed"]
    assert (row(stolen).status, row(other).status) == ("running", "completed")
    assert Claim.objects.get().run_id == stolen


def test_a_late_result_leaves_one_event_that_names_its_attempt(clock: Clock, worker: FakeWorker):
    run = fleet.make_run(clock)
    (zombie,) = worker.claim()
    clock.pass_(31)
    Reaper(trusting=True).step(clock.now)
    successor = FakeWorker(clock)
    (attempt,) = successor.claim()
    for _ in range(3):
        assert worker.settle(fails(zombie)) == []
    (event,) = fleet.events(run, "late_result_discarded")
    assert (event.attempt, event.token, event.version) == (1, zombie.token, None)
    assert event.data == {"kind": "failed"}
    assert successor.settle(completes(attempt)) == ["completed"]
    assert worker.settle(completes(zombie)) == [], "nor after the end"
    assert fleet.story(run) == [
        "triggered",
        "started",
        "worker_lost",
        "started",
        "late_result_discarded",
        "completed",
    ]
    history.verify()


def test_a_settle_sent_again_was_accepted_and_changes_nothing(clock: Clock, worker: FakeWorker):
    run = fleet.make_run(clock)
    (attempt,) = worker.claim()
    assert worker.settle(completes(attempt)) == ["completed"]
    before = Run.objects.values().get(), list(RunEvent.objects.values())
    assert worker.settle(completes(attempt)) == ["completed"]
    assert (Run.objects.values().get(), list(RunEvent.objects.values())) == before
    assert fleet.events(run, "late_result_discarded") == []


def test_a_retry_sent_again_after_the_next_attempt_began_is_known_as_accepted(
    clock: Clock, worker: FakeWorker
):
    fleet.make_run(clock)
    (first,) = worker.claim()
    worker.settle(retries(first))
    (second,) = worker.claim()
    assert worker.settle(retries(first)) == ["retrying"]
    assert Claim.objects.get().token == second.token
    assert not RunEvent.objects.filter(kind="late_result_discarded").exists()


def test_a_result_of_a_run_that_retention_deleted_is_dropped(clock: Clock, worker: FakeWorker):
    run = fleet.make_run(clock)
    (attempt,) = worker.claim()
    worker.settle(completes(attempt))
    RunEvent.objects.all().delete()
    Run.objects.all().delete()
    assert worker.settle(completes(attempt)) == []
    assert not RunEvent.objects.filter(run_id=run).exists()


@pytest.mark.parametrize("ending", [retries, releases], ids=["retry", "release"])
def test_a_cancel_request_beats_putting_the_run_back(clock: Clock, worker: FakeWorker, ending):
    run = fleet.make_run(clock)
    (attempt,) = worker.claim()
    assert cancellation.cancel([run], actor="anna", now=clock.now) == {run: "requested"}
    assert worker.settle(ending(attempt)) == ["cancelled"]
    assert (row(run).status, row(run).reason, row(run).outcome) == ("cancelled", "by_user", "cancelled")
    assert fleet.events(run, "cancelled")[0].actor == "anna"
    assert not Outbox.objects.exists()


def test_a_cancel_request_beats_the_reaper(clock: Clock, worker: FakeWorker):
    run = fleet.make_run(clock)
    worker.claim()
    cancellation.cancel([run], actor="anna", now=clock.now)
    clock.pass_(31)
    assert Reaper(trusting=True).step(clock.now) == 1
    assert row(run).status == "cancelled"
    history.verify()


def test_a_body_that_ends_before_it_hears_of_the_cancel_has_ended(clock: Clock, worker: FakeWorker):
    run = fleet.make_run(clock)
    (attempt,) = worker.claim()
    cancellation.cancel([run], actor="anna", now=clock.now)
    assert worker.settle(completes(attempt)) == ["completed"]
    assert cancellation.cancel([run], actor="anna", now=clock.now) == {run: "finished"}


def test_a_cancel_is_asked_once(clock: Clock, worker: FakeWorker):
    run = fleet.make_run(clock)
    worker.claim()
    for _ in range(3):
        assert cancellation.cancel([run], actor="anna", now=clock.now) == {run: "requested"}
    assert len(fleet.events(run, "cancel_requested")) == 1


def test_an_unknown_run_cannot_be_cancelled(clock: Clock, worker: FakeWorker):
    assert cancellation.cancel([worker.id], actor="") == {worker.id: "missing"}


@pytest.mark.django_db(transaction=True)
def test_one_row_that_the_database_refuses_fails_alone(clock: Clock, worker: FakeWorker):
    fleet.make_run(clock, runs=9)
    attempts = worker.claim()
    bad = attempts[4]
    outcomes = [completes(a) for a in attempts if a is not bad]
    what = "\0" if connection.vendor == "postgresql" else "\ud800"
    statuses = worker.settle(*outcomes, completes(bad, f'"{what}"'))
    assert sorted(statuses) == ["completed"] * 8 + ["failed"]
    assert (row(bad.run_id).status, row(bad.run_id).reason) == ("failed", "result_invalid")
    assert row(bad.run_id).error["message"]
    history.verify()


# --- lost workers -------------------------------------------------------------------------------------------------


def lose(clock: Clock) -> None:
    clock.pass_(31)
    assert Reaper(trusting=True).step(clock.now) == 1


def test_the_third_loss_fails_the_run(clock: Clock):
    run = fleet.make_run(clock, max_attempts=1)
    for number in (1, 2, 3):
        (attempt,) = FakeWorker(clock).claim()
        assert attempt.attempt == number, "a lost attempt keeps its number"
        lose(clock)
    assert (row(run).status, row(run).reason, row(run).crash_count) == ("failed", "worker_lost", 3)
    assert row(run).error["type"] == "WorkerLost"
    assert fleet.story(run)[-2:] == ["started", "failed"]
    assert not Outbox.objects.exists()
    history.verify()


def test_max_crashes_is_a_setting(clock: Clock, settings):
    settings.OPENQUEUE = {"MAX_CRASHES": 1}
    run = fleet.make_run(clock)
    FakeWorker(clock).claim()
    lose(clock)
    assert (row(run).status, row(run).reason) == ("failed", "worker_lost")


def test_a_task_may_refuse_to_run_again_after_a_loss(clock: Clock, declare):
    @declare(on_worker_lost="fail")
    def once() -> None: ...

    run = fleet.make_run(clock, task_id=once.id)
    FakeWorker(clock, known=[once.id]).claim()
    lose(clock)
    assert (row(run).status, row(run).reason) == ("failed", "worker_lost")


def test_a_lost_attempt_began_when_it_began(clock: Clock):
    run = fleet.make_run(clock)
    FakeWorker(clock).claim()
    began = clock.now
    lose(clock)
    assert row(run).started_at == began


def test_the_reaper_returns_every_claim_of_the_dead_in_one_pass(clock: Clock, monkeypatch):
    monkeypatch.setattr("openqueue.processes.sweeps.reaper.BATCH", 3)
    fleet.make_run(clock, runs=8)
    FakeWorker(clock).claim()
    clock.pass_(31)
    assert Reaper(trusting=True).step(clock.now) == 8
    assert Outbox.objects.count() == 8


def test_a_heartbeat_renews_a_lease_that_ended_and_was_not_reaped(clock: Clock, worker: FakeWorker):
    fleet.make_run(clock)
    worker.claim()
    clock.pass_(300)
    assert worker.beat().alive
    assert Reaper(trusting=True).step(clock.now) == 0


def test_a_worker_declared_lost_hears_of_it(clock: Clock, worker: FakeWorker):
    clock.pass_(31)
    Reaper(trusting=True).step(clock.now)
    assert not worker.beat().alive


def test_a_claim_that_came_after_the_mark_comes_back_too(clock: Clock, worker: FakeWorker):
    run = fleet.make_run(clock)
    clock.pass_(31)
    Reaper(trusting=True).step(clock.now)
    worker.claim()
    assert Reaper(trusting=True).step(clock.now) == 1
    assert row(run).status == "queued"


# --- refunds ------------------------------------------------------------------------------------------------------


def test_a_run_released_before_it_began_keeps_its_attempt_and_its_time_to_live(
    clock: Clock, worker: FakeWorker
):
    run = fleet.make_run(clock, ttl=60)
    expires = Outbox.objects.get().expires_at
    (attempt,) = worker.claim()
    clock.pass_(1)
    worker.settle(releases(attempt))
    place = Outbox.objects.get()
    assert (place.attempt, place.expires_at, row(run).attempt) == (1, expires, 0)
    clock.pass_(60)
    assert transitions.expire(limit=9, now=clock.now) == [run]


def test_a_run_released_after_it_began_has_lost_its_time_to_live(clock: Clock, worker: FakeWorker):
    fleet.make_run(clock, ttl=60)
    (attempt,) = worker.claim()
    worker.settle(releases(attempt, age=0.5))
    assert Outbox.objects.get().expires_at is None
    (again,) = worker.claim()
    assert again.attempt == 1
    worker.settle(releases(again))
    assert Outbox.objects.get().expires_at is None, "it has begun once"


def test_a_retry_does_not_expire(clock: Clock, worker: FakeWorker):
    fleet.make_run(clock, ttl=60)
    worker.settle(retries(*worker.claim()))
    assert Outbox.objects.get().expires_at is None
    clock.pass_(61)
    (second,) = worker.claim()
    worker.settle(releases(second))
    assert (Outbox.objects.get().expires_at, Outbox.objects.get().attempt) == (None, 2)


def test_a_retry_decision_has_its_eight_fields(clock: Clock, worker: FakeWorker):
    run = fleet.make_run(clock)
    worker.settle(retries(*worker.claim(), 7))
    (event,) = fleet.events(run, "retrying")
    assert set(transitions.RETRIED_FIELDS) <= set(event.data)
    assert event.data["next_run_at"].startswith(
        (clock.now + timedelta(seconds=7)).strftime("%Y-%m-%dT%H:%M:%S")
    )
    assert (event.data["attempt"], event.data["classification"]) == (1, "retryable")
    assert Outbox.objects.get().due_at == clock.now + timedelta(seconds=7)


def test_started_at_is_when_the_body_began(clock: Clock, worker: FakeWorker):
    run = fleet.make_run(clock)
    (attempt,) = worker.claim()
    clock.pass_(10)
    worker.settle(completes(attempt))
    assert row(run).started_at == clock.now - timedelta(seconds=0.5)
    assert row(run).finished_at == clock.now


def test_an_operator_s_retry_starts_a_new_cycle(clock: Clock, worker: FakeWorker):
    run = fleet.make_run(clock, max_attempts=1, ttl=60)
    worker.settle(fails(*worker.claim()))
    error = row(run).error
    assert transitions.requeue([run], actor="anna", head_start=0, now=clock.now) == [
        (run, 4, "default", "default")
    ]
    again = row(run)
    assert (again.status, again.cycle, again.attempt, again.crash_count) == ("queued", 2, 0, 0)
    assert (again.error, again.outcome, again.finished_at, again.started_at) == (None, None, None, None)
    (event,) = fleet.events(run, "requeued")
    assert (event.actor, event.data["error"], event.data["status"]) == ("anna", error, "failed")
    (attempt,) = worker.claim()
    assert (attempt.attempt, attempt.seq) == (1, 4)
    assert transitions.requeue([run], actor="anna", head_start=0, now=clock.now) == []


def test_the_heartbeat_reads_the_claims_of_its_incarnation(clock: Clock, worker: FakeWorker):
    mine, theirs = fleet.make_run(clock, runs=2)
    (attempt,) = worker.claim(1)
    FakeWorker(clock).claim(1)
    cancellation.cancel([attempt.run_id], actor="", now=clock.now)
    (held,) = worker.beat().held
    assert held == (attempt.run_id, attempt.token, True)
    assert {mine, theirs} == set(Claim.objects.values_list("run_id", flat=True))


def test_a_worker_that_resigned_cannot_beat(clock: Clock, worker: FakeWorker):
    store().resign(worker.id)
    assert not worker.beat().alive


def test_reasons_fit_their_column():
    assert max(len(reason.value) for reason in Reason) <= Run._meta.get_field("reason").max_length
    assert config.max_crashes == 3
