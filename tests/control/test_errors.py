"""Groups of errors: found by what makes failures the same, counted with the roll-ups, resolved, ignored, opened."""

from __future__ import annotations

from datetime import timedelta

import pytest

from openqueue.control import errors
from openqueue.control.actor import Actor
from openqueue.control.runs import retry
from openqueue.core.fingerprint import failure
from openqueue.core.rollups import advance
from openqueue.errors import UnclearErrorGroup
from openqueue.models import AuditLog, ErrorCount, ErrorGroup, RollupMark, Run
from tests.control.builders import NOW, log_in, make_run

pytestmark = pytest.mark.django_db
ADA = Actor(name="ada")
TRACE = """Traceback (most recent call last):
  File "/srv/releases/{release}/shop/orders/tasks.py", line {line}, in {name}
    charge()
  File "/venv/lib/python3.13/site-packages/stripe/http.py", line 9, in request
    raise Timeout
{kind}: {message}
"""


def fail(kind="shop.Declined", message="no", name="charge", release=1, line=7, at=NOW, trace=True, **options):
    run = make_run(status="failed", at=at, **options)
    traceback = (
        TRACE.format(release=release, line=line, name=name, kind=kind, message=message) if trace else ""
    )
    Run.objects.filter(pk=run).update(error={"type": kind, "message": message, "traceback": traceback})
    return run


def roll(now):
    while advance(minutes=60, now=now):
        pass


def test_failures_are_the_same_by_task_class_and_own_frame():
    alike = [fail(), fail(message="other", release=2, line=9), fail(at=NOW + timedelta(minutes=90))]
    fail(kind="shop.Timeout")
    fail(name="refund")
    fail(task=log_in, payload={"user": "a", "password": "b"})
    roll(NOW + timedelta(hours=3))
    found = errors.listing(now=NOW + timedelta(hours=3))
    assert sorted(one.count for one in found) == [1, 1, 1, 3]
    assert found[0].count == 3
    assert (found[0].type, found[0].place) == ("shop.Declined", "shop/orders/tasks.py in charge")
    assert (found[0].last_run, found[0].message) == (alike[-1], "no")
    assert found[0].first_seen == NOW + timedelta(seconds=2)
    assert found[0].last_seen == NOW + timedelta(minutes=90, seconds=2)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("no order 17", "no order 2345"),
        ("no user 'ada'", "no user 'eve'"),
        ("run 0190a5f2-7c1e-7000-8000-000000000000 broke", "run 0190a5f2-7c1e-7000-8000-0000000000ff broke"),
        ("at 0x7f01 on 2027-03-01", "at 0x7f02 on 2027-03-02"),
    ],
)
def test_without_an_own_frame_the_shape_of_the_message_decides(one, other):
    def fingerprint(message):
        return failure("t", {"type": "E", "message": message, "traceback": ""}).fingerprint

    assert fingerprint(one) == fingerprint(other) != fingerprint("something else")


@pytest.mark.parametrize(
    "error", [None, {}, [], "text", 7, {"type": None, "message": 3, "traceback": "File"}]
)
def test_whatever_is_on_record_has_a_fingerprint(error):
    assert len(failure("t", error).fingerprint) == 32


def test_counts_stay_right_however_often_a_minute_is_written():
    for minute in range(5):
        fail(at=NOW + timedelta(minutes=minute))
    for seconds in (65, 90, 130, 200, 600, 3_000, 90_000):
        roll(NOW + timedelta(seconds=seconds))
    (one,) = errors.listing(now=NOW + timedelta(hours=1))
    assert one.count == 5
    RollupMark.objects.all().delete()
    roll(NOW + timedelta(days=3))
    assert ErrorGroup.objects.get().count == 5
    assert list(ErrorCount.objects.filter(period=3_600).values_list("count", flat=True)) == [5]
    assert list(ErrorCount.objects.filter(period=86_400).values_list("count", flat=True)) == [5]


def test_the_trend_has_a_bar_for_each_of_the_last_24_hours():
    for hours in (30, 23, 2, 2, 0):
        fail(at=NOW - timedelta(hours=hours))
    roll(NOW + timedelta(minutes=5))
    (one,) = errors.listing(now=NOW + timedelta(minutes=5))
    assert (one.trend[0], one.trend[21], one.trend[23], one.recent, one.count) == (1, 2, 1, 4, 5)


