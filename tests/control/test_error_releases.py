"""Errors by release: who told it, how often each failed so, what opens again in which, and how often is too often."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from openqueue.control import errors
from openqueue.control.actor import Actor
from openqueue.core import failures
from openqueue.core.returns import most_an_hour
from openqueue.models import AuditLog, ErrorCount, ErrorGroup, Release, Worker
from openqueue.store import store
from tests.control.builders import NOW, make_worker
from tests.control.test_errors import fail, roll

pytestmark = pytest.mark.django_db
ADA = Actor(name="ada")
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


def of(release: str, *, at=NOW) -> UUID:
    """Register a worker of a release."""
    return make_worker(release=release, at=at)


def group() -> ErrorGroup:
    return ErrorGroup.objects.get()


def test_a_release_is_kept_when_it_is_first_told_and_outlives_its_workers():
    of("1.1", at=NOW)
    of("1.1", at=NOW + HOUR)
    of("", at=NOW + HOUR)
    of("1.2", at=NOW + 2 * HOUR)
    assert sorted(Worker.objects.values_list("release", flat=True)) == ["", "1.1", "1.1", "1.2"]
    Worker.objects.update(state="stopped")
    store().prune_workers(before=NOW + timedelta(days=9))
    assert not Worker.objects.exists()
    assert list(Release.objects.values_list("name", "first_seen")) == [("1.1", NOW), ("1.2", NOW + 2 * HOUR)]


@pytest.mark.parametrize(("known", "most"), [(True, 2), (False, 3)])
def test_telling_a_release_costs_a_statement_once_it_is_known(statements, known, most):
    if known:
        of("1.1")
    with statements() as sent:
        of("1.1")
    assert len(sent) <= most
    assert sum("INSERT" in one and "openqueue_release" in one for one in sent) == (not known)


def test_failures_are_counted_by_the_release_of_the_worker_of_their_last_attempt():
    one, two = of("1.1"), of("1.2", at=NOW + MINUTE)
    for worker in (one, one, two, None):
        fail(worker=worker)
    roll(NOW + timedelta(days=3))
    for period in (60, 3_600, 86_400):
        counts = ErrorCount.objects.filter(period=period)
        assert dict(counts.values_list("release", "count")) == {"1.1": 2, "1.2": 1, "": 1}
    assert group().count == 4
    (listed,) = errors.listing(now=NOW + MINUTE)
    assert (listed.recent, listed.trend[-1]) == (4, 4)
    shown = errors.show(group().pk, now=NOW + MINUTE)
    assert {release: (trend[-1], sum(trend)) for release, trend in shown.by_release.items()} == {
        "1.1": (2, 2), "1.2": (1, 1), "": (1, 1),
    }  # fmt: skip
    assert shown.trend == listed.trend


def test_a_group_knows_in_which_release_it_failed_so_first_and_last():
    old, new = of("1.1"), of("1.2")
    fail(worker=new, at=NOW + 2 * HOUR)
    roll(NOW + 3 * HOUR)
    fail(worker=old, at=NOW + 4 * HOUR)
    roll(NOW + 5 * HOUR)
    assert (group().first_release, group().last_release) == ("1.2", "1.1")
    shown = errors.show(group().pk, now=NOW + 5 * HOUR)
    assert (shown.first_release, shown.last_release) == ("1.2", "1.1")


def test_counting_costs_as_much_for_many_releases_as_for_few(statements):
    def counted(number: int, *, minute: int) -> int:
        for worker in [of(f"{number}.{n}") for n in range(number)]:
            fail(worker=worker, at=NOW + minute * MINUTE)
        with statements() as sent:
            failures.count(NOW + minute * MINUTE, NOW + (minute + 1) * MINUTE)
        return len(sent)

    counted(1, minute=1)  # makes the group
    errors.resolve([group().pk], release="9", actor=ADA, now=NOW + 2 * MINUTE)
    assert counted(2, minute=10) == counted(7, minute=20)
    assert (group().count, group().state) == (10, "resolved")


@pytest.mark.parametrize(
    ("fails", "state"),
    [("1.1", "resolved"), ("1.2", "open"), ("1.3", "open"), ("", "open"), (None, "open")],
)
def test_what_is_resolved_in_a_release_opens_with_a_failure_of_it_or_of_a_newer_one(fails, state):
    workers = {name: of(name, at=NOW + n * MINUTE) for n, name in enumerate(("1.1", "1.2", "1.3", ""))}
    fail(worker=workers["1.1"])
    roll(NOW + 5 * MINUTE)
    errors.resolve([group().pk], release="1.2", actor=ADA, now=NOW + 6 * MINUTE)
    fail(worker=workers.get(fails), at=NOW + HOUR)  # None: of a worker that nobody knows
    roll(NOW + 2 * HOUR)
    assert group().state == state
    if state == "open":
        assert (group().resolved_in, group().returned_at) == ("", NOW + HOUR + timedelta(seconds=2))


def test_an_older_release_does_not_hide_that_a_newer_one_failed_so_meanwhile():
    old, new = of("1.1"), of("1.2", at=NOW + MINUTE)
    fail(worker=old)
    roll(NOW + 5 * MINUTE)
    errors.resolve([group().pk], release="1.2", actor=ADA, now=NOW + 6 * MINUTE)
    fail(worker=new, at=NOW + 10 * MINUTE)
    fail(worker=old, at=NOW + 11 * MINUTE)  # the last one
    roll(NOW + HOUR)
    assert (group().state, group().returned_at) == ("open", NOW + 10 * MINUTE + timedelta(seconds=2))


def test_a_release_that_is_yet_to_come_is_newer_than_all_that_were_seen():
    old, between = of("1.1"), of("1.1.1", at=NOW + MINUTE)
    fail(worker=old)
    roll(NOW + 5 * MINUTE)
    errors.resolve([group().pk], release="1.2", actor=ADA, now=NOW + 6 * MINUTE)
    for minute, worker in ((10, old), (11, between)):
        fail(worker=worker, at=NOW + minute * MINUTE)
    roll(NOW + HOUR)
    assert group().state == "resolved"
    fail(worker=of("1.2", at=NOW + HOUR), at=NOW + HOUR)
    roll(NOW + 2 * HOUR)
    assert group().state == "open"


def test_what_failed_in_that_release_before_it_was_resolved_does_not_open_it():
    new = of("1.2")
    fail(worker=new)
    roll(NOW + timedelta(seconds=66))
    errors.resolve([group().pk], release="1.2", actor=ADA, now=NOW + timedelta(seconds=70))
    roll(NOW + 10 * MINUTE)  # the same minute once more
    assert group().state == "resolved"


def test_what_is_ignored_up_to_a_number_opens_when_it_fails_more_often_within_an_hour():
    fail()
    roll(NOW + 5 * MINUTE)
    errors.ignore([group().pk], above=3, actor=ADA, now=NOW + 6 * MINUTE)
    for minute in (10, 40, 69, 100):  # three at most in any hour
        fail(at=NOW + minute * MINUTE)
        roll(NOW + (minute + 2) * MINUTE)
    assert group().state == "ignored"
    fail(at=NOW + 120 * MINUTE)
    roll(NOW + 122 * MINUTE)
    assert group().state == "ignored"
    fail(at=NOW + 125 * MINUTE)  # the fourth in 56 minutes
    roll(NOW + 127 * MINUTE)
    assert (group().state, group().ignored_above) == ("open", None)
    assert group().returned_at == NOW + 125 * MINUTE + timedelta(seconds=2)


def test_what_failed_before_it_was_ignored_is_not_counted():
    for _ in range(5):
        fail()
    roll(NOW + 5 * MINUTE)
    errors.ignore([group().pk], above=3, actor=ADA, now=NOW + 6 * MINUTE)
    fail(at=NOW + 10 * MINUTE)
    roll(NOW + 15 * MINUTE)
    assert group().state == "ignored"


def test_ignoring_ends_with_its_time_or_with_the_number_whichever_comes_first():
    fail()
    roll(NOW + 5 * MINUTE)
    errors.ignore([group().pk], until=NOW + HOUR, above=100, actor=ADA, now=NOW + 6 * MINUTE)
    fail(at=NOW + 30 * MINUTE)
    roll(NOW + 40 * MINUTE)
    assert group().state == "ignored"
    fail(at=NOW + 2 * HOUR)
    roll(NOW + 3 * HOUR)
    assert group().state == "open"


def test_the_most_within_an_hour_slides_minute_by_minute():
    at = [NOW + n * MINUTE for n in (0, 30, 59, 60, 90, 118)]
    assert most_an_hour([]) == 0
    assert most_an_hour([(at[0], 2), (at[2], 3)]) == 5  # minutes 0 to 59 are one hour
    assert most_an_hour([(at[0], 2), (at[3], 3)]) == 3
    assert most_an_hour([(one, 1) for one in at]) == 4


def test_what_was_decided_is_on_record_and_once_more_changes_nothing():
    fail()
    roll(NOW + 5 * MINUTE)
    number = group().pk
    assert errors.resolve([number], release="1.2", actor=ADA) == [number]
    assert errors.resolve([number], release="1.2", actor=ADA) == []
    assert errors.resolve([number], release="1.3", actor=ADA) == [number]
    assert errors.ignore([number], above=0, actor=ADA) == [number]
    assert group().resolved_in == ""
    assert errors.reopen([number], actor=ADA) == [number]
    assert (group().ignored_above, group().state) == (None, "open")
    told = list(AuditLog.objects.order_by("pk").values_list("act", "after"))
    assert told == [
        ("error.resolve", {"state": "resolved", "release": "1.2"}),
        ("error.resolve", {"state": "resolved", "release": "1.3"}),
        ("error.ignore", {"state": "ignored", "above": 0}),
        ("error.reopen", {"state": "open"}),
    ]


@pytest.mark.parametrize("release", ["a b", "x" * 61, "ä", "1.2\n"])
def test_what_no_release_can_be_called_is_refused(release):
    with pytest.raises(ValueError, match="Give at most 60 letters"):
        errors.resolve([1], release=release, actor=ADA)


@pytest.mark.parametrize("above", [-1, 1_000_001])
def test_a_number_that_cannot_be_is_refused(above):
    with pytest.raises(ValueError, match="from 0 to 1,000,000"):
        errors.ignore([1], above=above, actor=ADA)
