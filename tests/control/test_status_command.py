from __future__ import annotations

import pytest
from django.core.checks import Error, register, registry
from django.db import connection

from openqueue.store import store
from tests.control.builders import make_run, make_worker, pause

pytestmark = pytest.mark.django_db


def test_a_healthy_system_is_told_to_people_and_exits_0(manage):
    make_worker(queues=["default", "email"])
    make_run(queue="email")
    make_run(status="completed")
    answer = manage("openqueue_status")
    assert answer.code == 0
    for word in ("QUEUE", "email", "WORKER", "web-1:4711", "COMPLETED", "in the last hour", "Healthy."):
        assert word in answer.out


def test_a_degraded_system_says_what_to_do_and_exits_1(manage):
    make_run(queue="email")
    answer = manage("openqueue_status")
    assert answer.code == 1
    assert "queue email: 1 due, and no live worker serves the queue." in answer.out
    assert "Start one: `openqueue_worker --queues email`." in answer.out


def test_check_tells_the_findings_alone(manage):
    assert manage("openqueue_status", "--check") == (0, "Healthy.\n", "")
    make_run()
    answer = manage("openqueue_status", "--check")
    assert answer.code == 1
    assert answer.out.startswith("Degraded.\nqueue default: ")
    assert "WORKERS" not in answer.out


def test_the_json_twin_has_these_fields(manage):
    make_worker()
    make_run(queue="email")
    pause("old")
    answer = manage("openqueue_status", "--json")
    assert answer.code == 1
    seen = answer.json
    assert list(seen) == [
        "healthy", "at", "database", "runtimes", "queues", "workers", "finished_last_hour", "counted_to", "sweeps",
        "findings",
    ]  # fmt: skip
    assert seen["database"] == {"alias": "default", "vendor": connection.vendor, "ok": True, "detail": ""}
    assert list(seen["runtimes"][0]) == ["alias", "backend", "ok", "detail"]
    assert list(seen["queues"][0]) == [
        "name", "runtime", "paused", "paused_by", "pause_reason", "paused_for", "due", "later", "waiting", "running",
        "oldest_due", "unflipped", "unannounced", "oldest_unannounced", "unknown_task", "workers", "behaviour",
        "draining", "closed_by", "close_reason", "closed_for",
    ]  # fmt: skip
    assert list(seen["workers"][0]) == [
        "id", "host", "pid", "version", "release", "language", "state", "runtimes", "queues", "slots", "busy", "claims",
        "lag", "memory",
        "started_at", "heartbeat_age", "lease_left", "command", "command_by", "command_age",
    ]  # fmt: skip
    assert [(f["id"], f["subject"]) for f in seen["findings"]] == [("no_worker", "queue email")]


def test_an_overloaded_worker_is_told(manage):
    worker = make_worker()
    assert "overloaded" not in manage("openqueue_status").out
    store().note_lag(worker, seconds=1.25)
    assert "running, overloaded (1.2 s late)" in manage("openqueue_status").out


def test_check_has_a_json_twin_too(manage):
    assert manage("openqueue_status", "--check", "--json").json == {"healthy": True, "findings": []}


def test_a_database_without_the_tables_is_told_not_raised(manage, without_table):
    without_table("openqueue_outbox")
    answer = manage("openqueue_status")
    assert answer.code == 1
    assert "migrate" in answer.out


def test_a_mistake_in_the_settings_is_told_not_raised(manage, settings):
    settings.OPENQUEUE = {"LEASE": -1}
    answer = manage("openqueue_status")
    assert answer.code == 1
    assert "OPENQUEUE['LEASE'] is -1" in answer.error


def test_a_probe_does_not_run_the_checks_of_the_whole_project(manage):
    def broken(**_):
        return [Error("the project has a mistake")]

    register(broken)
    try:
        assert manage("openqueue_status", "--check").code == 0
    finally:
        registry.registry.registered_checks.remove(broken)
