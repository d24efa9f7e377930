"""Counters and series: from roll-ups and runs together, and always what the runs say."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from itertools import pairwise

import pytest

from openqueue.control import recent, series
from openqueue.core.rollups import DAY, HOUR, advance
from openqueue.models import Rollup, RollupMark, Run
from openqueue.states import FINAL
from openqueue.store.endings import MINUTE, OUTCOMES, floor
from tests.control.builders import NOW, log_in, make_run

pytestmark = pytest.mark.django_db
END = NOW + timedelta(days=1, hours=5, minutes=17, seconds=31)


@pytest.fixture(params=["not yet", "an hour ago", "now", "with the clock ahead"])
def history(request):
    """Runs of thirty hours; rolled up not at all, or up to some moment."""
    ended = ["completed", "failed", "cancelled", "expired", "running", "queued"]
    for n in range(120):
        at = END - timedelta(seconds=(n**2 * 7) + n % 7)
        options = {"queue": "mail"} if n % 3 == 0 else {}
        if n % 5 == 0:
            options |= {"task": log_in, "payload": {"user": "ada", "password": "x"}}
        make_run(status=ended[n % 4 if n % 9 else 4], at=at - timedelta(seconds=2), **options)
    ahead = {"not yet": None, "an hour ago": -HOUR, "now": timedelta(0), "with the clock ahead": HOUR}[
        request.param
    ]
    if ahead is not None:
        while advance(minutes=60, now=END + ahead):
            pass
    if request.param == "with the clock ahead":
        advance(minutes=60, now=END)
    return request.param


def truth(since, **only) -> Counter[str]:
    runs = Run.objects.filter(outcome__in=FINAL, finished_at__gte=since, finished_at__lte=END, **only)
    return Counter(runs.values_list("outcome", flat=True))


ONLY = [{}, {"task_id": "tests.log_in"}, {"queue": "mail"}, {"task_id": "app.add", "queue": "mail"}]
SPANS = [
    (HOUR, MINUTE),
    (HOUR, 5 * MINUTE),
    (DAY, HOUR),
    (DAY, 15 * MINUTE),
    (7 * DAY, 6 * HOUR),
    (30 * DAY, DAY),
]


def test_every_point_is_what_the_runs_say(history):
    ended = list(Run.objects.filter(outcome__in=FINAL).values("finished_at", "outcome", "task_id", "queue"))
    for only in ONLY:
        mine = [run for run in ended if all(run[name] == value for name, value in only.items())]
        for period, step in SPANS:
            found = series.of(period, step=step, now=END, **only)
            assert found.points[0].since == found.whole.since == floor(END - period, step)
            assert {b.since - a.since for a, b in pairwise(found.points)} == {step}
            assert found.points[-1].since <= END < found.points[-1].before
            assert not found.stopped
            for part in (found.whole, *found.points):
                told = Counter(
                    run["outcome"] for run in mine if part.since <= run["finished_at"] < part.before
                )
                assert +Counter(part.counts) == told, (only, part)
                assert part.total == told.total()
            assert found.whole.total


def test_counts_alone_are_those_that_are_told_with_times(history):
    for only in ONLY:
        for period, step in SPANS:
            counted, told = (
                series.of(period, step=step, now=END, counts_only=alone, **only) for alone in (True, False)
            )
            assert [+Counter(one.counts) for one in counted.points] == [
                +Counter(one.counts) for one in told.points
            ]
            assert counted.whole.total == told.whole.total > 0


def test_the_last_day_and_hour_are_what_the_runs_say(history):
    ended = list(Run.objects.filter(outcome__in=FINAL).values("finished_at", "outcome", "queue"))
    marks = dict(RollupMark.objects.values_list("name", "until"))
    found = recent.read(now=END, marks=marks)
    assert (len(found.hours), len(found.minutes)) == (24, 60)
    for part in (*found.hours, *found.minutes, found.hour):
        told = Counter(run["outcome"] for run in ended if part.since <= run["finished_at"] < part.before)
        assert +Counter(part.counts) == told, part
    assert found.hour.total == sum(found.by_queue[queue].total for queue in found.by_queue)
    for queue, numbers in found.by_queue.items():
        assert numbers.total == sum(found.minutes_by_queue[queue])
        assert recent.read(now=END, marks=marks, queues=[queue]).hour == numbers
    assert found.hour.total


def test_numbers_by_task_and_by_queue_add_up(history):
    for period in (HOUR, DAY):
        tasks, queues = series.by_task(period, now=END), series.by_queue(period, now=END)
        since = floor(END - period, HOUR if period >= DAY else MINUTE)
        for name, numbers in tasks.items():
            assert +Counter(numbers.counts) == truth(since, task_id=name)
        for name, numbers in queues.items():
            assert +Counter(numbers.counts) == truth(since, queue=name)
        assert (
            sum(n.total for n in tasks.values())
            == sum(n.total for n in queues.values())
            == truth(since).total()
        )
    mail = series.by_task(DAY, queue="mail", now=END)
    assert sum(n.total for n in mail.values()) == series.by_queue(DAY, now=END)["mail"].total


def test_the_running_minute_is_read_from_the_runs():
    make_run(status="completed", at=END - timedelta(seconds=3), seconds=2)
    assert series.of(HOUR, step=MINUTE, now=END).points[-1].counts["completed"] == 1


def test_nothing_is_said_of_what_did_not_happen():
    whole = series.of(HOUR, step=MINUTE, now=END).whole
    assert (whole.total, whole.wait_p50, whole.time_p95, whole.longest) == (0, None, None, None)
    assert set(whole.counts) == set(OUTCOMES)


@pytest.mark.parametrize(
    ("period", "step", "complaint"),
    [
        (HOUR, timedelta(seconds=90), "whole number of minutes"),
        (HOUR, timedelta(0), "whole number of minutes"),
        (30 * DAY, MINUTE, "more than 2000 steps"),
        (5 * DAY, 15 * MINUTE, "minutes are kept for 3 days"),
    ],
)
def test_a_series_that_cannot_be_given_is_refused(period, step, complaint):
    make_run(status="completed", at=END - 10 * DAY)
    while advance(minutes=600, now=END):
        pass
    with pytest.raises(ValueError, match=complaint):
        series.of(period, step=step, now=END)


def test_a_series_reads_the_coarsest_rows_that_fit(statements):
    make_run(status="completed", at=END - 3 * DAY)
    while advance(minutes=60, now=END):
        pass
    Rollup.objects.filter(period=60).exclude(start__gte=END - DAY).delete()
    assert series.of(7 * DAY, step=HOUR, now=END).whole.total == 1
    with statements() as sent:
        series.of(30 * DAY, step=DAY, now=END)
    assert len(sent) <= 5
