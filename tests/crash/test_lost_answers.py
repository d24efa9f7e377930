"""Claims and settles whose outcome nobody heard: the rows of the crash table that a proxy can bring about."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.db import transaction

from openqueue.models import Claim, Outbox, Run, RunEvent
from openqueue.store import store
from tests.app.crash_tasks import gated, quick
from tests.crash.stage import CLAIM, RECOVERY, SETTLE, Gates, Stage, kinds, late_results, settled
from tests.eventually import eventually
from tests.proxy.proxy import Proxy

pytestmark = [pytest.mark.crash, pytest.mark.mariadb_too]


def test_a_claim_whose_answer_is_lost_is_adopted_or_given_back_uncharged(
    runtime: str, stage: Stage, gates: Gates, proxy: Proxy
):
    run = quick.trigger()
    proxy.lose_the_answer_to(CLAIM)
    stage.worker(port=proxy.port)
    row = settled(run)
    assert proxy.lost == 1
    assert (row.attempt, row.crash_count) == (1, 0)
    assert gates.starts(run) == [1]


def test_a_claim_answered_after_the_lease_begins_no_body(
    runtime: str, stage: Stage, gates: Gates, proxy: Proxy
):
    """The start gate: another may have the run by then, and has."""
    run = quick.trigger()
    proxy.blackhole(behind=CLAIM)
    first = stage.worker(port=proxy.port)
    eventually(lambda: Claim.objects.filter(run_id=run.id).exists())
    second = stage.worker()
    row = settled(run)
    assert (row.attempt, row.crash_count, row.result["pid"]) == (2, 1, second.pid)
    second.kill()
    proxy.pass_on()
    assert settled(quick.trigger()).result["pid"] == first.pid
    assert gates.starts(run) == [2]
    assert late_results(run) == 0


def test_a_claim_that_commits_after_its_worker_gave_it_up_goes_back_with_a_heartbeat(
    runtime: str, stage: Stage, gates: Gates, proxy: Proxy
):
    run = quick.trigger()
    proxy.hold_back(CLAIM)
    proxy.stall(CLAIM)  # it must not be faster than its own first claim
    stage.worker(port=proxy.port)
    eventually(lambda: proxy.held)
    proxy.deliver()
    eventually(lambda: Claim.objects.filter(run_id=run.id).exists())
    proxy.pass_on()
    row = settled(run)
    assert (row.attempt, row.crash_count) == (1, 0)
    assert gates.starts(run) == [1]
    assert kinds(run) == ["triggered", "started", "released", "started", "completed"]


def test_a_settle_whose_answer_is_lost_is_sent_again_and_counts_once(
    runtime: str, stage: Stage, gates: Gates, proxy: Proxy
):
    well, badly = gated.trigger(), gated.trigger(failures=1)
    stage.worker(port=proxy.port)
    for run in (well, badly):
        gates.wait_inside(run)
    proxy.lose_the_answer_to(SETTLE, times=2)
    gates.open()
    assert settled(well).attempt == 1
    assert settled(badly).attempt == 2
    assert proxy.lost == 2
    assert kinds(well) == ["triggered", "started", "completed"]
    assert kinds(badly) == ["triggered", "started", "retrying", "started", "completed"]
    assert gates.starts(badly) == [1, 2]


def test_a_settle_that_arrives_after_it_was_sent_again_changes_nothing(
    stage: Stage, gates: Gates, proxy: Proxy
):
    run = gated.trigger(failures=1)
    stage.worker(port=proxy.port)
    gates.wait_inside(run)
    proxy.hold_back(SETTLE)
    gates.open(run, attempt=1)
    eventually(lambda: proxy.held)
    gates.wait_inside(run, attempt=2)
    before = Run.objects.filter(pk=run.id).values().get()
    proxy.deliver()
    late = quick.trigger()
    settled(late)
    assert Run.objects.filter(pk=run.id).values().get() == before
    gates.open()
    assert settled(run).attempt == 2
    assert late_results(run) == 0


def test_a_settle_that_a_failover_lost_is_noticed_by_the_next_heartbeat(
    runtime: str, stage: Stage, gates: Gates
):
    """The replica that took over knows of the claim and not of its end: the run happens again, uncharged."""
    run = quick.trigger()
    worker = stage.worker()
    settled(run)
    with transaction.atomic():
        RunEvent.objects.get(run_id=run.id, kind="completed").delete()
        Run.objects.filter(pk=run.id).update(
            status="running", result=None, outcome=None, finished_at=None, version=2
        )
        Claim.objects.create(
            run_id=run.id, seq=1, attempt=1, task_id=quick.id, worker_id=worker.incarnations[0], token=uuid4(),
            queue="default", claimed_at=Run.objects.get(pk=run.id).created_at,
        )  # fmt: skip
    row = settled(run)
    assert (row.attempt, row.crash_count) == (1, 0)
    assert gates.starts(run) == [1, 1]
    assert kinds(run) == ["triggered", "started", "released", "started", "completed"]


def test_a_settle_of_a_claim_that_a_failover_lost_is_refused(stage: Stage, gates: Gates):
    """The replica that took over knows of the run and not of its claim: it waits in the queue, and is claimed anew."""
    stage.amnesia = True
    run = gated.trigger()
    stage.worker("--concurrency", "1")
    gates.wait_inside(run)
    claim = Claim.objects.get(run_id=run.id)
    with transaction.atomic():
        claim.delete()
        RunEvent.objects.get(run_id=run.id, kind="started").delete()
        Run.objects.filter(pk=run.id).update(status="queued", attempt=0, version=1, started_at=None)
        at = store().clock(None)
        Outbox.objects.create(
            run_id=run.id, seq=1, attempt=1, task_id=gated.id, runtime="default", queue="default", priority=0,
            due_at=at, ready=True, announce_at=at,
        )  # fmt: skip
    gates.open(run)
    row = settled(run, within=RECOVERY)
    assert (row.attempt, row.crash_count) == (1, 0)
    eventually(lambda: late_results(run) == 1)
    assert gates.starts(run) == [1, 1]
