"""Roll-ups say what the runs say, whatever the order in which things commit, and however often they are written."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from django.db import connection, connections, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openqueue.core import rollups
from openqueue.core.rollups import advance, floor
from openqueue.core.tally import middle, percentile
from openqueue.models import Rollup, RollupMark, Run
from openqueue.processes.sweeps.rollups import Rollups
from openqueue.states import FINAL
from openqueue.store import endings, store
from tests.control.builders import NOW, claim, clock, end, log_in, make_run

MINUTE = timedelta(minutes=1)
DONE = NOW + timedelta(days=3)


def finish(now: datetime) -> None:
    for _ in range(200):
        if not advance(minutes=60, now=now):
            return
    raise AssertionError("there is no end to it")


def sums(period: int = 60) -> Counter[tuple[datetime, str, str, str]]:
    found: Counter[tuple[datetime, str, str, str]] = Counter()
    for row in Rollup.objects.filter(period=period):
        for outcome in endings.OUTCOMES:
            found[row.start, row.task_id, row.queue, outcome] += getattr(row, outcome)
    return +found


def truth(period: timedelta = MINUTE) -> Counter[tuple[datetime, str, str, str]]:
    return Counter(
        (floor(run.finished_at, period), run.task_id, run.queue, run.outcome)
        for run in Run.objects.filter(outcome__in=FINAL)
    )


@pytest.mark.django_db
def test_what_ended_in_a_minute_is_counted_by_task_queue_and_outcome():
    for status in ("completed", "failed", "cancelled", "expired", "queued", "running", "retrying"):
        make_run(status=status, at=NOW)
    make_run(status="completed", at=NOW, queue="mail")
    make_run(status="completed", at=NOW, task=log_in, payload={"user": "ada", "password": "x"})
    assert advance(minutes=60, now=NOW + timedelta(seconds=70))
    assert sums() == truth()
    assert len(truth()) == 6
    assert Rollup.objects.get(task_id="app.add", queue="default").failed == 1


@pytest.mark.django_db
def test_a_minute_is_not_written_before_it_is_over():
    make_run(status="completed", at=NOW, seconds=30)
    while advance(minutes=60, now=NOW + timedelta(seconds=62)):
        pass
    assert sums() == {}


runs = st.lists(
    st.tuples(
        st.integers(0, 3 * 60 * 60),  # seconds after NOW
        st.floats(0.0, 900.0),
        st.sampled_from(["completed", "failed", "cancelled", "expired", "running", "queued"]),
        st.sampled_from(["default", "mail"]),
        st.integers(0, 3),
    ),
    max_size=12,
)
steps = st.lists(st.tuples(st.integers(0, 4 * 60 * 60), st.integers(1, 90)), max_size=8).map(sorted)


@pytest.mark.django_db
@given(runs, steps)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_sums_equal_what_the_runs_say_after_any_history(history, moments):
    with transaction.atomic():
        todo, moment = sorted((ahead + seconds, seconds, *more) for ahead, seconds, *more in history), NOW
        for ahead, minutes in moments:
            # What ends now ends now or later; that the clock may be set back as well is another test's.
            moment = max(moment, NOW + timedelta(seconds=ahead))
            while todo and NOW + timedelta(seconds=todo[0][0]) <= moment:
                make(*todo.pop(0))
            advance(minutes=minutes, now=moment)
        for one in todo:
            make(*one)
        finish(DONE)
        assert sums() == truth()
        assert sums(3_600) == truth(rollups.HOUR)
        assert sums(86_400) == truth(rollups.DAY)
        bodies = Run.objects.filter(outcome__in=["completed", "failed"])
        rows = Rollup.objects.filter(period=86_400)
        assert sum(sum(row.times.values()) for row in rows) == bodies.count()
        assert sum(row.retries for row in rows) == sum(
            max(0, run.attempt - 1 - run.crash_count) for run in Run.objects.filter(outcome__in=FINAL)
        )
        transaction.set_rollback(True)


def make(ended: float, seconds: float, status: str, queue: str, retries: int) -> None:
    at = NOW + timedelta(seconds=ended - (seconds if status in {"completed", "failed"} else 0))
    run = make_run(status=status, at=at, seconds=seconds, queue=queue)
    if retries and status in {"completed", "failed"}:
        Run.objects.filter(pk=run).update(attempt=1 + retries)


@pytest.mark.django_db
@pytest.mark.parametrize("behind", [10, 90, 600, 4_000])
def test_a_clock_that_is_set_back_counts_nothing_twice_and_loses_nothing(behind):
    """Sweeps come every 15 seconds, a run ends every 20."""
    moment, until = NOW - timedelta(minutes=20), NOW + timedelta(minutes=90)
    back = timedelta(seconds=behind)
    was_set = False
    n = 0
    while moment < until:
        if n % 20 == 0:
            make_run(status="completed", at=moment, seconds=0)
        if n % 15 == 0:
            while advance(minutes=60, now=moment):
                pass
        moment += timedelta(seconds=5)
        n += 5
        if moment - NOW > timedelta(minutes=5) and not was_set:
            moment, was_set, until = moment - back, True, moment + timedelta(minutes=4) - back
    finish(DONE)
    assert sums() == truth()
    assert sums(3_600) == truth(rollups.HOUR)


@pytest.mark.django_db
def test_waits_and_times_tell_percentiles_and_sums():
    for n in range(100):
        run = make_run(at=NOW - timedelta(seconds=n / 10))
        end(claim(run, at=NOW), status="completed", at=NOW + timedelta(seconds=n / 20), seconds=n / 20)
        Run.objects.filter(pk=run).update(started_at=NOW)
    finish(NOW + timedelta(minutes=2))
    row = Rollup.objects.get(period=60)
    times = {int(bucket): count for bucket, count in row.times.items()}
    waits = {int(bucket): count for bucket, count in row.waits.items()}
    assert sum(times.values()) == sum(waits.values()) == 100
    assert percentile(times, 0.5) == pytest.approx(2.5, rel=0.11)
    assert percentile(times, 0.95) == pytest.approx(4.75, rel=0.11)
    assert percentile(waits, 0.5) == pytest.approx(5.0, rel=0.11)
    assert row.run_seconds == pytest.approx(247.5, abs=0.2)
    assert row.wait_seconds == pytest.approx(495, abs=0.2)
    assert row.longest == pytest.approx(4.95, abs=0.01)
    assert percentile({}, 0.5) is None


def test_buckets_are_a_fifth_apart():
    assert all(1.18 < b / a < 1.2 for a, b in pairwise(middle(n) for n in range(1, 150)))
    assert middle(0) == 0.001
    assert middle(150) > 30 * 86_400


@pytest.mark.django_db
def test_an_attempt_that_never_began_or_was_lost_has_no_time_and_a_second_one_no_wait():
    make_run(status="cancelled", at=NOW)
    lost = make_run(status="failed", at=NOW)
    Run.objects.filter(pk=lost).update(reason="worker_lost", crash_count=3, attempt=3)
    finish(NOW + timedelta(minutes=2))
    row = Rollup.objects.get(period=60)
    assert (row.times, row.waits, row.retries, row.crashes) == ({}, {}, 0, 3)


@pytest.mark.django_db
def test_an_empty_past_is_passed_in_one_step():
    make_run(status="completed", at=NOW - timedelta(days=300))
    make_run(status="completed", at=NOW)
    steps = 0
    while advance(minutes=60, now=NOW + timedelta(hours=1)):
        steps += 1
    assert sums() == truth()
    assert steps < 30  # a day of hours, and thirty days, at once


@pytest.mark.django_db
def test_a_storm_of_failures_is_read_in_parts(monkeypatch):
    monkeypatch.setattr(rollups, "MOST_FAILURES", 2)
    for minute in range(4):
        for _ in range(2):
            make_run(status="failed", at=NOW + minute * MINUTE)
    assert advance(minutes=60, now=NOW + timedelta(minutes=10))
    assert RollupMark.objects.get(name="minutes").until == NOW + MINUTE
    finish(NOW + timedelta(minutes=10))
    assert sums() == truth()


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_what_commits_late_is_counted_when_it_did():
    what_commits_late_is_counted()


@pytest.mark.mariadb
@pytest.mark.django_db(transaction=True)
def test_what_commits_late_is_counted_on_mariadb_when_it_can_commit_no_more():
    what_commits_late_is_counted()


def what_commits_late_is_counted():
    """A cancel inside somebody's long transaction: the minute it says it happened in was written long ago."""
    began = clock()
    run = make_run()
    make_run(status="completed", at=began - timedelta(minutes=30))
    inside, go_on = threading.Event(), threading.Event()

    def late() -> None:
        with transaction.atomic():
            Run.objects.filter(pk=run).update(outcome="cancelled", finished_at=began - timedelta(minutes=4))
            inside.set()
            go_on.wait(30)
        connections.close_all()

    thread = threading.Thread(target=late)
    thread.start()
    assert inside.wait(30)
    try:
        patch = pytest.MonkeyPatch()
        # The transaction began just now, and says that it ended a run minutes ago.
        patch.setattr(endings, "OPEN_TRANSACTIONS", OPEN_SINCE_LONG)
        while advance(minutes=60):
            pass
        assert sums() != {}
        mark = RollupMark.objects.get(name="minutes")
        assert mark.sure_until < floor(began - timedelta(minutes=4)) < mark.until
    finally:
        go_on.set()
        thread.join()
        patch.undo()
    assert sums() != truth()
    if connection.vendor == "postgresql":
        while advance(minutes=60):
            pass
    else:
        finish(clock() + timedelta(minutes=20))
    assert sums() == truth()


