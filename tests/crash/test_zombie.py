"""A process that sleeps longer than its lease and wakes up in a world that went on without it."""

from __future__ import annotations

import signal

import pytest
from django.utils import timezone

from openqueue.models import Claim, Run, RunEvent, Worker
from tests.app.crash_tasks import agated, blocking, deaf, gated, quick
from tests.crash.stage import LEASE, RECOVERY, Gates, Stage, kinds, late_results, settled
from tests.eventually import eventually

pytestmark = pytest.mark.crash


@pytest.mark.sqlite_too
def test_a_zombie_that_ends_late_well_or_badly_changes_nothing_and_goes_on_serving(
    stage: Stage, gates: Gates
):
    ended = [gated.trigger(), gated.trigger(failures=1), agated.trigger()]
    running = [gated.trigger(), gated.trigger(failures=1)]
    runs = [*ended, *running]
    zombie = stage.worker("--concurrency", "5")
    for run in runs:
        gates.wait_inside(run)
    zombie.stop()
    other = stage.worker("--concurrency", "5")
    for run in runs:
        gates.wait_inside(run, attempt=2)
    for run in ended:
        gates.open(run, attempt=2)
    before = [settled(run) for run in ended]

    for run in runs:
        gates.open(run, attempt=1)
    zombie.go_on()
    for run in runs:
        eventually(lambda run=run: late_results(run) == 1)
    for row in before:
        assert (
            Run.objects.filter(pk=row.pk).values().get()
            == Run.objects.filter(pk=row.pk, version=row.version).values().get()
        )
        row.refresh_from_db()
        assert (row.attempt, row.result["pid"]) == (2, other.pid)
    assert Claim.objects.filter(run_id__in=[run.id for run in running], attempt=2).count() == 2

    for run in running:
        gates.open(run, attempt=2)
        assert settled(run).result == {"attempt": 2, "pid": other.pid}
    for run in runs:
        assert gates.starts(run) == [1, 2]
        assert [k for k in kinds(run) if k != "late_result_discarded"] == [
            "triggered", "started", "worker_lost", "started", "completed",
        ]  # fmt: skip
        assert late_results(run) == 1
    late = RunEvent.objects.filter(kind="late_result_discarded")
    assert not late.filter(version__isnull=False).exists()

    other.send(signal.SIGTERM)
    other.ends(within=15)
    assert settled(quick.trigger()).result["pid"] == zombie.pid
    assert len(zombie.incarnations) == 2


@pytest.mark.mariadb_too
def test_a_zombie_that_wakes_while_its_run_waits_in_the_queue_is_refused_too(stage: Stage, gates: Gates):
    run = gated.trigger()
    zombie = stage.worker()
    gates.wait_inside(run)
    zombie.stop()
    stage.worker("--queues", "email")  # it takes back what is lost, and does not serve the run
    eventually(lambda: "worker_lost" in kinds(run), within=RECOVERY)
    gates.open(run, attempt=1)
    zombie.go_on()
    eventually(lambda: late_results(run) == 1)
    gates.wait_inside(run, attempt=2)  # as a new incarnation it may take the run like anybody
    gates.open(run)
    assert settled(run).result == {"attempt": 2, "pid": zombie.pid}
    assert late_results(run) == 1


@pytest.mark.mariadb_too
def test_a_fleet_that_slept_as_one_wakes_as_one_and_nobody_takes_the_other_for_dead(
    stage: Stage, gates: Gates
):
    """A host that was paused, a laptop that was closed."""
    runs = [gated.trigger(), gated.trigger()]
    workers = [stage.worker("--concurrency", "1") for _ in runs]
    for run in runs:
        gates.wait_inside(run)
    stage.have_watched()
    for worker in workers:
        worker.stop()
    stage.leases_end()
    for worker in workers:
        worker.go_on()
    eventually(lambda: Worker.objects.filter(lease_until__gt=timezone.now()).count() == len(workers))
    gates.open()
    for run in runs:
        row = settled(run)
        assert (row.attempt, row.crash_count) == (1, 0)
        assert kinds(run) == ["triggered", "started", "completed"]


@pytest.mark.mariadb_too
def test_a_short_sleep_costs_nothing(stage: Stage, gates: Gates):
    run = gated.trigger()
    sleeper = stage.worker()
    gates.wait_inside(run)
    sleeper.stop()
    gates.open(run)
    sleeper.go_on()
    assert settled(run).attempt == 1
    assert kinds(run) == ["triggered", "started", "completed"]


@pytest.mark.postgresql
def test_a_body_that_lets_no_other_thread_run_costs_its_process_the_lease_and_no_more(
    stage: Stage, gates: Gates
):
    """The heartbeat is a thread: C code that keeps the interpreter's lock silences it, as sleep would."""
    worker = stage.worker()
    stage.worker("--queues", "email")  # it takes back what is lost, and does not serve the run
    stage.have_watched()
    run = deaf.trigger(int(LEASE + 4))
    row = settled(run)
    assert (row.attempt, row.crash_count, row.result["pid"]) == (2, 1, worker.pid)
    assert [k for k in kinds(run) if k != "late_result_discarded"] == [
        "triggered", "started", "worker_lost", "started", "completed",
    ]  # fmt: skip
    eventually(lambda: late_results(run) == 1)
    assert len(worker.incarnations) == 2


@pytest.mark.sqlite_too
def test_a_coroutine_that_blocks_the_loop_keeps_its_lease_and_holds_up_no_thread(stage: Stage, gates: Gates):
    run = blocking.trigger(LEASE + 1)
    worker = stage.worker()
    eventually(lambda: gates.starts(run) == [1])
    for other in quick.trigger_many([{}] * 5):
        assert settled(other, within=LEASE).result["pid"] == worker.pid
    row = settled(run)
    assert (row.attempt, row.crash_count) == (1, 0)
    assert len(worker.incarnations) == 1
