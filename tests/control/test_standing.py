"""How everything stands, as a dashboard asks it."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from openqueue.control import recent, standing
from openqueue.models import Alert, DeadLetter, ErrorCount, ErrorGroup, RollupMark, Sweep
from tests.control.builders import clock, make_run, make_worker

pytestmark = pytest.mark.django_db


def test_it_is_read_in_six_statements_and_says_what_is_wrong():
    now = clock()
    Sweep.objects.create(name="reap", last_at=now - timedelta(seconds=20), last_count=0)
    RollupMark.objects.create(
        name="minutes", until=now - timedelta(minutes=2), sure_until=now - timedelta(minutes=2)
    )
    make_worker()
    make_run(queue="lonely")
    with CaptureQueriesContext(connection) as asked:
        found = standing.read()
    assert len(asked) <= 6, [one["sql"] for one in asked]
    assert found.slots == sum(worker.slots for worker in found.workers) > 0
    assert 19 < found.sweeps["reap"] < 60
    assert found.marks["minutes"] == now - timedelta(minutes=2)
    assert [(one.id, one.subject) for one in found.findings] == [("no_worker", "queue lonely")]
    assert found.oldest is not None
    assert found.oldest.name == "lonely"


def test_dead_letters_are_counted_but_for_those_that_somebody_has_seen():
    now = clock()
    for days, discarded in ((0, None), (2, None), (0, now)):
        DeadLetter.objects.create(
            runtime="redis", queue="a", reason="not JSON", sha256="0" * 64, size=1, head="00",
            at=now - timedelta(days=days), discarded_at=discarded,
        )  # fmt: skip
    assert (standing.read().dead, standing.read().dead_today) == (2, 1)
    DeadLetter.objects.filter(discarded_at=None).update(id=F("id") + 1_000_000)
    assert standing.read().dead == 2


def test_the_last_day_and_hour_take_two_statements_where_roll_ups_are_written():
    now = clock()
    with CaptureQueriesContext(connection) as asked:
        recent.read(now=now, marks={"minutes": now - timedelta(minutes=1), "hours": now - timedelta(hours=1)})
    assert len(asked) == 2


def test_errors_that_are_new_or_rise_are_told_and_those_that_are_steady_or_seen_to_are_not():
    now = clock()
    cases = {
        "new": (3, 0, 1),
        "rising": (9, 2, 30),
        "steady": (9, 8, 30),
        "few": (3, 0, 30),
        "past": (0, 9, 30),
    }
    for name, (last, before, hours) in cases.items():
        group = ErrorGroup.objects.create(
            fingerprint=name, task_id="app.add", type=name, place="x", message="", last_run=uuid4(), last_seen=now,
            first_seen=now - timedelta(hours=hours) + timedelta(minutes=1),
        )  # fmt: skip
        for minutes, count in ((10, last), (70, before)):
            ErrorCount.objects.create(
                group=group, period=60, start=now - timedelta(minutes=minutes), count=count
            )
    assert [(one.type, one.last_hour, one.hour_before, one.is_new) for one in standing.read().rising] == [
        ("rising", 9, 2, False),
        ("new", 3, 0, True),
    ]
    ErrorGroup.objects.update(state=ErrorGroup.RESOLVED)
    assert standing.read().rising == []


def test_alerts_that_are_open_and_unseen_are_told_by_rule():
    now = clock()
    for number, (rule, seen, over) in enumerate(
        [("slow", None, False), ("slow", None, False), ("down", now, False), ("past", None, True)]
    ):
        Alert.objects.create(
            rule_name=rule, kind="backlog", severity="critical", subject=f"queue {number}", value=1.0, text="",
            standing=None if over else 1, began_at=now, opened_at=now, acknowledged_at=seen,
            ended_at=now if over else None,
        )  # fmt: skip
    (alarm,) = standing.read().alarms
    assert (alarm.rule, alarm.severity, alarm.count) == ("slow", "critical", 2)