def test_what_returns_after_it_was_resolved_is_open_again_and_what_is_counted_late_is_not():
    fail()
    roll(NOW + timedelta(seconds=66))
    group = ErrorGroup.objects.get().pk
    assert errors.resolve([group], actor=ADA, reason="mended", now=NOW + timedelta(seconds=70)) == [group]
    roll(NOW + timedelta(minutes=10))  # the same minute once more
    assert errors.listing(state="resolved", now=NOW)[0].changed_by == "ada"
    fail(at=NOW + timedelta(minutes=11))
    roll(NOW + timedelta(minutes=20))
    assert [one.id for one in errors.listing(state="open", now=NOW)] == [group]
    told = AuditLog.objects.get()
    assert (told.act, told.object, told.before, told.after, told.reason) == (
        "error.resolve", f"error {group}", {"state": "open"}, {"state": "resolved"}, "mended",
    )  # fmt: skip


def test_what_is_ignored_for_a_time_is_open_when_it_returns_later():
    fail()
    roll(NOW + timedelta(minutes=5))
    group, until = ErrorGroup.objects.get().pk, NOW + timedelta(hours=1)
    errors.ignore([group], actor=ADA, until=until, now=NOW + timedelta(minutes=6))
    fail(at=NOW + timedelta(minutes=30))
    roll(NOW + timedelta(minutes=40))
    assert errors.listing(state="open", now=NOW + timedelta(minutes=40)) == []
    assert [e.state for e in errors.listing(state="ignored", now=NOW + timedelta(minutes=40))] == ["ignored"]
    assert [e.state for e in errors.listing(state="open", now=until)] == [
        "open"
    ]  # nothing is written for that
    fail(at=NOW + timedelta(minutes=90))
    roll(NOW + timedelta(hours=2))
    assert ErrorGroup.objects.get().state == "open"


def test_what_is_ignored_for_ever_stays_so_until_somebody_opens_it():
    fail()
    roll(NOW + timedelta(minutes=5))
    group = ErrorGroup.objects.get().pk
    errors.ignore([group], actor=ADA)
    fail(at=NOW + timedelta(minutes=30))
    roll(NOW + timedelta(hours=2))
    assert ErrorGroup.objects.get().state == "ignored"
    assert errors.reopen([group], actor=ADA) == [group]
    assert errors.reopen([group], actor=ADA) == []
    assert AuditLog.objects.count() == 2


def test_one_group_is_shown_with_its_runs_and_no_others():
    mine = [fail(at=NOW + timedelta(minutes=n), message=f"no {n}") for n in range(3)]
    fail(name="refund", at=NOW + timedelta(minutes=2))
    roll(NOW + timedelta(minutes=10))
    group = ErrorGroup.objects.get(place__endswith="charge").pk
    shown = errors.show(group)
    assert [run.id for run in shown.runs] == mine[::-1]
    assert (shown.error["message"], shown.searched_all, shown.count) == ("no 2", True, 3)
    retry([mine[-1]], actor=ADA)
    again = errors.show(group)
    assert ([run.id for run in again.runs], again.error) == (mine[1::-1], None)


def test_what_cannot_be_asked_is_refused():
    with pytest.raises(UnclearErrorGroup, match="There is no group of errors 4711"):
        errors.show(4711)
    with pytest.raises(ValueError, match=r"no state 'broken'\. Use one of: open, resolved, ignored"):
        errors.listing(state="broken")
    for until in (NOW, NOW.replace(tzinfo=None)):
        with pytest.raises(ValueError, match="Give an aware moment that is to come"):
            errors.ignore([1], actor=ADA, until=until, now=NOW)


@pytest.mark.parametrize("groups", [1, 8])
def test_a_list_costs_three_statements_however_long_it_is(groups, statements):
    for n in range(groups):
        fail(name=f"step_{'abcdefgh'[n]}")
    roll(NOW + timedelta(minutes=5))
    with statements() as sent:
        assert len(errors.listing(now=NOW)) == groups
    assert len(sent) <= 3
