"""Each kind of rule: what it opens an alert for, and what not."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest

from openqueue import runtimes
from openqueue.alerts import kinds, pulses
from openqueue.alerts.judging import JUDGES, MOST_SUBJECTS, judge, span
from openqueue.alerts.pulses import Pulses
from openqueue.alerts.readings import read
from openqueue.control import errors
from openqueue.control.actor import Actor
from openqueue.core.rollups import advance
from openqueue.models import ErrorGroup, Outbox, Schedule
from openqueue.store import store
from tests.alerts.builders import NOW, after, make_rule
from tests.control.builders import log_in, make_run, make_worker, pause

pytestmark = pytest.mark.django_db
ADA = Actor(name="ada")
HOUR = timedelta(hours=1)


def roll(now: Any) -> None:
    while advance(minutes=60, now=now):
        pass


def faults(at: Any, *, kind: str, **facts: Any) -> dict[str, float] | None:
    """Say what a rule would open an alert for."""
    rule = make_rule(kind=kind, **facts)
    judged = judge(rule, read([rule], at=at, pulses=Pulses()))
    rule.delete()
    return None if judged is None else {subject: round(fault.value, 1) for subject, fault in judged.items()}


def ended(*, completed: int = 0, failed: int = 0, at: Any = NOW, **options: Any) -> None:
    for status, number in (("completed", completed), ("failed", failed)):
        for _ in range(number):
            make_run(status=status, at=at, **options)


def test_a_failure_rate_is_of_each_task_within_the_window():
    ended(completed=3, failed=1)
    ended(completed=1, failed=1, task=log_in, payload={"user": "a", "password": "b"})
    ended(failed=9, at=NOW - 10 * timedelta(minutes=1))
    roll(after(120))
    rate = {"kind": "failure_rate", "threshold": 20.0, "window": 300}
    assert faults(after(120), **rate) == {"task tests.log_in": 50.0, "task app.add": 25.0}
    assert faults(after(120), **rate | {"threshold": 30.0}) == {"task tests.log_in": 50.0}
    assert faults(after(120), **rate, least=3) == {"task app.add": 25.0}
    assert faults(after(120), **rate, tasks=["tests.log_in"]) == {"task tests.log_in": 50.0}
    assert faults(after(120), **rate, queues=["mail"]) == {}
    assert faults(after(120), **rate | {"window": 3_600}) == {"task app.add": 76.9, "task tests.log_in": 50.0}


def test_failures_are_counted_and_those_of_openqueues_own_work_are_not():
    ended(failed=2)
    ended(failed=2, queue="openqueue")
    roll(after(120))
    assert faults(after(120), kind="failures", threshold=2, window=300) == {"task app.add": 2.0}
    assert faults(after(120), kind="failures", threshold=3, window=300) == {}


def test_when_the_roll_ups_are_behind_nothing_is_known():
    for kind in (*kinds.KINDS,):
        if "window" in kinds.KINDS[kind].options:
            assert faults(NOW, kind=kind) is None
    ended(failed=1)
    roll(after(120))
    assert faults(after(120), kind="failures", window=300) == {"task app.add": 1.0}
    assert faults(NOW + HOUR, kind="failures", window=300) is None


def test_an_error_is_new_when_it_appears_and_again_when_it_returns():
    ended(failed=1)
    roll(after(120))
    (group,) = ErrorGroup.objects.all()
    new = {"kind": "error_new", "window": 3_600}
    assert faults(after(120), **new) == {f"error {group.pk}": 1.0}
    assert faults(after(120), **new, tasks=["tests.log_in"]) == {}
    errors.resolve([group.pk], actor=ADA, now=after(130))
    assert faults(after(130), **new) == {}
    roll(NOW + 5 * HOUR)
    ended(failed=1, at=NOW + 5 * HOUR)
    roll(NOW + 5 * HOUR + timedelta(seconds=120))
    assert faults(NOW + 5 * HOUR + timedelta(seconds=120), **new) == {f"error {group.pk}": 1.0}
    roll(NOW + 7 * HOUR)
    ended(failed=1, at=NOW + 7 * HOUR)
    roll(NOW + 7 * HOUR + timedelta(seconds=120))
    assert faults(NOW + 7 * HOUR + timedelta(seconds=120), **new) == {}  # it is known, and open


def test_an_ignored_error_is_quiet_until_it_fails_too_often_and_is_new_then():
    ended(failed=1)
    roll(after(120))
    (group,) = ErrorGroup.objects.all()
    errors.ignore([group.pk], above=2, actor=ADA, now=after(130))
    new, rising = (
        {"kind": "error_new", "window": 300},
        {"kind": "error_rising", "window": 300, "threshold": 2.0},
    )
    ended(failed=2, at=after(600))
    roll(after(720))
    assert (faults(after(720), **new), faults(after(720), **rising)) == ({}, {})
    ended(failed=1, at=after(900))
    roll(after(1_020))
    assert faults(after(1_020), **new) == {f"error {group.pk}": 1.0}


def test_an_error_that_is_resolved_in_a_release_is_quiet_about_older_ones():
    old, new = (make_worker(release=name, at=after(n)) for n, name in enumerate(("1.1", "1.2")))
    ended(failed=1, worker=old)
    roll(after(120))
    (group,) = ErrorGroup.objects.all()
    errors.resolve([group.pk], release="1.2", actor=ADA, now=after(130))
    rule = {"kind": "error_new", "window": 300}
    ended(failed=1, at=after(600), worker=old)
    roll(after(720))
    assert faults(after(720), **rule) == {}
    ended(failed=1, at=after(900), worker=new)
    roll(after(1_020))
    assert faults(after(1_020), **rule) == {f"error {group.pk}": 1.0}


def test_an_error_rises_against_the_window_before():
    ended(failed=2)
    ended(failed=5, at=after(300))
    roll(after(420))
    (group,) = ErrorGroup.objects.all()
    rising = {"kind": "error_rising", "window": 300, "threshold": 4.0}
    assert faults(after(420), **rising, factor=2.5) == {f"error {group.pk}": 5.0}
    assert faults(after(420), **rising, factor=2.6) == {}
    assert faults(after(420), **rising | {"threshold": 6.0}, factor=2.0) == {}


def test_a_backlog_is_old_or_large_unless_its_queue_is_paused():
    make_run(at=NOW)
    make_run(at=after(50))
    make_run(at=NOW, queue="mail")
    make_run(at=NOW, queue="openqueue")
    make_run(at=NOW, delay=10)
    age = {"kind": "backlog_age", "threshold": 60.0}
    assert faults(after(59), **age) == {}
    assert faults(after(60), **age) == {"queue default": 60.0, "queue mail": 60.0}
    assert faults(after(60), **age, queues=["mail"]) == {"queue mail": 60.0}
    assert faults(after(60), kind="backlog_size", threshold=2) == {"queue default": 2.0}
    pause("mail")
    assert faults(after(60), **age) == {"queue default": 60.0}


def test_no_worker_is_one_that_does_not_live_does_not_serve_or_was_told_to_be_quiet():
    make_run(at=NOW)
    nobody = {"kind": "no_worker", "threshold": 0.0}
    assert faults(after(1), **nobody) == {"queue default": 1.0}
    make_worker(queues=["mail"], at=NOW)
    assert faults(after(1), **nobody) == {"queue default": 1.0}
    worker = make_worker(at=NOW)
    assert faults(after(1), **nobody) == {}
    assert faults(after(31), **nobody) == {"queue default": 1.0}
    store().beat(worker, lease=100, busy=0, state="running", now=after(31))
    assert faults(after(31), **nobody) == {}
    store().beat(worker, lease=100, busy=0, state="stopping", now=after(31))
    assert faults(after(31), **nobody) == {"queue default": 1.0}


def test_the_outbox_lags_when_a_broker_was_not_told(settings: Any):
    settings.OPENQUEUE = {"REDIS": "redis://127.0.0.1:1/0"}
    run = make_run(at=NOW)
    lag = {"kind": "outbox_lag", "threshold": 60.0}
    assert faults(after(59), **lag) == {}
    assert faults(after(61), **lag) == {"runtime default": 61.0}
    Outbox.objects.filter(pk=run).update(announced_at=NOW)
    assert faults(after(61), **lag) == {}
    settings.OPENQUEUE = {}
    make_run(at=NOW)
    assert faults(after(61), **lag) == {}  # the outbox is the queue: there is nobody to tell


def test_the_outbox_does_not_lag_where_a_worker_put_back_or_the_broker_has_enough(
    settings: Any, monkeypatch: pytest.MonkeyPatch
):
    settings.OPENQUEUE = {"REDIS": "redis://127.0.0.1:1/0"}
    lag = {"kind": "outbox_lag", "threshold": 60.0}
    make_run(at=NOW)
    Outbox.objects.update(last_error="no_slot", announce_at=after(62))
    assert faults(after(61), **lag) == {}
    assert faults(after(123), **lag) == {"runtime default": 61.0}, "nobody has announced it again"
    make_run(at=NOW)
    monkeypatch.setattr("openqueue.alerts.readings.WINDOW", 1)
    assert faults(after(61), **lag) == {"runtime default": 61.0}
    Outbox.objects.filter(last_error="no_slot").update(announced_at=NOW)
    assert faults(after(61), **lag) == {}, "the other one is announced as it is worked off"


def test_a_schedule_is_late():
    schedule = log_in.schedules.create(every=3_600, key="a", payload={"user": "a", "password": "b"})
    Schedule.objects.update(next_at=NOW)
    late = {"kind": "schedule_late", "threshold": 60.0}
    assert faults(after(59), **late) == {}
    assert faults(after(61), **late) == {f"schedule {Schedule.objects.get(key=schedule.key).pk}": 61.0}
    assert faults(after(61), **late, tasks=["app.add"]) == {}


def test_a_runtime_is_down_that_does_not_answer_or_cannot_be_made(settings: Any):
    assert faults(NOW, kind="runtime_down") == {}
    settings.OPENQUEUE = {
        "RUNTIMES": {
            "refuses": {
                "BACKEND": "openqueue.runtimes.redis.RedisRuntime",
                "OPTIONS": {"url": "redis://127.0.0.1:1/0"},
            },
            "wrong": {"BACKEND": "openqueue.runtimes.nothing.Nothing"},
        }
    }
    runtimes.close_all()
    assert faults(NOW, kind="runtime_down") == {"runtime refuses": 1.0, "runtime wrong": 1.0}


def test_a_runtime_that_hangs_is_down_and_is_not_asked_twice_at_a_time(monkeypatch):
    asked: list[str] = []
    over = threading.Event()

    def answer(alias: str) -> None:
        asked.append(alias)
        over.wait(10)

    monkeypatch.setattr(pulses, "_is_distant", lambda _: True)
    monkeypatch.setattr(pulses, "_fault", answer)
    some = Pulses(patience=0.01)
    try:
        assert some.read()["default"].startswith("No answer")
        assert some.read()["default"].startswith("No answer")
        assert asked == ["default"]
    finally:
        over.set()
    assert some.asked["default"].answered.wait(10)


def test_of_very_many_subjects_the_worst_are_told_of():
    for number in range(MOST_SUBJECTS + 3):
        make_run(at=after(number), queue=f"q{number}")
    found = faults(after(100), kind="backlog_age", threshold=1.0)
    assert len(found) == MOST_SUBJECTS
    assert next(iter(found.values())) == 100.0
    assert "queue q27" not in found


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (90.4, "90 s"), (120, "2 min"), (3_599, "1 h"), (3_600, "1 h"), (7_800, "2 h 10 min")],
)
def test_a_length_of_time_is_said_shortly(seconds: float, said: str):
    assert span(seconds) == said


def test_every_kind_has_a_judge():
    assert set(JUDGES) == set(kinds.KINDS)
