"""kill -9 at each point of an attempt's life."""

from __future__ import annotations

import pytest

from openqueue.models import Claim
from tests.app.crash_tasks import deadly, gated, quick
from tests.crash.stage import CLAIM, RECOVERY, SETTLE, Gates, Stage, kinds, late_results, settled
from tests.eventually import eventually
from tests.proxy.proxy import Proxy

pytestmark = pytest.mark.crash


@pytest.mark.sqlite_too
def test_killed_in_the_middle_of_a_body_the_run_begins_again_and_ends_once(
    runtime: str, stage: Stage, gates: Gates
):
    run = gated.trigger()
    first = stage.worker()
    gates.wait_inside(run)
    first.kill()
    gates.open()
    stage.worker()
    row = settled(run)
    assert (row.attempt, row.crash_count, row.result["attempt"]) == (2, 1, 2)
    assert gates.starts(run) == [1, 2]
    assert kinds(run) == ["triggered", "started", "worker_lost", "started", "completed"]


@pytest.mark.mariadb_too
def test_killed_between_the_claim_and_the_body_the_body_begins_once(
    runtime: str, stage: Stage, gates: Gates, proxy: Proxy
):
    run = quick.trigger()  # before the worker: its very first claim finds the run
    proxy.lose_the_answer_to(CLAIM, silently=True)
    first = stage.worker(port=proxy.port)
    eventually(lambda: Claim.objects.filter(run_id=run.id).exists())
    assert proxy.lost == 1
    first.kill()
    stage.worker()
    row = settled(run)
    assert (row.attempt, row.crash_count) == (2, 1)
    assert gates.starts(run) == [2]


@pytest.mark.mariadb_too
def test_killed_between_the_body_and_its_record_the_body_runs_twice_and_counts_once(
    stage: Stage, gates: Gates, proxy: Proxy
):
    run = gated.trigger()
    first = stage.worker(port=proxy.port)
    gates.wait_inside(run)
    proxy.blackhole()
    gates.open()
    gates.wait_ended(run)
    first.kill()
    stage.worker()
    row = settled(run)
    assert (row.attempt, row.crash_count, row.result["attempt"]) == (2, 1, 2)
    assert gates.starts(run) == [1, 2]
    assert kinds(run).count("completed") == 1


@pytest.mark.mariadb_too
def test_killed_while_its_record_is_on_the_way_the_run_ends_once_all_the_same(
    stage: Stage, gates: Gates, proxy: Proxy
):
    """The settle was sent, the process died, and only then it reaches the database: it is either first or fenced."""
    run = gated.trigger()
    first = stage.worker(port=proxy.port)
    gates.wait_inside(run)
    proxy.hold_back(SETTLE)
    gates.open(run, attempt=1)
    eventually(lambda: proxy.held)
    first.kill()
    stage.worker()
    gates.wait_inside(run, attempt=2)
    proxy.deliver()
    gates.open()
    assert settled(run).result["attempt"] == 2
    assert late_results(run) == 0  # nobody lives who could have asked
    assert kinds(run) == ["triggered", "started", "worker_lost", "started", "completed"]


@pytest.mark.mariadb_too
def test_what_kills_its_process_again_and_again_fails_as_worker_lost_and_its_neighbour_completes(
    stage: Stage, gates: Gates
):
    neighbour = gated.trigger()
    first = stage.worker()
    gates.wait_inside(neighbour)
    killer = deadly.using(queue="email").trigger(["exit 0", "exit 137", "kill"])
    assert first.ends(within=10) == 0  # and that is no success
    gates.open()
    stage.worker("--queues", "default")
    assert settled(neighbour).crash_count == 1
    for code in (137, -9):
        assert stage.worker("--queues", "email", wait=False).ends(within=RECOVERY + 5) == code
    row = settled(killer, "failed")
    assert (row.reason, row.attempt, row.crash_count) == ("worker_lost", 3, 3)
    assert gates.starts(killer) == [1, 2, 3]
    assert "3 workers were lost" in row.error["message"]
