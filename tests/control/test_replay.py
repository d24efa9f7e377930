from __future__ import annotations

from datetime import timedelta
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from openqueue import registry, secrets
from openqueue.control import replay
from openqueue.control.actor import Actor
from openqueue.control.replay import Report, Wanted
from openqueue.control.replay.pace import Pace
from openqueue.control.run_ids import earliest_at
from openqueue.models import AuditLog, Outbox, Run, RunEvent, RuntimeOffset
from tests.app.tasks import add
from tests.control.builders import clock, log_in, make_run

pytestmark = pytest.mark.django_db
ADA = Actor(name="ada")
ALL = {"tasks": ["app.add"]}


def execute(*, pace: Pace | None = None, told: Any = lambda *_: None, **wanted: Any) -> Report:
    return replay.execute(Wanted(**wanted or ALL), actor=ADA, reason="agreed", pace=pace, told=told)


def rehearse(**wanted: Any) -> Report:
    return replay.rehearse(Wanted(**wanted or ALL))


def left(report: Report) -> dict[str, int]:
    return {one.reason: one.count for one in report.left}


def new_runs() -> list[Run]:
    return list(Run.objects.filter(replay_of__isnull=False).order_by("pk"))


def test_a_new_run_repeats_a_past_one_and_both_histories_say_so():
    past = make_run(
        status="failed", payload={"a": 7, "b": 8}, priority=5, max_attempts=9, tags=["billing"],
        meta={"of": "ada"}, timeout=30, ttl=60,
    )  # fmt: skip
    report = execute()
    (new,) = new_runs()
    assert (new.replay_of, new.task_id, new.payload) == (past, "app.add", {"a": 7, "b": 8})
    assert (new.priority, new.max_attempts, new.tags, new.meta) == (5, 9, ["billing"], {"of": "ada"})
    assert (new.status, new.attempt, new.options) == ("queued", 0, {"timeout": 30})
    assert new.expires_at == new.scheduled_for + timedelta(seconds=60)
    assert Outbox.objects.get(run_id=new.pk).ready
    event = RunEvent.objects.get(run_id=past, kind="replayed")
    assert (event.actor, event.data) == ("ada", {"run": str(new.pk), "replay": report.name})
    assert (report.count, report.by_task, report.finished) == (1, {"app.add": 1}, True)


def test_a_rehearsal_tells_the_same_and_writes_nothing():
    for status in ("failed", "completed", "cancelled", "queued"):
        make_run(status=status)
    before = RunEvent.objects.count()
    told = rehearse()
    assert (Run.objects.count(), RunEvent.objects.count(), RuntimeOffset.objects.count()) == (4, before, 0)
    done = execute()
    assert (told.count, told.by_task, left(told)) == (done.count, done.by_task, left(done))
    assert (told.count, left(told)) == (2, {"cancelled": 1, "unfinished": 1})


def test_what_is_left_out_is_counted_by_its_reason_with_examples_and_what_to_do(declare):
    @declare
    def gone(n: int) -> None: ...

    unknown = make_run(task=gone, payload={"n": 1}, status="failed")
    registry.remove(gone)
    changed = make_run(status="failed")
    Run.objects.filter(pk=changed).update(payload={"a": 1, "c": 2})
    expired, waiting = make_run(status="expired"), make_run()
    report = rehearse(queues=["default"])
    assert left(report) == {"unknown_task": 1, "changed_signature": 1, "expired": 1, "unfinished": 1}
    examples = {one.reason: one.examples for one in report.left}
    assert examples["unknown_task"] == [(str(unknown), "test.gone")]
    assert examples["changed_signature"][0][0] == str(changed)
    assert "b is missing" in examples["changed_signature"][0][1]
    assert (examples["expired"], examples["unfinished"]) == ([(str(expired), "")], [(str(waiting), "")])
    assert all(one.remedy for one in report.left)


