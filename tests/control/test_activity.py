from __future__ import annotations

from datetime import timedelta

import pytest

from openqueue.control import activity, audit, history, queue_acts
from openqueue.control.actor import Actor
from openqueue.control.audit import Act
from openqueue.models import AuditLog, BulkOperation, IdempotencyKey
from openqueue.processes.sweeps.retention import Retention
from tests.control.builders import clock

pytestmark = pytest.mark.django_db
ADA, BOB = Actor(name="ada"), Actor(name="bob")


def acts(**wanted):
    return [entry.act for entry in activity.find(**wanted).entries]


def test_who_did_what_to_what_and_when_is_found_newest_first():
    queue_acts.pause(["mail"], actor=ADA, reason="provider is down")
    queue_acts.resume(["mail"], actor=BOB)
    audit.record([Act("run.cancel", "run 7")], actor=ADA)
    first = activity.find().entries[-1]
    assert (first.actor, first.act, first.object, first.reason) == (
        "ada",
        "queue.pause",
        "queue mail",
        "provider is down",
    )
    assert (first.before["paused"], first.after) == (False, {"paused": True})
    assert acts() == ["run.cancel", "queue.resume", "queue.pause"]
    assert acts(actor="ada") == ["run.cancel", "queue.pause"]
    assert acts(act="queue.") == ["queue.resume", "queue.pause"]
    assert acts(act="queue.pause") == ["queue.pause"]
    assert acts(act="queue") == []
    assert acts(object="queue mail", actor="bob") == ["queue.resume"]
    AuditLog.objects.filter(act="queue.pause").update(at=clock() - timedelta(days=2))
    assert acts(since=clock() - timedelta(days=1)) == ["run.cancel", "queue.resume"]
    assert acts(before=clock() - timedelta(days=1)) == ["queue.pause"]


def test_pages_go_on_by_key_in_one_statement_each(django_assert_num_queries):
    audit.record([Act("run.cancel", f"run {n}") for n in range(5)], actor=ADA)
    with django_assert_num_queries(1):
        page = activity.find(limit=2)
    seen = [entry.object for entry in page.entries]
    while page.older:
        page = activity.find(limit=2, before_id=page.older)
        seen += [entry.object for entry in page.entries]
    assert seen == [f"run {n}" for n in (4, 3, 2, 1, 0)]


def test_acts_and_answers_past_their_time_are_swept_and_younger_ones_stay(settings):
    settings.OPENQUEUE = {"RETENTION": {"audit": 10}}
    audit.record([Act("run.cancel", "old"), Act("run.cancel", "young")], actor=ADA)
    AuditLog.objects.filter(object="old").update(at=clock() - timedelta(days=11))
    for hours in (23, 25):
        IdempotencyKey.objects.create(
            owner="user 1",
            key=str(hours),
            fingerprint="",
            answer={},
            created_at=clock() - timedelta(hours=hours),
        )
    for days in (9, 11, None):
        ended = None if days is None else clock() - timedelta(days=days)
        BulkOperation.objects.create(
            act="retry", arguments={}, search=str(days), actor="ada", asked_at=clock(), skipped={}, moved_at=clock(),
            finished_at=ended,
        )  # fmt: skip
    (plan,) = [past for past in history.plan() if past.kind == "audit"]
    assert (plan.count, plan.kept_days) == (1, 10)
    assert Retention().step() == 3
    assert {one.search for one in BulkOperation.objects.all()} == {"9", "None"}
    assert [act.object for act in AuditLog.objects.all()] == ["young"]
    assert [key.key for key in IdempotencyKey.objects.all()] == ["23"]
    assert Retention().step() == 0


def test_the_command_prunes_acts_too():
    audit.record([Act("run.cancel", "old")], actor=ADA)
    AuditLog.objects.update(at=clock() - timedelta(days=366))
    assert history.prune(actor=ADA)["audit"] == 1
    assert [act.act for act in AuditLog.objects.all()] == ["history.prune"]
