"""How much stands in each queue is looked at once in a minute, whoever sweeps; hours say what their minutes said."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connections
from django.test.utils import override_settings

from openqueue.core import depths
from openqueue.models import Outbox, QueueDepth
from openqueue.processes.sweeps import Sweeps
from openqueue.processes.sweeps.depths import Depths
from openqueue.store import store
from openqueue.store.depths import Depth
from tests.control.builders import NOW, clock, make_run, pause

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def written(period: int = 60) -> dict[str, tuple[int, int, int, int, float]]:
    rows = QueueDepth.objects.filter(period=period).order_by("start")
    return {row.queue: (row.ready, row.held, row.delayed, row.running, row.oldest) for row in rows}


@pytest.mark.django_db
def test_a_look_tells_what_is_ready_held_delayed_and_running_and_the_oldest_wait():
    for status in ("queued", "queued", "running", "scheduled", "retrying", "completed"):
        make_run(status=status, at=NOW)
    pause("mail")
    make_run(queue="mail", at=NOW + timedelta(seconds=5))
    limited = make_run(queue="mail", at=NOW)
    Outbox.objects.filter(pk=limited).update(ready=False, waits_for="key")
    assert depths.look(now=NOW + timedelta(seconds=50))
    assert written() == {
        "": (2, 2, 2, 1, 50.0),
        "default": (2, 0, 2, 1, 50.0),
        "mail": (0, 2, 0, 0, 45.0),
    }
    assert set(QueueDepth.objects.values_list("start", flat=True)) == {NOW}


@pytest.mark.django_db
def test_a_minute_is_looked_at_once_and_one_without_runs_costs_one_row():
    assert depths.look(now=NOW)
    make_run(at=NOW)
    assert not depths.look(now=NOW + timedelta(seconds=59))
    assert written() == {"": (0, 0, 0, 0, 0.0)}
    assert depths.look(now=NOW + MINUTE)
    assert QueueDepth.objects.count() == 3


@pytest.mark.django_db(transaction=True)
def test_of_two_who_look_at_the_same_time_one_writes(monkeypatch):
    make_run()
    both = threading.Barrier(2, timeout=20)
    row, wrote = depths.row, []

    def late(period, start, queue, looks):
        if not queue:
            both.wait()  # neither has found the other's row
        return row(period, start, queue, looks)

    def look() -> None:
        try:
            wrote.append(depths.look(now=NOW + HOUR))
        finally:
            connections.close_all()

    monkeypatch.setattr(depths, "row", late)
    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(wrote) == [False, True]
    assert QueueDepth.objects.count() == 2


def seen(start, **queues: Depth) -> None:
    found = {"": Depth()}
    for queue, depth in queues.items():
        found[queue] = depth
        found[""] = found[""].plus(depth)
    QueueDepth.objects.bulk_create(depths.row(60, start, queue, [depth]) for queue, depth in found.items())


@pytest.mark.django_db
def test_an_hour_keeps_the_last_look_the_fullest_and_the_longest_wait():
    seen(NOW, mail=Depth(ready=5, oldest=3.0))
    seen(NOW + 10 * MINUTE, mail=Depth(ready=40, running=2, delayed=1, oldest=9.0), other=Depth(running=1))
    seen(NOW + 20 * MINUTE, mail=Depth(held=7, delayed=90, oldest=600.0))
    seen(NOW + HOUR)
    assert depths.gather(now=NOW + HOUR + MINUTE) == 1
    assert depths.gather(now=NOW + HOUR + MINUTE) == 0
    rows = {row.queue: row for row in QueueDepth.objects.filter(period=3600)}
    assert set(rows) == {"", "mail", "other"}
    assert {row.start for row in rows.values()} == {NOW}
    assert depths.last_of(rows["mail"]) == Depth(held=7, delayed=90, oldest=600.0)
    assert depths.most_of(rows["mail"]) == Depth(ready=40, running=2, delayed=1, oldest=600.0)
    assert depths.last_of(rows["other"]) == Depth()
    assert depths.most_of(rows["other"]) == Depth(running=1)
    assert depths.most_of(rows[""]).together == 43


@pytest.mark.django_db
def test_after_a_long_silence_all_hours_that_are_over_are_made():
    for hour in (0, 1, 5, 30):
        seen(NOW + hour * HOUR + 7 * MINUTE, mail=Depth(ready=hour + 1))
    assert depths.gather(now=NOW + 31 * HOUR) == 4
    hours = QueueDepth.objects.filter(period=3600, queue="mail").order_by("start")
    assert [(row.start - NOW) // HOUR for row in hours] == [0, 1, 5, 30]


@pytest.mark.django_db
def test_minutes_go_when_their_time_is_over_and_hours_were_made_of_them():
    for at in (NOW, NOW + HOUR, NOW + 4 * 24 * HOUR):
        seen(at, mail=Depth(ready=1))
    late = NOW + 4 * 24 * HOUR + MINUTE
    assert depths.prune("minutes", before=late, limit=100) == 0  # no hours are made of them yet
    assert Depths().step(now=late + MINUTE) == 1
    assert set(QueueDepth.objects.filter(period=60, queue="mail").values_list("start", flat=True)) == {
        NOW + 4 * 24 * HOUR
    }
    assert QueueDepth.objects.filter(period=3600, queue="mail").count() == 2
    with override_settings(OPENQUEUE={"RETENTION": {"hours": 1}}):
        Depths().step(now=late + 2 * MINUTE)
    assert not QueueDepth.objects.filter(period=3600).exists()


@pytest.mark.django_db
def test_the_sweeps_of_many_processes_look_once_a_minute():
    make_run()
    processes = [Sweeps(only=["depths"]) for _ in range(3)]
    at = store().clock(None).replace(minute=7, second=0, microsecond=0)  # with no hour that ends meanwhile
    for second in range(0, 240, 10):
        for process in processes:
            process.next_at["depths"] = 0.0
            process.step(now=at + timedelta(seconds=second))
    starts = QueueDepth.objects.filter(queue="").order_by("start").values_list("start", flat=True)
    assert list(starts) == [at + n * MINUTE for n in range(4)]


@pytest.mark.django_db
def test_counting_takes_one_statement_however_many_queues(django_assert_num_queries):
    for number in range(5):
        make_run(queue=f"queue-{number}")
        make_run(queue=f"queue-{number}", status="running")
    at = clock()
    with django_assert_num_queries(1):
        found = depths.depths.read(store(), clock=at)
    assert len(found) == 6
    with django_assert_num_queries(1):
        assert set(depths.depths.read(store(), clock=at, queue="queue-3")) == {"", "queue-3"}
