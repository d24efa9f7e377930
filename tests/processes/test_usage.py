"""A worker knows its memory, its children's with it, and tells its last hour once in a minute."""

from __future__ import annotations

import os

import pytest

from openqueue.models import Worker as Row
from openqueue.processes.worker.children.child import Child
from openqueue.processes.worker.usage import KEPT, Usage
from openqueue.processes.worker.worker import Worker
from tests.eventually import eventually

MEGABYTE = 2**20


def test_what_is_taken_is_that_of_the_process_and_its_children():
    alone, together = Usage().look(now=0.0), Usage(children=lambda: 512 * MEGABYTE).look(now=0.0)
    assert MEGABYTE < alone.resident < 4096 * MEGABYTE
    assert abs(together.resident - alone.resident - 512 * MEGABYTE) < 64 * MEGABYTE


def test_the_last_hour_is_told_when_a_minute_begins_and_keeps_the_most_of_each():
    taken = [100]
    usage = Usage(children=lambda: taken[0] * 2**40)
    minutes = []
    for second, terabytes in ((0, 100), (10, 900), (50, 200), (60, 300), (70, 400), (7_200, 500)):
        taken[0] = terabytes
        memory = usage.look(now=float(second))
        minutes.append(memory.history and [(minute, size // 2**40) for minute, size in memory.history])
    assert minutes == [[(0, 100)], None, None, [(0, 900), (1, 300)], None, [(120, 500)]]
    for minute in range(120, 240):
        told = usage.look(now=minute * 60.0).history
    assert told is not None
    assert [told[0][0], told[-1][0], len(told)] == [180, 239, KEPT]
    usage.look(now=239 * 60.0)
    usage.forget_told()
    assert usage.look(now=239 * 60.0).history is not None


def test_a_clock_that_was_set_back_leaves_no_minutes_of_the_future():
    usage = Usage()
    usage.look(now=6_000.0)
    told = usage.look(now=3_000.0).history
    assert told is not None
    assert [minute for minute, _ in told] == [50]


@pytest.mark.django_db(transaction=True)
def test_a_worker_tells_it_with_its_first_heartbeat_its_children_included():
    worker = Worker(slots=1, queues=["default"], sweeps=False)
    worker.heartbeat.step()
    row = Row.objects.get(pid=os.getpid())
    assert row.memory is not None
    assert row.memory > MEGABYTE
    assert [size for _, size in row.memories] == [row.memory]
    child = Child()
    try:
        worker.executor.children.children.add(child)
        assert eventually(lambda: child.resident() > MEGABYTE)
        assert worker.executor.children.resident() > MEGABYTE
        worker.heartbeat.step()
        assert Row.objects.get(pk=row.pk).memory > row.memory
    finally:
        worker.executor.children.children.discard(child)
        child.end()
