from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from openqueue import registry
from openqueue.control import runs
from openqueue.control.actor import Actor
from openqueue.core import transitions
from openqueue.errors import UnclearRun
from openqueue.models import AuditLog, Claim, Outbox, Run, RunEvent
from openqueue.store import store
from openqueue.types import LogLine, Progress
from tests.control.builders import ERROR, NOW, claim, clock, end, log_in, make_run, make_worker
from tests.eventually import eventually

pytestmark = pytest.mark.django_db
ADA = Actor(name="ada")


def test_a_run_is_shown_with_all_that_is_on_record():
    worker = make_worker()
    run = make_run(
        status="failed", worker=worker, at=NOW, seconds=1.5, tags=["vip"], meta={"source": "web"}, timeout=9
    )
    store().note(progress=[], logs=[LogLine(run, 1, 20, "rendering", 0.0)], now=NOW + timedelta(seconds=1))
    shown = runs.show(run)
    assert (shown.id, shown.task_id, shown.status, shown.reason) == (run, "app.add", "failed", "error")
    assert (shown.payload, shown.result, shown.error) == ({"a": 1, "b": 2}, None, ERROR)
    assert (shown.attempt, shown.max_attempts, shown.seconds) == (1, 3, 1.5)
    assert (shown.tags, shown.meta, shown.options) == (["vip"], {"source": "web"}, {"timeout": 9})
    assert (shown.worker_id, shown.created_at, shown.due_at) == (worker, NOW, None)
    assert [(e.kind, e.after, e.attempt) for e in shown.timeline] == [
        ("triggered", 0.0, 0),
        ("started", 0.0, 1),
        ("failed", 1.5, 1),
    ]
    assert [(line.text, line.after, line.level) for line in shown.logs] == [("rendering", 1.0, 20)]


def test_progress_is_shown_as_the_task_told_it():
    run = make_run(status="running")
    store().note(progress=[Progress(run, 1, '{"percent":50,"message":"half"}')], logs=[])
    event = runs.show(run).timeline[-1]
    assert (event.kind, event.data) == ("progress", {"percent": 50, "message": "half"})


def test_a_run_is_shown_in_three_statements(django_assert_num_queries):
    run = make_run(status="retrying")
    with django_assert_num_queries(3):
        shown = runs.show(run)
    assert shown.due_at is not None


def test_only_the_newest_of_a_very_long_history_is_shown(monkeypatch):
    monkeypatch.setattr(runs, "MOST_EVENTS", 2)
    monkeypatch.setattr(runs, "MOST_LOGS", 2)
    run = make_run(status="completed")
    store().note(progress=[], logs=[LogLine(run, 1, 20, text, 0.0) for text in ("one", "two", "three")])
    shown = runs.show(run)
    assert [event.kind for event in shown.timeline] == ["started", "completed"]
    assert [line.text for line in shown.logs] == ["two", "three"]
    assert shown.timeline_left_off
    assert shown.logs_left_off


def test_a_run_that_is_not_there_is_named():
    missing = uuid4()
    with pytest.raises(UnclearRun, match=f"no run {missing}"):
        runs.show(missing)


def test_secret_arguments_are_masked_also_where_the_task_is_unknown():
    run = make_run(task=log_in, payload={"user": "ada", "password": "hunter22"})
    masked = {"user": "ada", "password": "[secret]"}
    assert runs.show(run).payload == masked
    registry.remove(log_in)
    try:
        assert runs.show(run).payload == masked
    finally:
        registry.add(log_in, given_id="tests.log_in")


def test_a_field_that_became_secret_later_is_masked():
    run = make_run(payload={"a": 1, "b": 2})
    Run.objects.filter(pk=run).update(task_id="tests.log_in", payload={"user": "ada", "password": "plain"})
    assert runs.show(run).payload == {"user": "ada", "password": "[secret]"}


def test_a_retry_starts_a_new_cycle_and_is_on_record():
    failed = make_run(status="failed")
    assert runs.retry([failed], actor=ADA, reason="provider is back") == {failed: "requeued"}
    run = Run.objects.get()
    assert (run.status, run.cycle, run.attempt, run.error) == ("queued", 2, 0, None)
    assert Outbox.objects.get().seq == run.version
    event = RunEvent.objects.last()
    assert (event.kind, event.actor, event.data["status"]) == ("requeued", "ada", "failed")
    audit = AuditLog.objects.get()
    assert (audit.actor, audit.act, audit.object) == ("ada", "run.retry", f"run {failed}")
    assert (audit.before["status"], audit.after, audit.reason) == (
        "failed", {"answer": "requeued"}, "provider is back",
    )  # fmt: skip


def test_each_run_of_a_retry_gets_its_answer():
    queued, done, gone = make_run(), make_run(status="completed"), uuid4()
    answers = runs.retry([queued, done, gone], actor=ADA)
    assert answers == {queued: "unfinished", done: "requeued", gone: "missing"}
    assert AuditLog.objects.count() == 1


def test_each_run_of_a_cancel_gets_its_answer():
    waiting, running = make_run(), make_run(status="running")
    done, gone = make_run(status="completed"), uuid4()
    answers = runs.cancel([waiting, running, done, gone], actor=ADA)
    assert answers == {waiting: "cancelled", running: "requested", done: "finished", gone: "missing"}
    assert list(answers) == [waiting, running, done, gone]
    assert Run.objects.get(pk=waiting).status == "cancelled"
    assert Claim.objects.get().cancel_requested_by == "ada"
    assert runs.show(running).cancel_requested
    assert {row.object: row.after["answer"] for row in AuditLog.objects.all()} == {
        f"run {waiting}": "cancelled",
        f"run {running}": "requested",
    }


@pytest.mark.parametrize("act", [runs.retry, runs.cancel])
def test_an_act_costs_the_same_for_one_run_as_for_many(act, django_assert_max_num_queries):
    made = [make_run(status="failed" if act is runs.retry else "queued") for _ in range(30)]
    with django_assert_max_num_queries(12) as few:
        act(made[:1], actor=ADA)
    with django_assert_max_num_queries(len(few)):
        assert len(act(made[1:], actor=ADA)) == 29


def test_what_is_rolled_back_leaves_no_record(transactional_db, publisher):
    run = make_run(status="failed")
    with pytest.raises(RuntimeError), store().atomic():
        runs.retry([run], actor=ADA)
        raise RuntimeError
    assert not AuditLog.objects.exists()
    assert Run.objects.get().status == "failed"


def test_a_retried_run_is_announced_after_the_commit(transactional_db, settings, publisher):
    settings.OPENQUEUE = {"RUNTIMES": {"default": {"BACKEND": "openqueue.runtimes.memory.MemoryRuntime"}}}
    run = make_run(status="failed", priority=7)
    runs.retry([run], actor=ADA)
    from openqueue import runtimes
    from openqueue.runtimes.base import decode

    def announced():
        return [(rank, decode(body)) for rank, _, body in runtimes.get("default").waiting["default"]]

    seq = Outbox.objects.get().seq
    assert eventually(announced) == [(-7, (run, seq))]
    attempt = claim(run, seq=seq)
    assert attempt.attempt == 1
    end(attempt, status="completed", at=clock())
    assert transitions.is_final(Run.objects.get().status)
