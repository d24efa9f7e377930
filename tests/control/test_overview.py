from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection

from openqueue.control import overview
from openqueue.models import Flow, Outbox, Schedule, Sweep
from openqueue.store import store
from tests.app.tasks import add
from tests.control.builders import clock, make_run, make_worker, pause

pytestmark = pytest.mark.django_db
MEMORY = {"BACKEND": "openqueue.runtimes.memory.MemoryRuntime"}


def ago(**units):
    return clock() - timedelta(**units)


def findings():
    return {(finding.id, finding.subject) for finding in overview.read().findings}


def queue(name="default"):
    return next(q for q in overview.read().queues if q.name == name)


def test_an_idle_system_is_healthy():
    seen = overview.read()
    assert (seen.healthy, seen.findings, seen.database.ok) == (True, [], True)
    assert [(r.alias, r.ok) for r in seen.runtimes] == [("default", True)]
    assert abs(seen.at - clock()) < timedelta(seconds=5)


def test_a_queue_tells_its_depths_and_ages():
    for status in ("queued", "queued", "scheduled", "retrying", "running", "completed"):
        make_run(status=status, at=ago(seconds=40))
    seen = queue()
    assert (seen.due, seen.later, seen.running, seen.workers) == (2, 2, 1, 0)
    assert 40 <= seen.oldest_due < 60
    assert (seen.unflipped, seen.unannounced, seen.oldest_unannounced) == (None, 0, None)


def test_due_runs_that_no_live_worker_serves_are_a_finding():
    make_run(queue="email")
    make_worker(queues=["default"])
    assert findings() == {("no_worker", "queue email")}
    make_worker(queues=["email"], at=ago(hours=1))
    assert findings() == {("no_worker", "queue email")}
    make_worker(queues=["default", "email"])
    assert findings() == set()
    assert queue("email").workers == 1


def test_a_delayed_run_needs_no_worker_yet():
    make_run(status="scheduled")
    assert findings() == set()


def test_a_backlog_that_is_overdue_is_a_finding():
    make_worker()
    make_run(at=ago(minutes=4))
    assert findings() == set()
    make_run(at=ago(minutes=6))
    assert findings() == {("overdue", "queue default")}


def test_a_paused_queue_is_a_decision_and_no_finding():
    make_run(at=ago(hours=1))
    pause("default")
    assert findings() == set()
    seen = queue()
    assert (seen.paused, seen.paused_by, seen.pause_reason) == (True, "ada", "provider is down")


def test_rows_that_fell_due_while_nobody_sweeps_are_a_finding():
    make_run(status="scheduled", at=ago(seconds=60), delay=30)
    assert findings() == {("no_sweep_of_due_rows", "queue default")}
    store().flip_ready(limit=10)
    make_worker()
    assert findings() == set()


def test_runs_of_a_task_that_no_worker_knows_are_a_finding():
    make_worker()
    make_run(at=ago(seconds=30))
    put_back = store().defer_unknown(
        runtime="default", queues=["default"], known=["other"], older_than=timedelta(0), limit=10
    )
    assert put_back
    assert findings() == {("unknown_task", "queue default")}


def test_claims_that_no_reaper_returned_are_a_finding():
    late = make_worker(at=ago(minutes=2))
    make_run(status="running", worker=late)
    assert findings() == {("stranded", "workers")}


def test_a_lease_that_just_ended_is_left_to_the_reaper():
    late = make_worker(at=ago(seconds=35))
    make_run(status="running", worker=late)
    assert findings() == set()
    (worker,) = overview.read().workers
    assert (worker.state, worker.claims, worker.is_alive) == ("late", 1, False)
    assert 35 <= worker.heartbeat_age < 60
    assert -30 < worker.lease_left <= -5


def test_workers_that_live_while_nobody_sweeps_are_a_finding():
    make_worker(at=ago(minutes=10), lease=timedelta(hours=1))
    assert findings() == {("no_sweeps", "sweeps")}
    Sweep.objects.create(name="reap", last_at=ago(minutes=5))
    assert findings() == {("no_sweeps", "sweeps")}
    Sweep.objects.update(last_at=clock())
    assert findings() == set()


def test_a_lost_worker_is_listed_until_retention_takes_it():
    make_worker(at=ago(minutes=2))
    store().mark_lost(limit=10)
    (worker,) = overview.read().workers
    assert (worker.state, worker.is_alive) == ("lost", False)
    store().declare_lost(make_worker())
    gone = make_worker()
    store().resign(gone)
    assert gone not in {worker.id for worker in overview.read().workers}