OPEN_SINCE_LONG = endings.OPEN_TRANSACTIONS.replace("(xact_start)", "(xact_start - interval '5 minutes')")


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_any_number_of_sweepers_write_the_same():
    any_number_of_sweepers_write_the_same()


@pytest.mark.mariadb
@pytest.mark.django_db(transaction=True)
def test_any_number_of_sweepers_write_the_same_on_mariadb():
    any_number_of_sweepers_write_the_same()


def any_number_of_sweepers_write_the_same():
    for minute in range(30):
        make_run(status="failed", at=NOW + minute * MINUTE)
        make_run(status="completed", at=NOW + minute * MINUTE, queue="mail")
    failures = []

    def sweep() -> None:
        try:
            for _ in range(40):
                advance(minutes=3, now=NOW + timedelta(hours=2))
        except Exception as error:
            failures.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=sweep) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    finish(NOW + timedelta(hours=2))
    assert sums() == truth()


@pytest.mark.django_db
def test_a_step_that_is_cut_off_leaves_nothing_behind(monkeypatch):
    make_run(status="failed", at=NOW)

    def cut(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(rollups.failures, "count", cut)
        with pytest.raises(KeyboardInterrupt):
            advance(minutes=60, now=NOW + timedelta(minutes=2))
    assert sums() == {}
    finish(NOW + timedelta(minutes=2))
    assert sums() == truth()


@pytest.mark.django_db
def test_the_sweep_writes_what_is_over_and_deletes_what_is_past_its_time(settings):
    settings.OPENQUEUE = {"RETENTION": {"minutes": 1, "hours": 2, "days": None}}
    make_run(status="failed", at=NOW)
    sweep = Rollups()
    while sweep.step(now=NOW + timedelta(hours=30)):
        pass
    assert sums() == {}  # minutes go once hours are made of them
    assert sums(3_600) == truth(rollups.HOUR)
    while sweep.step(now=NOW + timedelta(days=4)):
        pass
    assert (sums(3_600), sums(86_400)) == ({}, truth(rollups.DAY))


@pytest.mark.django_db
def test_minutes_stay_until_hours_are_made_of_them(settings):
    settings.OPENQUEUE = {"RETENTION": {"minutes": 0}}
    make_run(status="failed", at=NOW)
    Rollups().step(now=NOW + timedelta(minutes=10))
    assert sums() == truth()


@pytest.mark.postgresql
@pytest.mark.django_db
def test_what_is_settled_lies_before_every_open_transaction():
    moment = store().clock(None)
    with connection.cursor() as cursor:
        cursor.execute(endings.OPEN_TRANSACTIONS, {"longest": endings.LONGEST_WRITE})
        _, hidden = cursor.fetchone()
    assert hidden == 0
    assert endings.settled_before(store(), moment, is_clock=True) <= moment - endings.PATIENCE
