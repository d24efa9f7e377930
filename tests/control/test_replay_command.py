from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from openqueue.models import AuditLog, Run, RunEvent, RuntimeOffset
from tests.control.builders import make_run

pytestmark = pytest.mark.django_db
EXECUTE = ("--execute", "--accept-side-effects", "nothing was sent", "--actor", "ada")


def new_runs() -> list[Run]:
    return list(Run.objects.filter(replay_of__isnull=False))


@pytest.fixture
def replay(manage: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *words: manage("openqueue_replay", "--task", "app.add", *words)


def test_without_execute_it_says_what_it_would_make_and_writes_nothing(replay):
    make_run(status="failed")
    waiting = make_run()
    before = RunEvent.objects.count()
    said = replay().out
    assert "1 new runs would be made." in said
    assert f"unfinished: {waiting}" in said
    assert "Nothing was written." in said
    assert (new_runs(), RuntimeOffset.objects.count(), RunEvent.objects.count()) == ([], 0, before)


@pytest.mark.parametrize("more", [(), ("--accept-side-effects", " ")])
def test_it_is_refused_until_somebody_says_why_side_effects_may_happen_again(replay, more):
    make_run(status="failed")
    answer = replay("--execute", *more)
    assert "--accept-side-effects" in answer.error
    assert new_runs() == []


def test_executed_it_says_what_it_made_and_who_said_why_is_on_record(replay):
    make_run(status="failed")
    said = replay(*EXECUTE).out
    assert "1 new runs made." in said
    assert len(new_runs()) == 1
    begin = AuditLog.objects.get(act="replay.begin")
    assert (begin.actor, begin.reason) == ("ada", "nothing was sent")


def test_scripts_get_the_report(replay):
    past = make_run(status="failed")
    report = replay(*EXECUTE, "--json").json
    assert (report["count"], report["finished"], report["by_task"]) == (1, True, {"app.add": 1})
    (out,) = replay("--json", "--status", "failed").json["left"]
    assert (out["reason"], out["count"], out["examples"]) == ("replayed_before", 1, [[str(past), ""]])


def test_show_names_the_past_run_and_the_new_one(replay, manage):
    past = make_run(status="failed")
    replay(*EXECUTE)
    (new,) = new_runs()
    assert f"replay of  {past}" in manage("openqueue_runs", "show", new.pk).out
    assert str(new.pk) in manage("openqueue_runs", "show", past).out


def test_all_that_ever_ran_must_be_asked_for_by_some_condition(manage):
    assert "Say which runs" in manage("openqueue_replay").error


@pytest.mark.parametrize(
    ("option", "wrong", "said"),
    [
        ("--rate", "50", "50/s"),
        ("--rate", "0/s", "no rate"),
        ("--to-queue", "Slow Lane", "name of a queue"),
        ("--id", "0190a5f2", "No run's id begins"),
        ("--status", "queued", "invalid choice"),
    ],
)
def test_a_wrong_option_is_answered_with_what_it_takes(replay, option, wrong, said):
    assert said in replay(option, wrong).error
    assert new_runs() == []


def test_an_interrupted_one_is_left_where_it_is_when_it_is_begun_anew(replay, monkeypatch):
    def interrupted(*_: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr("openqueue.control.replay.pages.MOST", 1)
    for _ in range(2):
        make_run(status="failed")
    with monkeypatch.context() as broken, pytest.raises(RuntimeError):
        broken.setattr("openqueue.management.progress.show", interrupted)
        replay(*EXECUTE)
    said = replay(*EXECUTE, "--anew").out
    assert ("1 new runs made." in said, "replayed_before" in said, "interrupted" in said) == (
        True,
        True,
        False,
    )
