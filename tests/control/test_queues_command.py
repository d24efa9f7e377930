from __future__ import annotations

import io
import sys

import pytest

from openqueue.models import AuditLog, Outbox, QueueState
from tests.control.builders import make_run, make_worker

pytestmark = pytest.mark.django_db
MEMORY = {"BACKEND": "openqueue.runtimes.memory.MemoryRuntime"}


def test_the_list_is_for_people(manage):
    make_worker(queues=["email"])
    make_run(queue="email")
    make_run(queue="email", status="scheduled")
    manage("openqueue_queues", "pause", "sms", "--reason", "provider\x1b[31m is down", "--actor", "ada")
    out = manage("openqueue_queues", "list").out
    head, *rows = out.splitlines()
    assert head.split()[:5] == ["QUEUE", "RUNTIME", "STATE", "DUE", "LATER"]
    (email,) = [row for row in rows if row.startswith("email")]
    assert email.split()[:5] == ["email", "default", "open", "1", "1"]
    assert email.split()[-1] == "1"
    assert "paused by ada" in out
    assert "\x1b" not in out


def test_the_json_twin_has_these_fields(manage):
    make_run(queue="email")
    (line,) = manage("openqueue_queues", "list", "email", "--json").json["queues"]
    assert list(line) == [
        "name", "runtime", "paused", "paused_by", "pause_reason", "paused_for", "due", "later", "waiting", "running",
        "oldest_due", "unflipped", "unannounced", "oldest_unannounced", "unknown_task", "workers", "behaviour",
        "draining", "closed_by", "close_reason", "closed_for", "at_broker",
    ]  # fmt: skip
    assert (line["name"], line["due"], line["at_broker"]) == ("email", 1, None)


def test_a_queue_is_paused_and_resumed(manage, capsys):
    answer = manage("openqueue_queues", "pause", "default", "--actor", "ada", "--reason", "so", "--json")
    assert answer.json == [{"queue": "default", "answer": "paused"}]
    assert QueueState.objects.get().paused_by == "ada"
    assert "resumed" in manage("openqueue_queues", "resume", "default").out
    assert capsys.readouterr().err == ""


def test_a_name_that_may_be_mistyped_is_asked_about(manage, capsys):
    manage("openqueue_queues", "pause", "defualt")
    assert "Nothing names a queue 'defualt'" in (said := capsys.readouterr().err)
    assert "Did you mean default?" in said


def test_a_drained_queue_is_waited_for_and_not_longer_than_asked(manage):
    assert manage("openqueue_queues", "drain", "email").out == "Drained.\n"
    make_run(queue="email")
    make_run(queue="email", status="scheduled")
    answer = manage("openqueue_queues", "drain", "email", "sms", "--timeout", "0.02")
    assert answer.code == 1
    assert "Still email: 1 due, 0 running after 0.020 s" in answer.error
    Outbox.objects.filter(ready=True).delete()
    answer = manage("openqueue_queues", "drain", "email", "--json")
    assert answer.json == [{"queue": "email", "due": 0, "running": 0, "later": 1}]


def test_a_pause_may_wait_for_what_runs(manage):
    make_run(queue="default")
    make_run(queue="email", status="running")
    assert manage("openqueue_queues", "pause", "default", "--wait", "--timeout", "0.02").code == 0
    make_run(queue="other", status="running")
    manage("openqueue_queues", "pause", "other")
    answer = manage("openqueue_queues", "pause", "other", "--wait", "--timeout", "0.02")
    assert (answer.code, "1 running" in answer.error) == (1, True)
    assert "already paused" in answer.out


def test_clearing_asks_first(manage, monkeypatch):
    make_run(queue="email")
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    answer = manage("openqueue_queues", "clear", "email")
    assert (answer.code, "--yes" in answer.error) == (1, True)
    asked = []
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: asked.append(question) or "n")
    assert manage("openqueue_queues", "clear", "email").error == "Nothing was done."
    assert asked == ["Cancel 1 due and 0 later runs of queue email? [y/N] "]
    assert Outbox.objects.count() == 1
    monkeypatch.setattr("builtins.input", lambda _: "yes")
    assert manage("openqueue_queues", "clear", "email").out == "1 cancelled\n"


def test_clearing_by_a_script(manage):
    make_run(queue="email")
    answer = manage(
        "openqueue_queues", "clear", "email", "--yes", "--reason", "wrong", "--actor", "ada", "--json"
    )
    assert answer.json == {"queue": "email", "cancelled": 1}
    assert AuditLog.objects.get().reason == "wrong"
    assert manage("openqueue_queues", "clear", "email", "--yes").out == "Nothing waited.\n"


def test_a_move_reminds_of_the_setting(manage, settings, capsys):
    settings.OPENQUEUE = {"RUNTIMES": {"events": MEMORY}}
    make_run(queue="email")
    answer = manage("openqueue_queues", "move", "email", "--to", "events")
    assert answer.out.startswith("1 moved to events; 0 running")
    assert "OPENQUEUE['QUEUES']['email'] = {'runtime': 'events'}" in capsys.readouterr().err
    settings.OPENQUEUE = {"RUNTIMES": {"events": MEMORY}, "QUEUES": {"email": {"runtime": "events"}}}
    answer = manage("openqueue_queues", "move", "email", "--to", "events", "--json")
    assert answer.json == {
        "queue": "email",
        "runtime": "events",
        "waiting": 0,
        "running": 0,
        "setting": "events",
    }
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["pause", "A B"], "names match"),
        (["drain", "A B"], "names match"),
        (["move", "email", "--to", "nowhere"], "has no 'nowhere'"),
        (["pause", "default", "--actor", ""], "--actor"),
    ],
)
def test_what_is_wrong_is_said(words, said, manage):
    answer = manage("openqueue_queues", *words)
    assert (answer.code, said in answer.error) == (1, True)
