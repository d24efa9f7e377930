"""Acts on runs and on dead letters from the command line."""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from openqueue.control import bulk
from openqueue.control.actor import Actor
from openqueue.control.bulk import asking
from openqueue.models import AuditLog, DeadLetter, Outbox, Run
from tests.control.builders import NOW, clock, make_run

pytestmark = pytest.mark.django_db


def run_of(status: str, **options: Any) -> UUID:
    """Make a run whose story is over for a minute, so that an act means it."""
    return make_run(status=status, at=clock() - timedelta(minutes=1), **options)


def test_a_delayed_run_is_promoted(manage):
    run = make_run(status="scheduled")
    answer = manage("openqueue_runs", "promote", str(run)[:18], "--actor", "ada", "--reason", "now")
    assert (answer.code, answer.out.split()[-2:]) == (0, [str(run), "promoted"])
    assert Run.objects.get().status == "queued"
    assert manage("openqueue_runs", "promote", run).code == 1
    assert AuditLog.objects.get().reason == "now"


def test_a_waiting_run_gets_another_priority(manage):
    run = make_run()
    answer = manage("openqueue_runs", "prioritise", run, "--priority", "-7", "--json")
    assert answer.json == [{"id": str(run), "answer": "prioritised"}]
    assert Outbox.objects.get().priority == -7
    assert (
        "must be a whole number from -100 to 100"
        in manage("openqueue_runs", "prioritise", run, "--priority", "101").error
    )


def test_an_ended_run_is_discarded(manage):
    run = run_of("failed")
    assert manage("openqueue_runs", "discard", run).code == 0
    assert not Run.objects.exists()


def test_a_run_is_replayed_with_other_arguments(manage):
    old = run_of("failed")
    answer = manage("openqueue_runs", "replay", old, "--payload", '{"a": 8, "b": 9}', "--json").json
    assert (answer["outcome"], Run.objects.get(pk=answer["run"]["id"]).payload) == (
        "triggered",
        {"a": 8, "b": 9},
    )
    said = manage("openqueue_runs", "replay", old).out
    assert f"repeats {old}" in said


def test_what_stands_in_the_way_of_a_replay_is_named(manage):
    queued, failed = make_run(), run_of("failed")
    assert (
        "Only a run that has ended allows that. It is queued now."
        in manage("openqueue_runs", "replay", queued).error
    )
    assert "--payload is not valid JSON" in manage("openqueue_runs", "replay", failed, "--payload", "{").error
    assert "b" in manage("openqueue_runs", "replay", failed, "--payload", '{"a": 1}').error


def test_all_that_a_search_finds_are_retried(manage):
    for _ in range(3):
        run_of("failed")
    run_of("completed")
    answer = manage(
        "openqueue_runs", "bulk", "retry", "--filter", "status:failed", "--yes", "--reason", "mended"
    )
    assert answer.out == "3 retried.\n"
    answer = manage("openqueue_runs", "bulk", "retry", "--filter", "task:app.add", "--yes", "--json").json
    assert (answer["acted"], answer["skipped"], answer["state"]) == (1, {"unfinished": 3}, "done")
    listed = manage("openqueue_runs", "operations", "--json").json["operations"]
    assert [one["search"] for one in listed] == ["task:app.add", "status:failed"]
    assert "status:failed" in manage("openqueue_runs", "operations").out


def test_nothing_is_done_where_nobody_can_be_asked(manage, monkeypatch):
    run_of("failed")
    answer = manage("openqueue_runs", "bulk", "discard", "--filter", "status:failed")
    assert "`status:failed` finds 1 runs, and nobody is there to ask. Say --yes" in answer.error
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    asked = []
    monkeypatch.setattr("builtins.input", lambda question: asked.append(question) or "n")
    assert (
        manage("openqueue_runs", "bulk", "discard", "--filter", "status:failed").error == "Nothing was done."
    )
    assert asked == ["Discard 1 runs that `status:failed` finds? [y/N] "]
    assert Run.objects.count() == 1
    monkeypatch.setattr("builtins.input", lambda _: "y")
    assert manage("openqueue_runs", "bulk", "discard", "--filter", "status:failed").out == "1 discarded.\n"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["cancel", "--filter", "quee:mail"], "Unknown field `quee:`"),
        (["cancel", "--filter", ""], "Say which runs"),
        (["prioritise", "--filter", "status:queued"], "priority is missing"),
        (["cancel", "--filter", "status:queued", "--priority", "1"], "priority is no argument of cancel"),
        (["explode", "--filter", "status:queued"], "invalid choice: 'explode'"),
    ],
)
def test_a_wrong_wish_is_named(manage, words, error):
    assert error in manage("openqueue_runs", "bulk", *words, "--yes").error


