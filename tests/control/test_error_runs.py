"""The runs of one group of errors, and acts on all of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from openqueue.control import bulk_acts, error_access, error_runs, errors, tracebacks
from openqueue.control.actor import Actor
from openqueue.control.callers import Caller, Right
from openqueue.errors import NotAllowed, PayloadInvalid
from openqueue.models import BulkOperation, ErrorGroup, Run
from tests.control.builders import NOW, clock, make_run
from tests.control.test_errors import TRACE, fail, roll

pytestmark = pytest.mark.django_db
ADA = Caller.operator(Actor(name="ada"))


def charged(number: int) -> tuple[ErrorGroup, list]:
    """Make a group of so many runs, a minute apart, the first one last; and one of another beside."""
    runs = [fail(at=NOW - timedelta(minutes=n)) for n in range(number)]
    fail(name="refund", at=NOW)
    roll(NOW + timedelta(minutes=5))
    return ErrorGroup.objects.get(place__endswith="charge"), runs


def test_pages_of_a_group_lead_on_by_key_and_hold_no_others():
    group, runs = charged(5)
    found, beyond = [], None
    for _ in range(4):
        page = error_runs.find(group, limit=2, beyond=beyond)
        found += [run.id for run in page.runs]
        beyond = page.older
        if beyond is None:
            break
    assert (found, beyond) == (runs, None)


def test_what_is_looked_at_is_bounded_and_the_next_page_goes_on_there(monkeypatch):
    group, runs = charged(2)
    monkeypatch.setattr(error_runs, "EXAMINED", 1)
    first = error_runs.find(group)  # the one of another group, perhaps: it ended last as well
    assert (len(first.runs) <= 1, first.searched_all, first.older is None) == (True, False, False)
    second = error_runs.find(group, beyond=first.older)
    third = error_runs.find(group, beyond=second.older)
    assert [run.id for page in (first, second, third) for run in page.runs] == runs


def test_runs_of_a_period_and_of_the_queues_that_somebody_sees():
    group, runs = charged(3)
    edge = NOW - timedelta(seconds=30)
    assert [run.id for run in error_runs.find(group, since=edge).runs] == runs[:1]
    assert [run.id for run in error_runs.find(group, before=edge).runs] == runs[1:]
    assert not error_runs.find(group, queues=["mail"]).runs


def test_where_runs_failed_so_is_counted():
    for _ in range(2):
        fail(queue="mail", tags=["eu"])
    fail(queue="slow", tags=["eu", "us"])
    roll(NOW + timedelta(minutes=5))
    found = error_runs.find(ErrorGroup.objects.get())
    assert (found.queues, found.tags) == ({"mail": 2, "slow": 1}, {"eu": 3, "us": 1})
    assert sum(found.workers.values()) == 3


def test_a_share_has_what_ended_in_the_time_of_the_trend():
    fail()
    fail(at=NOW - timedelta(days=2))
    make_run(status="completed", at=NOW)
    roll(NOW + timedelta(minutes=5))
    assert errors.ended(["app.add", "app.none"], now=NOW + timedelta(minutes=5)) == {"app.add": 2}


def test_all_of_a_group_begin_anew_and_what_failed_otherwise_is_skipped():
    at = clock() - timedelta(hours=1)
    mine = [fail(at=at) for _ in range(2)]
    other = fail(name="refund", at=at)
    roll(clock())
    group = ErrorGroup.objects.get(place__endswith="charge").pk
    assert error_access.preview_retry(group, caller=ADA).number == 3
    done = error_access.retry(group, caller=ADA)
    assert (done.acted, dict(done.skipped)) == (2, {"another error": 1})
    assert dict(Run.objects.values_list("pk", "status")) == dict.fromkeys(mine, "queued") | {other: "failed"}


def test_who_may_not_retry_retries_no_group_and_sees_no_message():
    group, _runs = charged(1)
    reader = replace(ADA, rights=frozenset({Right.ERRORS}))
    for act in (error_access.retry, error_access.preview_retry):
        with pytest.raises(NotAllowed, match="no right to retry"):
            act(group.pk, caller=reader)
    assert not BulkOperation.objects.exists()
    shown = error_access.show(group.pk, caller=reader)
    assert (shown.facts.message, shown.error) == ("", None)
    with pytest.raises(NotAllowed):
        error_access.listing(caller=replace(ADA, rights=frozenset()))


def test_only_a_retry_is_for_one_group_of_errors():
    with pytest.raises(PayloadInvalid, match="is no argument of cancel"):
        bulk_acts.preview("cancel", "status:queued", arguments={"error": 1}, caller=ADA)


def test_a_traceback_keeps_own_lines_and_folds_those_of_libraries():
    text = TRACE.format(release=1, line=7, name="charge", kind="shop.Declined", message="no")
    own, library, end = tracebacks.stretches(text)
    assert [one.library_frames for one in (own, library, end)] == [0, 1, 0]
    assert own.text.endswith("in charge\n    charge()")
    assert "stripe" in library.text
    assert end.text == "shop.Declined: no"
    assert "\n".join(one.text for one in (own, library, end)) == text.rstrip("\n")
    assert tracebacks.stretches("") == []
    assert [one.text for one in tracebacks.stretches("no traceback\nat all")] == ["no traceback\nat all"]
