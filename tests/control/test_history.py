from __future__ import annotations

from datetime import timedelta

import pytest

from openqueue.control import history
from openqueue.control.actor import Actor
from openqueue.models import AuditLog, Run, RunEvent, RunLog
from openqueue.store import store
from openqueue.types import LogLine
from tests.control.builders import clock, make_run

pytestmark = pytest.mark.django_db
ADA = Actor(name="ada")
KEPT = {"completed": 7, "failed": None, "cancelled": timedelta(hours=1), "expired": 30, "logs": 1}


@pytest.fixture(autouse=True)
def _retention(settings):
    settings.OPENQUEUE = {"RETENTION": KEPT}


def ago(**span):
    return clock() - timedelta(**span)


def make_history():
    for _ in range(3):
        make_run(status="completed", at=ago(days=8))
    make_run(status="failed", at=ago(days=800))
    make_run(status="cancelled", at=ago(hours=2))
    fresh = make_run(status="completed", at=ago(days=6))
    old = make_run(at=ago(days=400))
    store().note(
        progress=[], logs=[LogLine(fresh, 1, 20, "old", 3 * 86_400), LogLine(fresh, 1, 20, "new", 0)]
    )
    return fresh, old


def test_the_plan_counts_and_deletes_nothing(manage):
    make_history()
    counts = {one.kind: one.count for one in history.plan()}
    assert counts == {
        "completed": 3,
        "failed": 0,
        "cancelled": 1,
        "expired": 0,
        "logs": 1,
        "ticks": 0,
        "audit": 0,
    }
    assert Run.objects.count() == 7
    answer = manage("openqueue_prune", "--dry-run")
    assert Run.objects.count() == 7
    rows = {line.split()[0]: line for line in answer.out.splitlines()}
    assert rows["completed"].split()[1:3] == ["7", "days"]
    assert rows["completed"].split()[-1] == "3"
    assert "for ever" in rows["failed"]
    assert not AuditLog.objects.exists()


def test_the_plan_of_very_much_ends_its_count(monkeypatch, manage):
    make_history()
    monkeypatch.setattr(history, "COUNTED", 2)
    monkeypatch.setattr(history.PastTime.__init__, "__kwdefaults__", {"counted_to": 2})
    assert {one.count for one in history.plan() if one.kind == "completed"} == {2}
    assert "2 or more" in manage("openqueue_prune", "--dry-run").out


def test_what_is_past_its_time_goes_with_its_history_and_the_rest_stays(manage):
    fresh, old = make_history()
    answer = manage("openqueue_prune", "--actor", "ada")
    assert answer.out == "completed: 3 deleted\ncancelled: 1 deleted\nlogs: 1 deleted\n"
    left = set(Run.objects.values_list("pk", flat=True))
    assert {fresh, old} < left
    assert len(left) == 3
    assert set(RunEvent.objects.values_list("run_id", flat=True)) == left
    assert [line.text for line in RunLog.objects.all()] == ["new"]
    act = AuditLog.objects.get()
    assert (act.act, act.actor, act.after["completed"]) == ("history.prune", "ada", 3)
    assert manage("openqueue_prune").out == "Nothing is past its time.\n"
    assert AuditLog.objects.count() == 1


def test_it_goes_in_chunks_and_an_interruption_is_on_record(monkeypatch):
    make_history()
    monkeypatch.setattr(history, "CHUNK", 2)

    def told(kind, total):
        if total == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        history.prune(actor=ADA, told=told)
    assert Run.objects.filter(outcome="completed").count() == 2
    assert AuditLog.objects.get().after["completed"] == 2
    assert history.prune(actor=ADA)["completed"] == 1


def test_the_json_twins_have_these_fields(manage):
    make_history()
    plan = manage("openqueue_prune", "--dry-run", "--json").json
    assert plan["dry_run"] is True
    assert list(plan["kinds"][0]) == ["kind", "kept_days", "before", "count", "counted_to"]
    assert manage("openqueue_prune", "--json").json == {
        "dry_run": False,
        "deleted": {
            "completed": 3,
            "failed": 0,
            "cancelled": 1,
            "expired": 0,
            "logs": 1,
            "ticks": 0,
            "audit": 0,
        },
    }


@pytest.mark.parametrize("size", [1, 40])
def test_a_chunk_costs_the_same_whatever_is_in_it(size, django_assert_max_num_queries):
    for _ in range(size):
        make_run(status="completed", at=ago(days=8))
    with django_assert_max_num_queries(30):
        assert history.prune(actor=ADA)["completed"] == size