def test_many_are_left_to_a_worker_when_asked(manage, monkeypatch, queued_runs):
    monkeypatch.setattr(asking, "INLINE", 1)
    for _ in range(3):
        make_run(status="scheduled")
    words = ["bulk", "cancel", "--filter", "status:scheduled", "--yes"]
    assert (
        "waits for a worker that serves the queue openqueue"
        in manage("openqueue_runs", *words, "--background").out
    )
    queued_runs.run_all()
    (one,) = manage("openqueue_runs", "operations", "--json").json["operations"]
    assert (one["state"], one["acted"]) == ("done", 3)


def test_one_that_was_interrupted_is_stopped_or_gone_on_with(manage):
    for _ in range(4):
        make_run(status="scheduled")
    asked = bulk.ask("cancel", "status:scheduled", actor=Actor(name="ada"), drives=True)
    bulk.step(asked.id, batch=1)
    assert manage("openqueue_runs", "resume", asked.id).out == "4 cancelled.\n"
    assert "nothing is left to stop" in manage("openqueue_runs", "stop", asked.id).error
    other = bulk.ask("cancel", "status:cancelled", actor=Actor(name="ada"), drives=True)
    answer = manage("openqueue_runs", "stop", other.id, "--actor", "bob").out
    assert "Stopped by bob." in answer


def test_an_interrupt_says_how_to_go_on(manage, monkeypatch):
    make_run(status="scheduled")

    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(bulk, "drive", interrupted)
    answer = manage("openqueue_runs", "bulk", "cancel", "--filter", "status:scheduled", "--yes")
    assert (answer.code, "Go on: openqueue_runs resume" in answer.error) == (130, True)


def test_dead_letters_are_listed_and_counted(manage):
    run, letter = run_of("failed"), DeadLetter.objects.create(
        runtime="default", queue="mail", reason="poison", sha256="0" * 64, size=900, head="7b22", at=NOW,
        origin={"offset": 7},
    )  # fmt: skip
    said = manage("openqueue_dead_letters", "list").out
    assert str(run) in said
    assert f"message:{letter.pk}" in said
    told = manage("openqueue_dead_letters", "list", "--json").json
    assert ([r["id"] for r in told["runs"]], [m["id"] for m in told["messages"]]) == ([str(run)], [letter.pk])
    counted = manage("openqueue_dead_letters", "groups", "--json").json
    assert {(g["kind"], g["count"]) for g in counted["groups"]} == {("run", 1), ("message", 1)}
    assert manage("openqueue_dead_letters", "groups").out.splitlines()[0].split() == [
        "KIND", "QUEUE", "TASK", "REASON", "COUNT", "FIRST", "LAST",
    ]  # fmt: skip


def test_dead_letters_are_requeued_and_discarded(manage):
    one, other = run_of("failed"), run_of("failed")
    letter = DeadLetter.objects.create(
        runtime="default", queue="mail", reason="poison", sha256="0" * 64, size=900, head="7b22", at=NOW
    ).pk
    assert manage("openqueue_dead_letters", "requeue", one).code == 0
    assert (
        "cannot be sent once more" in manage("openqueue_dead_letters", "requeue", f"message:{letter}").error
    )
    answer = manage(
        "openqueue_dead_letters", "discard", other, f"message:{letter}", "--reason", "old", "--json"
    )
    assert {row["answer"] for row in answer.json} == {"discarded"}
    assert "No dead runs." in manage("openqueue_dead_letters", "list").out
    assert "old" in manage("openqueue_dead_letters", "list", "--discarded").out
    assert "no dead letter 999" in manage("openqueue_dead_letters", "discard", "message:999").error
    assert "is no dead letter" in manage("openqueue_dead_letters", "discard", "message:x").error
    assert json.dumps(manage("openqueue_dead_letters", "groups", "--json").json["groups"]) == "[]"
