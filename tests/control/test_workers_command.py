from __future__ import annotations

import pytest

from openqueue.models import AuditLog, Worker
from openqueue.store import store, wishes
from tests.control.builders import make_run, make_worker

pytestmark = pytest.mark.django_db


def test_the_list_is_for_people(manage):
    assert manage("openqueue_workers", "list").out == "No worker is there. Start one: `openqueue_worker`.\n"
    worker = make_worker(queues=["email"])
    for _ in range(3):
        make_run(status="running", worker=worker)
    manage("openqueue_workers", "quiet", worker, "--actor", "ada")
    out = manage("openqueue_workers", "list").out
    assert out.split()[:5] == ["ID", "WORKER", "STATE", "BUSY", "HEARTBEAT"]
    for word in (str(worker)[:8], "web-1:4711", "running, told to be quiet by ada", "app.add", "1 more"):
        assert word in out
    wishes.show(store(), worker, command="quiet")
    assert "quiet by ada" in manage("openqueue_workers", "list", "--queue", "email").out
    assert "web-1" not in manage("openqueue_workers", "list", "--queue", "other").out


def test_the_json_twin_has_these_fields(manage):
    make_run(status="running", worker=make_worker())
    (worker,) = manage("openqueue_workers", "list", "--json").json["workers"]
    assert list(worker) == [
        "id", "host", "pid", "version", "release", "language", "state", "runtimes", "queues", "slots", "busy", "claims",
        "lag", "memory",
        "started_at", "heartbeat_age", "lease_left", "command", "command_by", "command_age", "bodies",
    ]  # fmt: skip
    assert list(worker["bodies"][0]) == [
        "run_id",
        "task_id",
        "queue",
        "attempt",
        "seconds",
        "cancel_requested",
    ]


def test_workers_are_told_by_name_or_by_what_they_serve(manage):
    first, mail = make_worker(), make_worker(queues=["mail"])
    answer = manage("openqueue_workers", "quiet", str(first)[:8], "--reason", "deploy", "--json")
    assert answer.json == [{"worker": str(first), "answer": "asked"}]
    assert AuditLog.objects.get().reason == "deploy"
    assert "asked" in manage("openqueue_workers", "resume", first).out
    assert manage("openqueue_workers", "stop", "--queue", "mail", "--json").json == [
        {"worker": str(mail), "answer": "asked"}
    ]
    assert manage("openqueue_workers", "stop", "--host", "nowhere").out == "No such worker is there.\n"
    assert dict(Worker.objects.values_list("pk", "command")) == {first: "", mail: "stop"}


@pytest.mark.parametrize("words", [[], ["x", "--all"], ["x", "--queue", "mail"]])
def test_it_must_be_clear_who_is_told(manage, words):
    make_worker()
    answer = manage("openqueue_workers", "stop", *words)
    assert (answer.code, "--queue, --host or --all" in answer.error) == (1, True)
    assert not Worker.objects.exclude(command="").exists()


def test_a_worker_that_is_gone_is_an_error_where_it_was_named(manage):
    worker = make_worker()
    Worker.objects.update(state="lost")
    answer = manage("openqueue_workers", "quiet", worker)
    assert (answer.code, "is gone hears nothing" in answer.error) == (1, True)
    assert manage("openqueue_workers", "quiet", "--all").code == 0
    assert "openqueue_workers list" in manage("openqueue_workers", "quiet", "web-7:1").error


def test_quiet_workers_may_be_waited_for_and_not_longer_than_asked(manage):
    worker = make_worker()
    wishes.show(store(), worker, command="quiet")
    assert manage("openqueue_workers", "quiet", worker, "--wait").code == 0
    make_run(status="running", worker=worker)
    answer = manage("openqueue_workers", "quiet", worker, "--wait", "--timeout", "0.02")
    assert (answer.code, "Still there after 0.020 s: web-1:4711 (quiet)" in answer.error) == (1, True)