def test_secrets_are_encrypted_anew_and_shown_nowhere(settings):
    settings.OPENQUEUE = {"SECRET_KEYS": ["old"]}
    past = make_run(
        task=log_in, payload={"user": "ada", "password": "hunter22"}, status="failed", result=None
    )
    settings.OPENQUEUE = {"SECRET_KEYS": ["new", "old"]}
    report = execute(tasks=["tests.log_in"])
    assert (report.count, report.secrets) == (1, 1)
    (new,) = new_runs()
    assert new.payload["password"] != Run.objects.get(pk=past).payload["password"]
    settings.OPENQUEUE = {"SECRET_KEYS": ["new"]}
    assert secrets.unseal(new.payload, fields=["password"]) == {"user": "ada", "password": "hunter22"}
    assert left(rehearse(tasks=["tests.log_in"], statuses=["failed"], again=True)) == {"secret_unreadable": 1}


def test_what_does_not_fit_any_more_shows_no_secret():
    run = make_run(task=log_in, payload={"user": "ada", "password": "hunter22"}, status="failed", result=None)
    payload = Run.objects.get(pk=run).payload
    Run.objects.filter(pk=run).update(payload=payload | {"hunter22": 1})
    (out,) = rehearse(tasks=["tests.log_in"]).left
    assert out.reason == "changed_signature"
    assert "hunter22" not in str(out.examples)


def test_what_was_replayed_before_is_left_out_unless_asked_for_again():
    make_run(status="failed")
    execute()
    assert left(execute(queues=["default"], statuses=["failed"])) == {"replayed_before": 1}
    assert len(new_runs()) == 1
    assert execute(queues=["default"], statuses=["failed"], again=True).count == 1
    assert len(new_runs()) == 2


def test_all_conditions_hold_together(declare):
    @declare(queue="mail")
    def send() -> None: ...

    now = clock()

    def ago(task: Any = send, status: str = "failed", **span: float) -> UUID:
        at = now - timedelta(**span)
        payload = {} if task is send else None
        return make_run(
            task=task, status=status, payload=payload, at=at, id=UUID(int=earliest_at(at).int + next(n))
        )

    n = count(1)
    wanted = ago(hours=1)
    ago(hours=1, status="completed"), ago(hours=3), ago(minutes=1), ago(hours=1, task=add)
    execute(
        tasks=["test.send"], queues=["mail"], statuses=["failed"], since=timedelta(hours=2),
        until=now - timedelta(minutes=30),
    )  # fmt: skip
    assert [run.replay_of for run in new_runs()] == [wanted]


def test_runs_can_be_named():
    runs = [make_run(status="failed") for _ in range(3)]
    execute(ids=[runs[0], runs[2], uuid4()])
    assert [run.replay_of for run in new_runs()] == [runs[0], runs[2]]


def test_what_is_triggered_meanwhile_and_what_it_made_itself_are_not_in_its_window(monkeypatch):
    monkeypatch.setattr("openqueue.control.replay.pages.MOST", 2)
    for _ in range(5):
        make_run(status="completed")
    assert execute(told=lambda *_: add.trigger(a=1, b=2)).count == 5


def test_they_go_into_another_queue_if_asked():
    make_run(status="failed")
    execute(**ALL, to_queue="slow")
    (new,) = new_runs()
    assert (new.queue, Outbox.objects.get(run_id=new.pk).queue) == ("slow", "slow")


def test_it_is_on_record_who_accepted_the_side_effects_and_what_came_of_it():
    make_run(status="failed")
    report = execute()
    end, begin = AuditLog.objects.all()
    assert (begin.actor, begin.act, begin.object, begin.reason) == (
        "ada",
        "replay.begin",
        report.name,
        "agreed",
    )
    assert begin.after["tasks"] == ["app.add"]
    assert (end.act, end.after["made"]) == ("replay.end", {"app.add": 1})


# --- interrupted ---------------------------------------------------------------------------------------------------


