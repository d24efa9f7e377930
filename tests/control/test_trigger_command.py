from __future__ import annotations

import io
import re
import threading
from datetime import UTC, datetime

import pytest
from django.db import connections

from openqueue.models import AuditLog, Outbox, Run
from tests.control.builders import claim, clock, end
from tests.eventually import eventually

ARGUMENTS = '{"a": 1, "b": 2}'


def test_the_cli_triggers_a_task_by_id(db, manage):
    answer = manage("openqueue_trigger", "app.add", "--payload", ARGUMENTS, "--actor", "ada")
    run = Run.objects.get()
    assert (answer.code, run.payload) == (0, {"a": 1, "b": 2})
    assert answer.out.startswith(f"app.add {run.pk}\n")
    assert "status  queued" in answer.out
    assert AuditLog.objects.get().actor == "ada"


def test_the_json_twin_is_the_run(db, manage):
    answer = manage("openqueue_trigger", "app.add", "--payload", ARGUMENTS, "--json")
    assert answer.json["id"] == str(Run.objects.get().pk)
    assert (answer.json["status"], answer.json["payload"]) == ("queued", {"a": 1, "b": 2})


def test_every_option_of_one_occasion_can_be_given(db, manage):
    manage(
        "openqueue_trigger", "app.add", "--payload", ARGUMENTS, "--queue", "email", "--priority", "-7",
        "--run-at", "2099-03-01T09:00", "--max-attempts", "9", "--ttl", "2h", "--timeout", "1.5",
        "--tag", "a", "--tag", "b c",
    )  # fmt: skip
    run = Run.objects.get()
    assert (run.queue, run.priority, run.max_attempts, run.tags) == ("email", -7, 9, ["a", "b c"])
    assert run.options == {"timeout": 1.5}
    assert run.scheduled_for == datetime(2099, 3, 1, 8, 0, tzinfo=UTC)  # TIME_ZONE is Berlin
    assert (run.expires_at - run.scheduled_for).total_seconds() == 7_200


def test_a_delay_is_seconds_or_has_a_unit(db, manage):
    manage("openqueue_trigger", "app.add", "--payload", ARGUMENTS, "--delay", "10m")
    run = Run.objects.get()
    assert (run.status, round((run.scheduled_for - run.created_at).total_seconds())) == ("scheduled", 600)


def test_arguments_come_from_a_file_or_from_standard_input(db, manage, tmp_path, monkeypatch):
    file = tmp_path / "arguments.json"
    file.write_text(ARGUMENTS)
    manage("openqueue_trigger", "app.add", "--payload-file", file)
    monkeypatch.setattr("sys.stdin", io.StringIO('{"a": 3, "b": 4}'))
    manage("openqueue_trigger", "app.add", "--payload-file", "-")
    assert [run.payload["a"] for run in Run.objects.order_by("pk")] == [1, 3]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["app.add", "--payload", "{a: 1}"], "--payload is not valid JSON"),
        (["app.add", "--payload", "NaN"], "--payload is not valid JSON"),
        (
            ["app.add", "--payload", "[1, 2]"],
            r"--payload must be a JSON object of arguments by name, not \[1, 2\]",
        ),
        (["app.add", "--payload-file", "/nowhere"], "--payload-file /nowhere cannot be read: .*No such file"),
        (
            ["app.add", "--payload", '{"a": 1, "c": 3}'],
            "(?s)does not fit app.add:\n  c is .*\n  b is missing",
        ),
        (["app.ad"], "No task of this name is registered.*Did you mean app.add?"),
        (["app.add", "--payload", ARGUMENTS, "--queue", "Not A Name"], "queue='Not A Name' must match"),
        (["app.add", "--payload", ARGUMENTS, "--priority", "101"], "priority=101 must be"),
        (
            ["app.add", "--payload", ARGUMENTS, "--delay", "1", "--run-at", "2099-01-01"],
            "delay= and run_at= cannot",
        ),
        (["app.add", "--payload", ARGUMENTS, "--delay", "soon"], "'soon' is no duration"),
        (["app.add", "--payload", ARGUMENTS, "--run-at", "noon"], "'noon' is no moment"),
        (["app.add", "--payload", ARGUMENTS, "--actor", " "], "--actor: actor ' ' must be"),
        (["app.add", "--payload", ARGUMENTS, "--payload-file", "-"], "not allowed with argument"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_written(db, manage, words, complaint):
    answer = manage("openqueue_trigger", *words)
    assert answer.code != 0
    assert re.search(complaint, answer.error), answer.error
    assert not Run.objects.exists()


@pytest.fixture
def worker(publisher):
    """Somebody else who ends the next due run in the way a test says."""
    threads = []

    def ending(status, **how):
        def work():
            try:
                place = eventually(Outbox.objects.first)
                end(claim(place.run_id), status=status, at=clock(), **how)
            finally:
                connections.close_all()

        threads.append(threading.Thread(target=work))
        threads[-1].start()

    yield ending
    for thread in threads:
        thread.join()


def test_waiting_shows_the_result(transactional_db, manage, worker):
    worker("completed", result={"sum": 3}, seconds=1.5)
    answer = manage("openqueue_trigger", "app.add", "--payload", ARGUMENTS, "--wait", "10")
    assert answer.code == 0
    for line in ("status  completed", "took    1.5 s", 'result  {"sum": 3}'):
        assert line in answer.out


def test_waiting_for_a_run_that_fails_exits_1(transactional_db, manage, worker):
    worker("failed")
    answer = manage("openqueue_trigger", "app.add", "--payload", ARGUMENTS, "--wait", "10", "--json")
    assert (answer.code, answer.json["status"], answer.json["error"]["type"]) == (1, "failed", "ValueError")
    assert "ended failed (error): ValueError: no such order" in answer.error


def test_waiting_in_vain_exits_1_and_the_run_goes_on(transactional_db, manage, publisher):
    answer = manage("openqueue_trigger", "app.add", "--payload", ARGUMENTS, "--wait", "0.02")
    assert answer.code == 1
    assert f"It goes on: `openqueue_runs show {Run.objects.get().pk}`" in answer.error
    assert Run.objects.get().status == "queued"
