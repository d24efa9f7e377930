"""Triggers that come one after the other make one run, with what the last of them said."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from openqueue import TaskDeclarationError, trigger_many
from openqueue.models import Outbox, Run, RunEvent
from openqueue.processes.sweeps.due import Due
from openqueue.processes.sweeps.permits import Permits
from tests.app.tasks import add
from tests.store.fleet import START, Clock, FakeWorker, completes, story
from tests.uniqueness.keyed import trigger

pytestmark = pytest.mark.django_db(transaction=True)


def test_each_trigger_puts_the_start_off_and_the_newest_payload_counts(clock: Clock, worker: FakeWorker):
    first = trigger(debounce=30)
    assert (first.created, first.status) == (True, "scheduled")
    clock.pass_(20)
    second = trigger(debounce=30, first=5, meta={"n": 5}, tags=["late"])
    assert (second.id, second.created, second.status) == (first.id, False, "scheduled")
    run, place = Run.objects.get(), Outbox.objects.get()
    assert run.scheduled_for == place.due_at == START + timedelta(seconds=50)
    assert (run.payload["a"], run.meta, run.tags) == (5, {"n": 5}, ["late"])
    assert (run.version, place.seq, place.ready, place.tries) == (2, 2, False, 0)
    assert story(run.pk) == ["triggered", "debounced"]
    Due(rouse=lambda: None).step(clock.pass_(29))
    assert worker.claim() == []
    Due(rouse=lambda: None).step(clock.pass_(1))
    (attempt,) = worker.claim()
    assert '"a":5' in attempt.payload.replace(" ", "")


def test_a_run_that_has_started_is_left_alone_and_a_new_one_waits(clock: Clock, worker: FakeWorker):
    first = trigger(debounce=30)
    Due(rouse=lambda: None).step(clock.pass_(30))
    (attempt,) = worker.claim()
    second = trigger(debounce=30, first=7)
    assert second.created
    assert trigger(debounce=30, first=8).id == second.id
    assert Run.objects.get(pk=first.id).payload["a"] == 1
    worker.settle(completes(attempt))
    assert trigger(debounce=30, first=9).id == second.id


def test_it_is_put_off_no_longer_than_its_most(clock: Clock):
    trigger(debounce=30, debounce_max=45)
    clock.pass_(20)
    trigger(debounce=30, debounce_max=45)
    assert Outbox.objects.get().due_at == START + timedelta(seconds=45)
    clock.pass_(24)
    trigger(debounce=30, debounce_max=45)
    assert Outbox.objects.get().due_at == START + timedelta(seconds=45)
    clock.pass_(10)  # overdue: nobody was free
    assert trigger(debounce=30, debounce_max=45).status == "queued"
    place = Outbox.objects.get()
    assert (place.due_at, place.ready) == (clock.now, True)


def test_its_time_to_live_begins_with_the_new_due_time(clock: Clock):
    trigger(debounce=30, ttl=60)
    clock.pass_(20)
    trigger(debounce=30, ttl=60)
    run = Run.objects.get()
    assert run.expires_at == Outbox.objects.get().expires_at == START + timedelta(seconds=110)


def test_in_a_batch_the_last_payload_counts(clock: Clock):
    calls = [add.using(dedupe_key="k", debounce=30).bind(n, 0) for n in range(3)]
    handles = trigger_many(calls)
    assert [h.created for h in handles] == [False, False, True]
    assert len({h.id for h in handles}) == 1
    assert Run.objects.get().payload["a"] == 2
    assert not any(h.created for h in trigger_many(calls))
    assert RunEvent.objects.filter(kind="debounced").count() == 1


def test_a_task_may_declare_it_and_a_key_is_asked_for(clock: Clock, declare: Any):
    @declare(debounce=timedelta(seconds=30))
    def report(number: int) -> None: ...

    assert report.using(dedupe_key="7").trigger(1).status == "scheduled"
    with pytest.raises(TaskDeclarationError, match="dedupe_key"):
        report.trigger(1)


@pytest.mark.parametrize("passes", [50, 10], ids=["overdue", "put off again"])
def test_whoever_waits_at_a_limit_is_not_made_ready_by_it(clock: Clock, worker: FakeWorker, passes: int):
    options = {"debounce": 30, "debounce_max": 45, "ordering_key": "line"}
    head = add.using(ordering_key="line").trigger(1, 2)
    trigger(**options)
    clock.pass_(passes)
    trigger(**options, first=7)
    place = Outbox.objects.exclude(pk=head.id).get()
    assert (place.ready, place.waits_for, place.turn) == (False, "order:line", 0)


def test_who_was_let_through_and_is_put_off_waits_for_its_turn_again(clock: Clock, worker: FakeWorker):
    options = {"debounce": 30, "ordering_key": "line"}
    trigger(**options)
    Permits().step(clock.pass_(31))
    assert Outbox.objects.get().ready
    trigger(**options)
    place = Outbox.objects.get()
    assert (place.ready, place.waits_for) == (False, "order:line")
    other = add.using(ordering_key="line").trigger(1, 2)
    Permits().step(clock.now)
    assert [attempt.run_id for attempt in worker.claim()] == [other.id]