class Interrupted(Exception):
    pass


def interrupted(after: int) -> Any:
    """Hear of progress until so many pages are done, then break off."""
    pages = iter(range(after))

    def told(*_: Any) -> None:
        if next(pages, None) is None:
            raise Interrupted

    return told


def test_asked_for_again_an_interrupted_replay_goes_on_behind_its_last_page(monkeypatch):
    monkeypatch.setattr("openqueue.control.replay.pages.MOST", 2)
    past = [make_run(status="completed") for _ in range(7)]
    with pytest.raises(Interrupted):
        execute(told=interrupted(after=1))
    assert len(new_runs()) == 4
    late = make_run(status="completed")
    told = rehearse()
    assert (told.count, told.continued is not None) == (7, True)
    report = execute()
    assert (report.count, report.finished, report.continued is not None) == (7, True, True)
    assert [run.replay_of for run in new_runs()] == past
    assert execute().continued is None
    assert [run.replay_of for run in new_runs()] == [*past, late]


def test_a_replay_whose_place_is_long_gone_lends_its_name_to_no_other():
    """The histories name it: what another of the same name should make would be left out as made already."""
    make_run(status="completed")
    first = execute(again=True, statuses=["completed"])
    RuntimeOffset.objects.all().delete()
    second = execute(again=True, statuses=["completed"])
    assert first.name != second.name
    assert second.count == 1


def test_a_page_that_fails_leaves_nothing_of_itself(monkeypatch):
    make_run(status="completed")
    with monkeypatch.context() as broken, pytest.raises(Interrupted):
        broken.setattr("openqueue.control.replay.replay.place.move", _break)
        execute()
    assert (new_runs(), RunEvent.objects.filter(kind="replayed").count()) == ([], 0)
    assert execute().count == 1


def _break(*_: Any, **__: Any) -> None:
    raise Interrupted


def test_told_to_stop_it_ends_behind_a_page_and_says_that_it_is_not_done(monkeypatch):
    monkeypatch.setattr("openqueue.control.replay.pages.MOST", 2)
    for _ in range(5):
        make_run(status="completed")
    pace = Pace()
    report = execute(pace=pace, told=lambda *_: pace.stop())
    assert (report.count, report.finished) == (2, False)


def test_begun_anew_it_leaves_the_interrupted_one_where_it_is(monkeypatch):
    monkeypatch.setattr("openqueue.control.replay.pages.MOST", 2)
    for _ in range(3):
        make_run(status="completed")
    with pytest.raises(Interrupted):
        execute(told=interrupted(after=0))
    replay.leave_off(Wanted(**ALL), actor=ADA)
    report = execute()
    assert (report.count, left(report), report.continued) == (
        1,
        {"replayed_before": 2, "unfinished": 2},
        None,
    )


def test_a_page_costs_the_same_whatever_is_on_it():
    costs = []
    for size in (3, 60):
        for _ in range(size):
            make_run(status="completed")
        with CaptureQueriesContext(connection) as queries:
            assert execute(again=True, statuses=["completed"]).count == sum([3, 60][: len(costs) + 1])
        costs.append(len(queries))
    assert costs[0] == costs[1] < 30


# --- pace ----------------------------------------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now, self.rests = 100.0, []

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.rests.append(seconds)
        self.now += seconds


@pytest.mark.parametrize(("rate", "rests"), [(2.0, [1.0, 1.0, 0.5]), (0.5, [2.0] * 5), (100.0, [0.05])])
def test_a_rate_makes_a_second_s_worth_at_a_time_and_rests(rate, rests, monkeypatch):
    for _ in range(5):
        make_run(status="completed")
    clock = Clock()
    pace = Pace(rate, clock=clock)
    monkeypatch.setattr(pace.stopped, "wait", clock.wait)
    assert execute(pace=pace).count == 5
    assert [rest for rest in clock.rests if rest] == pytest.approx(rests)
