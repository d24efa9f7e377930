from __future__ import annotations

import getpass
from datetime import timedelta
from uuid import uuid4

import pytest

from openqueue.models import AuditLog, Run
from openqueue.store import store
from openqueue.types import LogLine
from tests.control.builders import NOW, clock, log_in, make_run

pytestmark = pytest.mark.django_db
LINE = [
    "id", "task_id", "queue", "runtime", "status", "reason", "priority", "attempt", "max_attempts", "crash_count",
    "cycle", "tags", "created_at", "scheduled_for", "due_at", "waits_for", "started_at", "finished_at", "seconds",
    "cancel_requested",
]  # fmt: skip


def test_the_list_is_a_table_newest_first(manage):
    first, second = make_run(status="failed"), make_run(queue="email")
    answer = manage("openqueue_runs", "list")
    header, newest, oldest = answer.out.splitlines()
    assert header.split() == ["RUN", "TASK", "QUEUE", "STATUS", "ATTEMPT", "CREATED", "DUE", "TOOK"]
    assert newest.startswith(f"{second}  app.add  email    queued")
    assert oldest.startswith(f"{first}  app.add  default  failed (error)  1/3")


def test_the_json_twin_of_the_list_has_these_fields(manage):
    run = make_run(status="completed")
    listed = manage("openqueue_runs", "list", "--status", "completed", "--json").json
    assert list(listed) == ["runs", "searched_all", "stopped", "problems"]
    assert list(listed["runs"][0]) == LINE
    assert (listed["runs"][0]["id"], listed["searched_all"]) == (str(run), True)


def test_every_filter_reaches_the_list(manage):
    make_run(at=clock() - timedelta(hours=2), queue="email", tags=["vip"])
    wanted = make_run(queue="email", tags=["vip"])
    make_run(queue="email")
    listed = manage(
        "openqueue_runs", "list", "--queue", "email", "--task", "app.add", "--tag", "vip", "--since", "1h",
        "--limit", 5, "--status", "queued", "--json",
    )  # fmt: skip
    assert [run["id"] for run in listed.json["runs"]] == [str(wanted)]


def test_an_empty_list_says_so(manage):
    assert manage("openqueue_runs", "list", "--status", "failed").out == "No such runs.\n"
    assert manage("openqueue_runs", "list", "--json").json["runs"] == []


@pytest.mark.parametrize(
    ("option", "value", "complaint"),
    [
        ("--status", "broken", "invalid choice: 'broken'"),
        ("--since", "yesterday", "'yesterday': write how long ago"),
        ("--limit", "0", "'0' must be a whole number above 0"),
    ],
)
def test_a_wrong_filter_is_named(manage, option, value, complaint):
    answer = manage("openqueue_runs", "list", option, value)
    assert option in answer.error
    assert complaint in answer.error


def test_one_run_is_shown_with_timeline_and_log(manage):
    run = make_run(status="failed", at=NOW, seconds=1.5, tags=["vip"])
    store().note(
        progress=[], logs=[LogLine(run, 1, 30, "slow \x1b[2Janswer", 0.0)], now=NOW + timedelta(seconds=1)
    )
    answer = manage("openqueue_runs", "show", run)
    lines = [" ".join(line.split()) for line in answer.out.splitlines()]
    assert lines[0] == f"app.add {run}"
    for line in (
        "status failed (error)",
        "attempt 1 of 3",
        "created 2027-03-01 10:00:00",  # TIME_ZONE is Berlin
        "took 1.5 s",
        'arguments {"a": 1, "b": 2}',
        "ValueError: no such order",
        "+0.000 s #0 triggered",
        '+1.5 s #1 failed {"error": "ValueError: no such order", "reason": "error"}',
        r"+1.0 s #1 warning slow \x1b[2Janswer",
    ):
        assert line in lines


def test_the_json_twin_of_one_run_has_these_fields(manage):
    shown = manage("openqueue_runs", "show", make_run(status="completed", at=NOW), "--json").json
    assert list(shown) == [
        *LINE, "payload", "result", "error", "meta", "options", "worker_id", "expires_at", "traceparent", "replay_of",
        "flow_id",
        "timeline", "timeline_left_off", "logs", "logs_left_off",
    ]  # fmt: skip
    assert list(shown["timeline"][0]) == ["at", "after", "kind", "attempt", "version", "actor", "data"]
    assert (shown["created_at"], shown["result"]) == ("2027-03-01T09:00:00+00:00", 3)


def test_a_run_is_shown_by_the_beginning_of_its_id(manage):
    run = make_run()
    assert manage("openqueue_runs", "show", run.hex[:20], "--json").json["id"] == str(run)


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_secret_arguments_are_not_shown(manage, form):
    run = make_run(task=log_in, payload={"user": "ada", "password": "hunter22"})
    out = manage("openqueue_runs", "show", run, *form).out
    assert "[secret]" in out
    assert "hunter22" not in out
    assert "$secret" not in out


def test_retry_answers_for_each_run_and_records_who_asked(manage):
    done, queued = make_run(status="failed"), make_run()
    answer = manage("openqueue_runs", "retry", done, queued, "--reason", "mended")
    assert answer.code == 1
    assert [line.split() for line in answer.out.splitlines()] == [
        ["RUN", "ANSWER"],
        [str(done), "requeued"],
        [str(queued), "unfinished"],
    ]
    assert Run.objects.get(pk=done).cycle == 2
    audit = AuditLog.objects.get()
    assert (audit.actor, audit.reason) == (getpass.getuser(), "mended")


def test_cancel_answers_for_each_run(manage):
    waiting, running = make_run(), make_run(status="running")
    answer = manage("openqueue_runs", "cancel", waiting, running, "--actor", "ada", "--json")
    assert (answer.code, answer.json) == (
        0,
        [{"id": str(waiting), "answer": "cancelled"}, {"id": str(running), "answer": "requested"}],
    )
    assert set(AuditLog.objects.values_list("actor", flat=True)) == {"ada"}


@pytest.mark.parametrize("act", ["retry", "cancel"])
def test_a_run_that_is_not_there_is_answered_missing(manage, act):
    missing = uuid4()
    answer = manage("openqueue_runs", act, missing, "--json")
    assert (answer.code, answer.json) == (1, [{"id": str(missing), "answer": "missing"}])


@pytest.mark.parametrize("act", ["show", "retry", "cancel"])
def test_nothing_is_done_when_one_id_is_unclear(manage, act):
    run = make_run()
    words = [run, "ffffffff"] if act != "show" else ["ffffffff"]
    answer = manage("openqueue_runs", act, *words)
    assert "No run's id begins with 'ffffffff'" in answer.error
    assert Run.objects.get().status == "queued"


def test_the_list_takes_a_search_and_names_what_it_leaves_out(manage, capsys):
    make_run(status="failed", queue="email")
    wanted = make_run(status="failed")
    answer = manage("openqueue_runs", "list", "--search", "error:ValueError -queue:email que:x", "--json")
    assert [run["id"] for run in answer.json["runs"]] == [str(wanted)]
    assert [problem["field"] for problem in answer.json["problems"]] == ["que"]
    manage("openqueue_runs", "list", "--search", "que:x")
    assert "Left out: Unknown field `que:`. Known: status" in capsys.readouterr().err