def test_a_broker_that_does_not_answer_is_a_finding_with_its_own_words(settings):
    down = {"BACKEND": "tests.broker.runtime.BrokerRuntime", "OPTIONS": {"port": 1}}
    settings.OPENQUEUE = {"RUNTIMES": {"events": down}}
    seen = overview.read()
    assert [(r.alias, r.ok) for r in seen.runtimes] == [("events", False), ("default", True)]
    (finding,) = seen.findings
    assert (finding.id, finding.subject) == ("runtime", "runtime events")
    assert "refused" in finding.message


def test_due_runs_that_their_broker_was_not_told_of_are_a_finding(settings):
    settings.OPENQUEUE = {"RUNTIMES": {"default": MEMORY}}
    make_worker()
    make_run(at=ago(seconds=60))
    make_run()
    assert findings() == {("unannounced", "queue default")}
    assert (queue().unannounced, queue().oldest_unannounced >= 60) == (2, True)
    Outbox.objects.update(announced_at=clock())
    assert findings() == set()


def test_what_a_worker_put_back_is_a_finding_only_when_its_next_turn_is_long_past(settings):
    settings.OPENQUEUE = {"RUNTIMES": {"default": MEMORY}}
    make_worker()
    make_run(at=ago(seconds=60))
    Outbox.objects.update(last_error="no_slot", announce_at=clock() + timedelta(seconds=1))
    assert findings() == set()
    assert (queue().unannounced, queue().oldest_unannounced) == (1, None)
    Outbox.objects.update(announce_at=ago(seconds=40))
    assert findings() == {("unannounced", "queue default")}


def test_what_waits_for_the_rest_of_its_queue_to_be_worked_off_is_no_finding(settings, monkeypatch):
    settings.OPENQUEUE = {"RUNTIMES": {"default": MEMORY}}
    make_worker()
    told = [make_run(at=ago(seconds=60)) for _ in range(3)][:2]
    Outbox.objects.filter(pk__in=told).update(announced_at=clock())
    assert findings() == {("unannounced", "queue default")}
    monkeypatch.setattr("openqueue.control.findings.WINDOW", 2)
    assert findings() == set()


def test_runs_of_a_runtime_that_the_settings_forgot_are_a_finding(settings):
    settings.OPENQUEUE = {"RUNTIMES": {"old": MEMORY}, "QUEUES": {"email": {"runtime": "old"}}}
    make_run(queue="email")
    settings.OPENQUEUE = {}
    assert ("unknown_runtime", "queue email") in findings()


def test_finished_runs_are_counted_for_the_last_hour_and_so_far(monkeypatch):
    for status in ("completed", "completed", "completed", "failed", "cancelled", "expired"):
        make_run(status=status, at=ago(minutes=30))
    make_run(status="completed", at=ago(minutes=70))
    assert overview.read().finished_last_hour == {"cancelled": 1, "completed": 3, "expired": 1, "failed": 1}
    monkeypatch.setattr(overview, "COUNTED", 2)
    assert overview.read().finished_last_hour["completed"] == 2


def test_a_database_without_the_tables_is_a_finding_and_no_crash(without_table):
    without_table("openqueue_claim")
    seen = overview.read()
    assert (seen.healthy, seen.database.ok, seen.at, seen.queues) == (False, False, None, ())
    (finding,) = seen.findings
    assert finding.id == "database"
    assert "openqueue_claim" in finding.message
    assert "migrate" in finding.remedy


@pytest.mark.parametrize("size", [1, 20])
def test_looking_costs_the_same_whatever_there_is(size, django_assert_num_queries):
    for number in range(size):
        make_run(queue=f"q{number}")
        make_run(status="running", queue=f"q{number}", worker=make_worker(queues=[f"q{number}"]))
        make_run(status="completed")
    with django_assert_num_queries(11 + (connection.vendor != "sqlite")):
        assert len(overview.read().queues) > size


def test_schedules_that_nobody_ticks_are_told():
    schedule = add.schedules.create(every=60, payload={"a": 1, "b": 2}, key="each minute")
    assert not [one for one in overview.read().findings if one.id == "schedules_late"]
    Schedule.objects.filter(pk=schedule.row.pk).update(next_at=ago(seconds=10))
    assert not [one for one in overview.read().findings if one.id == "schedules_late"]
    Schedule.objects.filter(pk=schedule.row.pk).update(next_at=ago(minutes=5))
    (finding,) = [one for one in overview.read().findings if one.id == "schedules_late"]
    assert "1 due and not triggered, one for 30" in finding.message
    schedule.pause()
    assert not [one for one in overview.read().findings if one.id == "schedules_late"]


def test_a_flow_that_waits_for_an_operator_is_told_by_name():
    made = Flow.objects.create(name="order 7", policy="block", created_at=clock(), checked_at=clock())
    Flow.objects.filter(pk=made.pk).update(status="blocked")
    (finding,) = [one for one in overview.read().findings if one.id == "flows_blocked"]
    assert f"order 7 {made.pk}" in finding.message
