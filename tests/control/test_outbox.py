from __future__ import annotations

from datetime import timedelta

import pytest

from openqueue.control import outbox, queue_acts
from openqueue.control.actor import Actor
from openqueue.models import AuditLog, Outbox
from tests.control.builders import clock, make_run

pytestmark = pytest.mark.django_db
ADA = Actor(name="ada")
DOWN = {"BACKEND": "tests.broker.runtime.BrokerRuntime", "OPTIONS": {"port": 1}}


@pytest.fixture
def brokered(settings):
    settings.OPENQUEUE = {"RUNTIMES": {"default": DOWN}}


def put(run, **columns):
    Outbox.objects.filter(pk=run).update(**columns)


def test_each_row_tells_how_it_stands_and_the_oldest_come_first(brokered):
    pending, failed, back, sent = (make_run(queue="mail") for _ in range(4))
    later = make_run(status="scheduled")
    at = clock()
    put(pending, due_at=at - timedelta(seconds=60))
    refused = {"last_error": "ConnectionRefusedError: ...", "announce_at": at + timedelta(seconds=30)}
    put(failed, tries=30, heard=27, **refused)  # three of them since a worker had it
    put(back, last_error="no_slot", tries=1)
    put(sent, announced_at=at)
    page = outbox.find()
    assert [(row.run_id, row.state) for row in page.rows] == [
        (pending, "pending"),
        (failed, "failed"),
        (back, "pending"),
        (sent, "announced"),
        (later, "later"),
    ]
    first, second, *_, last = page.rows
    assert 59 < first.age < 90
    assert (second.tries, second.last_error, 25 < second.next_try <= 30) == (
        3,
        "ConnectionRefusedError: ...",
        True,
    )
    assert (last.age, last.next_try) == (None, None)
    for state in outbox.STATES:
        assert [row.run_id for row in outbox.find(state=state).rows] == [
            row.run_id for row in page.rows if row.state == state
        ]
    (counts,) = outbox.counts()
    assert (counts.pending, counts.failed, counts.announced, counts.later) == (2, 1, 1, 1)
    assert 59 < counts.oldest_pending < 90
    assert outbox.counts(queues=["other"])[0].pending == 0
    (nothing,) = outbox.counts(queues=[])
    assert (nothing.pending, nothing.later, nothing.oldest_pending) == (0, 0, None)


def test_pages_go_on_by_key_within_what_may_be_seen(django_assert_max_num_queries):
    runs = [make_run(queue="mail") for _ in range(5)] + [make_run(queue="other")]
    with django_assert_max_num_queries(7):
        page = outbox.find(limit=2, queues=["mail"])
    seen = [row.run_id for row in page.rows]
    while page.next:
        page = outbox.find(limit=2, queues=["mail"], after=page.next)
        seen += [row.run_id for row in page.rows]
    assert seen == runs[:5]
    assert [row.run_id for row in outbox.find(queue="other").rows] == runs[5:]
    assert outbox.find(runtime="nowhere").rows == []


def test_counts_end_somewhere(brokered, monkeypatch):
    monkeypatch.setattr(outbox, "COUNTED", 2)
    for _ in range(4):
        make_run()
    assert outbox.counts()[0].pending == 2


def test_a_flush_has_what_is_due_looked_at_at_once_and_is_on_record(brokered, monkeypatch):
    monkeypatch.setattr(outbox, "CHUNK", 2)
    waiting = [make_run(queue="mail") for _ in range(3)]
    sent, later, other = make_run(queue="mail"), make_run(queue="mail", status="scheduled"), make_run()
    held = make_run(queue="held")
    soon = clock() + timedelta(hours=1)
    Outbox.objects.update(announce_at=soon)
    put(sent, announced_at=clock())
    queue_acts.pause(["held"], actor=ADA)
    assert outbox.flush(queue="mail", actor=ADA, reason="broker is back") == 3
    at = dict(Outbox.objects.values_list("run_id", "announce_at"))
    assert all(at[run] <= clock() for run in waiting)
    assert {at[run] for run in (sent, later, other, held)} == {soon}
    acts = AuditLog.objects.filter(act="outbox.flush").order_by("pk")
    assert [(act.object, act.after, act.reason) for act in acts] == [
        ("queue mail", {"runs": 2}, "broker is back"),
        ("run " + str(waiting[2]), {"runs": 1}, "broker is back"),
    ]
    assert outbox.flush(queue="mail", actor=ADA) == 0
    assert outbox.flush(runs=[sent], announced=True, actor=ADA) == 1
    assert outbox.flush(runtime="default", actor=ADA) == 1
    assert outbox.flush(announced=True, actor=ADA) == 0, "the held one stays, the delayed one is not due"
    assert outbox.flush(queues=["none"], actor=ADA) == 0
