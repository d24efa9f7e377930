"""Acts on all runs that a search finds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from openqueue.control import bulk
from openqueue.control.actor import Actor
from openqueue.control.bulk import asking, walk
from openqueue.core import transitions
from openqueue.errors import PayloadInvalid, UnclearOperation, UnclearSearch, WrongState
from openqueue.models import AuditLog, BulkOperation, Outbox, Run, RunEvent
from openqueue.states import Reason
from openqueue.types import ClaimRequest
from tests.app.tasks import add
from tests.control.builders import make_run

pytestmark = pytest.mark.django_db
ADA = Actor(name="ada")


def many(number: int, **options: Any) -> list[UUID]:
    runs = add.using(**options).trigger_many([{"a": n, "b": 1} for n in range(number)])
    return [run.id for run in runs]


def failed(number: int) -> list[UUID]:
    made = many(number)
    fail_waiting(made)
    return made


def fail_waiting(runs: Sequence[UUID]) -> None:
    places = list(Outbox.objects.filter(pk__in=runs).values_list("run_id", "seq"))
    transitions.refuse(places, reason=Reason.UNKNOWN_TASK, message="nobody knows it")


def statuses() -> dict[UUID, str]:
    return dict(Run.objects.values_list("pk", "status"))


def ask(act: str, search: str, **more: Any) -> bulk.BulkFacts:
    return bulk.ask(act, search, actor=ADA, **more)


def test_all_runs_that_a_search_finds_are_cancelled_and_no_others():
    mail, other = many(3, queue="mail"), many(2)
    done = ask("cancel", "queue:mail", reason="wrong recipients")
    assert (done.state, done.acted, done.skipped, done.expected) == ("done", 3, {}, 3)
    assert statuses() == dict.fromkeys(mail, "cancelled") | dict.fromkeys(other, "queued")
    assert set(RunEvent.objects.filter(kind="cancelled").values_list("actor", flat=True)) == {"ada"}


def test_the_asking_is_on_record_once():
    many(3)
    done = ask("cancel", "status:queued", reason="wrong recipients")
    row = AuditLog.objects.get()
    assert (row.actor, row.act, row.object) == ("ada", "bulk.cancel", f"bulk {done.id}")
    assert (row.before, row.reason) == ({"search": "status:queued", "runs": "3"}, "wrong recipients")


def test_what_cannot_be_acted_upon_is_skipped_and_counted_by_the_reason():
    failed(37)
    many(2)
    running = make_run(status="running")
    done = ask("retry", "task:app.add")
    assert (done.acted, done.skipped) == (37, {"unfinished": 3})
    assert statuses()[running] == "running"


@pytest.mark.parametrize(
    ("act", "arguments", "left"),
    [
        ("retry", {}, "queued"),
        ("promote", {}, "queued"),
        ("prioritise", {"priority": 7}, "scheduled"),
        ("cancel", {}, "cancelled"),
        ("discard", {}, None),
    ],
)
def test_every_act_can_be_asked_for(act, arguments, left):
    made = failed(5) if act in {"retry", "discard"} else many(5, delay=3_600)
    search = "status:failed" if act in {"retry", "discard"} else "status:scheduled"
    assert ask(act, search, arguments=arguments).acted == 5
    assert statuses() == ({} if left is None else dict.fromkeys(made, left))
    if act == "prioritise":
        assert set(Outbox.objects.values_list("priority", flat=True)) == {7}
    if act == "discard":
        assert not RunEvent.objects.exists()


def test_a_preview_counts_and_changes_nothing():
    many(3)
    seen = bulk.preview("cancel", "status:queued")
    assert (seen.number, seen.or_more, seen.inline, seen.search) == (3, False, True, "status:queued")
    assert set(statuses().values()) == {"queued"}
    assert not BulkOperation.objects.exists()


@pytest.mark.parametrize("search", ["quee:mail", "status:broken", "since:yesterday queue:mail", "", "   "])
def test_a_search_with_faults_is_refused_whole(search):
    many(1)
    with pytest.raises(UnclearSearch) as refusal:
        ask("cancel", search)
    assert refusal.value.errors
    assert set(statuses().values()) == {"queued"}


def test_arguments_are_searched_only_by_those_who_may_see_them():
    made = many(2)
    with pytest.raises(UnclearSearch, match="Arguments are searched only by those"):
        ask("cancel", "args.a:1")
    assert ask("cancel", "args.a:1", sees_payloads=True).acted == 1
    assert statuses() == {made[0]: "queued", made[1]: "cancelled"}


@pytest.mark.parametrize(
    ("act", "arguments", "path"),
    [
        ("explode", {}, "act"),
        ("prioritise", {}, "priority"),
        ("prioritise", {"priority": 101}, "priority"),
        ("prioritise", {"priority": True}, "priority"),
        ("cancel", {"priority": 1}, "priority"),
    ],
)
def test_wrong_acts_and_arguments_are_named(act, arguments, path):
    with pytest.raises(PayloadInvalid) as refusal:
        ask(act, "status:queued", arguments=arguments)
    assert [fault.path for fault in refusal.value.errors] == [path]


def test_only_the_queues_that_the_asker_sees_are_touched():
    mail, other = many(2, queue="mail"), many(2)
    assert ask("cancel", "status:queued", queues=["mail"]).acted == 2
    assert statuses() == dict.fromkeys(mail, "cancelled") | dict.fromkeys(other, "queued")
    assert ask("cancel", "status:queued", queues=[]).acted == 0


def test_runs_triggered_after_the_asking_are_left_alone():
    before = many(2)
    asked = ask("cancel", "status:queued", drives=True)
    after = many(2)
    assert next(bulk.drive(asked.id)).acted == 2
    assert statuses() == dict.fromkeys(before, "cancelled") | dict.fromkeys(after, "queued")


def test_a_run_that_fails_again_is_not_retried_twice():
    made = failed(5)
    asked = ask("retry", "status:failed", drives=True)
    bulk.step(asked.id, batch=2)
    fail_waiting(made)
    done = list(bulk.drive(asked.id, batch=2))[-1]
    assert (done.acted, done.skipped) == (5, {})
    assert set(Run.objects.values_list("cycle", flat=True)) == {2}


def test_more_runs_than_one_batch_are_acted_upon_once_each():
    made = failed(7) + many(4, delay=60) + many(4)
    asked = ask("cancel", "task:app.add", drives=True)
    told = [(now.met, now.finished_at is None) for now in bulk.drive(asked.id, batch=5)]
    assert told[-1] == (15, False)
    assert all(unfinished for _, unfinished in told[:-1])
    done = bulk.show(asked.id)
    assert (done.acted, done.skipped) == (8, {"finished": 7})
    assert len(made) == 15


def test_a_walk_without_an_index_goes_on_behind_what_it_looked_at(monkeypatch):
    monkeypatch.setattr(walk, "STRETCH", 3)
    made = many(10)
    fail_waiting(made)
    Run.objects.filter(pk__in=made[::4]).update(tags=["vip"])
    asked = ask("discard", "status:failed tag:vip", drives=True)
    steps = list(bulk.drive(asked.id))
    assert len(steps) > 3
    assert (steps[-1].acted, steps[-1].looked_at >= 9) == (3, True)
    assert set(statuses()) == set(made) - set(made[::4])


def test_many_runs_are_the_work_of_a_run_of_their_own(monkeypatch, queued_runs):
    monkeypatch.setattr(asking, "INLINE", 2)
    made = many(3, queue="mail", delay=3_600)
    asked = ask("cancel", "queue:mail")
    assert (asked.state, asked.acted) == ("waiting", 0)
    run = Run.objects.get(pk=asked.run_id)
    assert (run.task_id, run.queue) == ("openqueue.act_on_runs", "openqueue")
    queued_runs.run_all()
    done = bulk.show(asked.id)
    assert (done.state, done.acted, done.share) == ("done", 3, 1.0)
    run.refresh_from_db()
    assert run.result == {"acted": 3, "skipped": {}}
    assert {statuses()[one] for one in made} == {"cancelled"}


def test_an_act_on_everything_does_not_act_on_the_run_that_does_it(monkeypatch, queued_runs):
    monkeypatch.setattr(asking, "INLINE", 2)
    many(3, delay=3_600)
    asked = ask("cancel", "status:queued,running,scheduled")
    queued_runs.run_all()
    assert Run.objects.get(pk=asked.run_id).status == "completed"
    assert bulk.show(asked.id).acted == 3


def test_what_is_stopped_stays_as_far_as_it_has_come():
    many(6)
    asked = ask("cancel", "status:queued", drives=True)
    bulk.step(asked.id, batch=2)
    stopped = bulk.stop(asked.id, actor=Actor(name="bob"), reason="enough")
    assert (stopped.state, stopped.stopped_by, stopped.acted) == ("stopped", "bob", 2)
    assert [now.acted for now in bulk.drive(asked.id)] == [2]
    assert sorted(statuses().values()) == ["cancelled"] * 2 + ["queued"] * 4
    audit = AuditLog.objects.first()
    assert (audit.act, audit.actor, audit.reason) == ("bulk.stop", "bob", "enough")
    with pytest.raises(WrongState) as refusal:
        bulk.stop(asked.id, actor=ADA)
    assert refusal.value.now.state == "stopped"


def test_one_whose_run_ended_early_is_resumed_where_it_was(monkeypatch, queued_runs):
    monkeypatch.setattr(asking, "INLINE", 2)
    many(3, delay=3_600)
    asked = ask("cancel", "task:app.add")
    bulk.step(asked.id, batch=1)
    fail_waiting([asked.run_id])
    assert bulk.show(asked.id).state == "interrupted"
    resumed = bulk.resume(asked.id, actor=ADA)
    assert resumed.run_id != asked.run_id
    with pytest.raises(WrongState):
        bulk.resume(asked.id, actor=ADA)
    queued_runs.run_all()
    assert (bulk.show(asked.id).state, bulk.show(asked.id).acted) == ("done", 3)


def test_operations_are_listed_newest_first_in_two_statements(django_assert_num_queries, monkeypatch):
    monkeypatch.setattr(asking, "INLINE", 0)
    many(1)
    asked = [ask("cancel", "status:queued", reason=str(n)) for n in range(3)]
    with django_assert_num_queries(2):
        listed = bulk.listing()
    assert [one.id for one in listed] == [one.id for one in reversed(asked)]


def test_one_that_is_not_there_is_named():
    with pytest.raises(UnclearOperation, match="no bulk operation"):
        bulk.show(UUID(int=7))


@pytest.mark.parametrize("act", sorted(bulk.ACTS))
def test_a_batch_of_a_thousand_costs_a_fixed_number_of_statements(act):
    arguments = {"priority": 7} if act == "prioritise" else {}

    def cost(number: int) -> int:
        made = failed(number) if act in {"retry", "discard"} else many(number, delay=3_600)
        search = "status:failed" if act in {"retry", "discard"} else "status:scheduled"
        asked = ask(act, search, arguments=arguments, drives=True)
        with CaptureQueriesContext(connection) as captured:
            assert bulk.step(asked.id, batch=1_000).acted == number
        Run.objects.filter(pk__in=made).delete()
        Outbox.objects.all().delete()
        return sum(
            not (q["sql"] or "").startswith(("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE", "SET"))
            for q in captured
        )

    few, most = cost(3), cost(999)
    assert few <= 24
    # SQLite takes so many parameters a statement; the others are told of a thousand rows at once.
    assert most <= few + {"sqlite": 16}.get(connection.vendor, 2)


def test_a_claim_between_the_asking_and_the_batch_is_asked_to_stop():
    (run,) = many(1)
    asked = ask("cancel", "status:queued,running", drives=True)
    request = ClaimRequest(worker_id=asked.id, token=asked.id, known=[add.id])
    transitions.claim_named(request, announcements=[(run, 1)])
    assert next(bulk.drive(asked.id)).acted == 1
    assert Run.objects.get(pk=run).claim.cancel_requested_by == "ada"
