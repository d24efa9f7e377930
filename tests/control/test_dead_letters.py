"""Failed runs, and messages that could not become a run."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from openqueue.control import bulk_acts, dead_letters
from openqueue.control.actor import Actor
from openqueue.control.callers import Caller, Right
from openqueue.errors import NotAllowed, UnclearDeadLetter, UnsupportedCapability, WrongState
from openqueue.models import AuditLog, DeadLetter, Run
from tests.control.builders import NOW, clock, make_run

pytestmark = pytest.mark.django_db
ADA = Caller.operator(Actor(name="ada"))
TENANT = Caller(
    actor=Actor(name="eve"),
    owner="user 1",
    rights=frozenset(Right) - {Right.DATA},
    queues=frozenset({"mail"}),
)
NOBODY = Caller(actor=Actor(name="eve"), owner="user 1")


def dead(**options: Any) -> UUID:
    """Make a run that failed a minute ago."""
    return make_run(status="failed", at=clock() - timedelta(minutes=1), **options)


def letter(queue: str = "default", reason: str = "not an announcement: ValueError") -> int:
    return DeadLetter.objects.create(
        runtime="default", queue=queue, reason=reason, sha256="0" * 64, size=900, head="7b22", at=NOW,
        origin={"topic": "app.default", "partition": 0, "offset": 7},
    ).pk  # fmt: skip


def test_dead_runs_are_those_that_failed_for_good():
    dead = [make_run(status="failed"), make_run(status="failed", queue="mail")]
    for status in ("completed", "cancelled", "expired", "retrying", "queued"):
        make_run(status=status)
    assert {run.id for run in dead_letters.runs(caller=ADA).runs} == set(dead)
    assert [run.id for run in dead_letters.runs("queue:mail", caller=ADA).runs] == dead[1:]
    assert [run.id for run in dead_letters.runs(caller=TENANT).runs] == dead[1:]


def test_dead_messages_are_listed_newest_first_with_where_they_came_from(django_assert_num_queries):
    first, second = letter(), letter()
    with django_assert_num_queries(1):
        listed = dead_letters.messages(caller=ADA)
    assert [one.id for one in listed] == [second, first]
    assert (listed[0].origin["offset"], listed[0].head, listed[0].size) == (7, "7b22", 900)
    assert [one.id for one in dead_letters.messages(caller=ADA, before=second)] == [first]


def test_a_tenant_sees_the_messages_of_its_queues_and_without_the_right_none_of_their_bytes():
    letter()
    mine = letter(queue="mail")
    (seen,) = dead_letters.messages(caller=TENANT)
    assert (seen.id, seen.head) == (mine, None)


def test_what_is_dead_is_counted_by_what_is_alike(django_assert_num_queries):
    for queue in ("mail", "mail", "default"):
        make_run(status="failed", queue=queue, at=NOW)
    letter()
    with django_assert_num_queries(4):
        counted = dead_letters.groups(caller=ADA)
    assert [(g.kind, g.queue, g.task_id, g.reason, g.count) for g in counted.groups] == [
        ("run", "mail", "app.add", "error", 2),
        ("message", "default", "", "not an announcement: ValueError", 1),
        ("run", "default", "app.add", "error", 1),
    ]
    assert (counted.total, counted.examined_all) == (4, True)
    assert [g.queue for g in dead_letters.groups(caller=TENANT).groups] == ["mail"]


def test_counting_ends_after_so_many_and_says_so(monkeypatch):
    monkeypatch.setattr(dead_letters, "EXAMINED", 2)
    for n in range(4):
        make_run(status="failed", at=NOW, seconds=float(n))
    counted = dead_letters.groups(caller=ADA)
    assert (counted.total, counted.examined_all) == (2, False)


def test_dead_runs_are_requeued_together():
    for _ in range(3):
        dead()
    done = bulk_acts.ask("retry", dead_letters.SEARCH, caller=ADA, reason="mended")
    assert done.acted == 3
    assert dead_letters.groups(caller=ADA).groups == []


def test_discarded_runs_are_gone_and_the_record_keeps_who_and_why():
    dead()
    bulk_acts.ask("discard", dead_letters.SEARCH, caller=ADA, reason="known and harmless")
    assert not Run.objects.exists()
    audit = AuditLog.objects.get()
    assert (audit.act, audit.actor, audit.reason) == ("bulk.discard", "ada", "known and harmless")


def test_a_discarded_message_is_off_the_list_and_keeps_who_and_why():
    one, other = letter(), letter()
    assert dead_letters.discard([one], caller=ADA, reason="an old sender") == 1
    assert [left.id for left in dead_letters.messages(caller=ADA)] == [other]
    (gone,) = dead_letters.messages(caller=ADA, discarded=True)
    assert (gone.id, gone.discarded_by, gone.discard_reason) == (one, "ada", "an old sender")
    audit = AuditLog.objects.get()
    assert (audit.act, audit.object, audit.reason) == (
        "deadletter.discard",
        f"dead letter {one}",
        "an old sender",
    )


def test_messages_are_discarded_together():
    letters = [letter() for _ in range(3)]
    assert dead_letters.discard(letters, caller=ADA) == 3
    assert dead_letters.discard(letters, caller=ADA) == 0
    assert AuditLog.objects.count() == 1


def test_the_three_refusals_are_told_apart():
    one, foreign = letter(queue="mail"), letter()
    for act in (
        lambda c: dead_letters.discard([one], caller=c),
        lambda c: dead_letters.requeue(one, caller=c),
    ):
        with pytest.raises(NotAllowed):
            act(NOBODY)
    for look in (dead_letters.runs, dead_letters.messages, dead_letters.groups):
        with pytest.raises(NotAllowed):
            look(caller=NOBODY)
    with pytest.raises(UnsupportedCapability, match="900 bytes that are no announcement"):
        dead_letters.requeue(one, caller=ADA)
    with pytest.raises(UnclearDeadLetter):
        dead_letters.discard([foreign], caller=TENANT)
    dead_letters.discard([one], caller=ADA)
    with pytest.raises(WrongState, match="discarded by ada before") as refusal:
        dead_letters.discard([one], caller=TENANT)
    assert refusal.value.now.discarded_by == "ada"


def test_acts_on_many_runs_need_the_right_to_the_act_and_see_what_the_caller_sees():
    mine, foreign = dead(queue="mail"), dead()
    with pytest.raises(NotAllowed, match="no right to retry"):
        bulk_acts.ask("retry", "status:failed", caller=NOBODY)
    assert bulk_acts.preview("retry", "status:failed", caller=TENANT).number == 1
    done = bulk_acts.ask("retry", "status:failed", caller=TENANT)
    assert done.acted == 1
    assert dict(Run.objects.values_list("pk", "status")) == {mine: "queued", foreign: "failed"}
    assert [one.id for one in bulk_acts.listing(caller=TENANT)] == [done.id]
    others = bulk_acts.ask("retry", "status:failed", caller=ADA)
    assert [one.id for one in bulk_acts.listing(caller=TENANT)] == [done.id]
    for act in (bulk_acts.show, bulk_acts.stop, bulk_acts.resume):
        with pytest.raises(bulk_acts.UnclearOperation):
            act(others.id, caller=TENANT)
