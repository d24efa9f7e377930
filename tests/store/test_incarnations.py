"""The rows of workers."""

from __future__ import annotations

import pytest

from openqueue.models import Worker
from openqueue.store import store
from tests.store import fleet
from tests.store.fleet import LEASE, Clock, FakeWorker, incarnation

pytestmark = pytest.mark.django_db


def test_registered_again_after_a_lost_answer_an_incarnation_is_there_once():
    clock = Clock()
    worker = FakeWorker(clock)
    store().register(incarnation(worker.id), lease=LEASE, now=clock.pass_(1))
    assert Worker.objects.count() == 1
    assert worker.beat().alive


def test_workers_of_one_host_and_pid_are_two():
    """Containers often have the same ones; leases and claims go by the incarnation."""
    clock = Clock()
    fleet.make_run(clock, runs=2)
    first, second = FakeWorker(clock), FakeWorker(clock)
    (mine,), (theirs,) = first.claim(1), second.claim(1)
    assert len({(row.host, row.pid) for row in Worker.objects.all()}) == 1
    clock.pass_(20)
    second.beat()
    clock.pass_(15)
    assert store().mark_lost(limit=9, now=clock.now) == [first.id]
    assert [held.run_id for held in second.beat().held] == [theirs.run_id]
    assert not first.beat().alive
    assert mine.run_id != theirs.run_id
