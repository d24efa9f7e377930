"""A queue over time: what sweeps saw and what stands there now; zero is zero, and a gap is a minute without a sweep."""

from __future__ import annotations

from datetime import timedelta

import pytest

from openqueue.control import depths
from openqueue.core import depths as core
from openqueue.core.rollups import HOUR
from openqueue.models import QueueDepth
from openqueue.store.depths import Depth
from openqueue.store.endings import MINUTE
from tests.control.builders import NOW, make_run, pause

pytestmark = pytest.mark.django_db
END = NOW + timedelta(hours=3, minutes=10, seconds=30)


def seen(at, **queues: Depth) -> None:
    found = {"": Depth()}
    for queue, depth in queues.items():
        found[queue] = depth
        found[""] = found[""].plus(depth)
    QueueDepth.objects.bulk_create(core.row(60, at, queue, [depth]) for queue, depth in found.items())


def depth_of(facts) -> Depth | None:
    return facts and Depth(facts.ready, facts.held, facts.delayed, facts.running, facts.oldest)


def test_a_minute_without_a_row_is_zero_where_somebody_looked_and_a_gap_where_nobody_did():
    last = END.replace(second=0)
    seen(last - 4 * MINUTE, mail=Depth(ready=3, oldest=2.5))
    seen(last - 3 * MINUTE)
    seen(last - MINUTE, other=Depth(ready=9))
    points = depths.of(4 * MINUTE, step=MINUTE, queue="mail", now=END).points
    assert [depth_of(point.last) for point in points] == [
        Depth(3, oldest=2.5),
        Depth(),
        None,
        Depth(),
        Depth(),
    ]
    assert [point.since for point in points] == [last - n * MINUTE for n in (4, 3, 2, 1, 0)]


def test_the_point_that_runs_is_how_it_stands_now_and_keeps_what_was_seen_before():
    seen(END.replace(second=0), mail=Depth(ready=8, running=2, oldest=700.0))
    make_run(queue="mail", at=END - timedelta(seconds=40))
    make_run(queue="mail", status="running", at=END - timedelta(seconds=20))
    make_run(queue="other", at=END - timedelta(seconds=90))
    point = depths.of(HOUR, step=10 * MINUTE, queue="mail", now=END).points[-1]
    assert depth_of(point.last) == Depth(ready=1, running=1, oldest=40.0)
    assert depth_of(point.most) == Depth(ready=8, running=2, oldest=700.0)
    pause("mail")
    assert depths.of(HOUR, step=10 * MINUTE, queue="mail", now=END).points[-1].last.held == 1
    together = depths.of(HOUR, step=MINUTE, now=END).points[-1].last
    assert (together.together, together.oldest) == (3, 90.0)


@pytest.mark.parametrize("made", [False, True])
def test_hours_say_the_same_whether_they_are_written_or_made_of_minutes(made: bool):
    for minute in range(0, 185, 7):
        seen(
            NOW + minute * MINUTE,
            mail=Depth(ready=minute * 13 % 50, running=1, oldest=float(minute * 7 % 90)),
        )
    if made:
        assert core.gather(now=END) == 3
    found = depths.of(3 * HOUR, step=HOUR, queue="mail", now=END).points
    looks = {minute: minute * 13 % 50 for minute in range(0, 185, 7)}
    for hour, point in enumerate(found[:3]):
        mine = {minute: ready for minute, ready in looks.items() if hour * 60 <= minute < hour * 60 + 60}
        assert point.most is not None
        assert point.last is not None
        assert point.most.ready == max(mine.values())
        assert point.last.ready == mine[max(mine)]
        assert point.most.oldest == max(minute * 7 % 90 for minute in mine)
    if made:
        QueueDepth.objects.filter(period=60).delete()
        assert depths.of(3 * HOUR, step=HOUR, queue="mail", now=END).points[:3] == found[:3]


def test_looks_that_are_not_kept_for_so_long_are_refused_in_words():
    core.look(now=END)
    with pytest.raises(ValueError, match="minutes are kept for 3 days"):
        depths.of(timedelta(days=4), step=15 * MINUTE, queue="mail", now=END)
    with pytest.raises(ValueError, match="hours are kept for 90 days"):
        depths.of(timedelta(days=91), step=24 * HOUR, queue="mail", now=END)
    with pytest.raises(ValueError, match="whole number of minutes"):
        depths.of(HOUR, step=timedelta(seconds=90), queue="mail", now=END)


def test_a_month_by_the_day_is_read_before_and_after_the_first_hour_is_made():
    assert len(depths.of(timedelta(days=30), step=24 * HOUR, queue="mail", now=END).points) == 31


def test_it_takes_few_statements_however_long_the_window(django_assert_max_num_queries):
    for minute in range(0, 185, 7):
        seen(NOW + minute * MINUTE, mail=Depth(ready=1))
    core.gather(now=END)
    with django_assert_max_num_queries(4):
        depths.of(timedelta(days=30), step=HOUR, queue="mail", now=END)
