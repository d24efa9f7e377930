"""A hundred at the same time (docs: faults, F13), each on a connection of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, connections, transaction

from openqueue import trigger_many
from openqueue.models import DedupeKey, Outbox, Run
from tests.app.tasks import add
from tests.store.fleet import Clock, FakeWorker, completes
from tests.uniqueness.keyed import trigger

pytestmark = pytest.mark.django_db(transaction=True)
AT_ONCE = 100


def at_once(acts: list[Callable[[], Any]]) -> list[Any]:
    """Do these at the same time, a thread and a connection each; return what they returned."""
    start = threading.Barrier(len(acts))

    def act(number: int) -> Any:
        try:
            connection.ensure_connection()
            start.wait(60)
            return acts[number]()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(act, range(len(acts))))


def test_a_hundred_triggers_make_one_run():
    handles = at_once([trigger] * AT_ONCE)
    assert sum(h.created for h in handles) == 1
    assert {h.id for h in handles} == {Run.objects.get().pk} == {DedupeKey.objects.get().run_id}
    assert Outbox.objects.count() == 1


def test_a_winner_that_rolls_back_lets_another_through():
    class Undone(Exception):
        pass

    took = threading.Event()

    def undo() -> UUID:
        handle = None
        with suppress(Undone), transaction.atomic():
            handle = trigger()
            took.set()
            threading.Event().wait(0.5)  # the others are on their way
            raise Undone
        return handle.id

    def follow() -> Any:
        took.wait(30)
        return trigger()

    undone, *handles = at_once([undo, *[follow] * 30])
    assert sum(h.created for h in handles) == 1
    assert {h.id for h in handles} == {Run.objects.get().pk}
    assert undone != Run.objects.get().pk


@pytest.mark.postgresql
@pytest.mark.mariadb
def test_who_comes_second_waits_for_the_first_ones_commit():
    took, may_end = threading.Event(), threading.Event()

    def first() -> Any:
        with transaction.atomic():
            handle = trigger()
            took.set()
            may_end.wait(30)
        return handle

    def second() -> Any:
        took.wait(30)
        began = time.monotonic()
        threading.Timer(0.5, may_end.set).start()
        return trigger(), time.monotonic() - began

    handle, (later, waited) = at_once([first, second])
    assert (handle.created, later.created, later.id) == (True, False, handle.id)
    assert waited > 0.4


def test_batches_of_the_same_keys_in_any_order_do_not_block_each_other():
    def batch(number: int) -> Callable[[], Any]:
        keys = [str(key) for key in range(40)]
        keys = keys[number:] + keys[:number] if number % 2 else keys[::-1]
        return lambda: trigger_many([add.using(dedupe_key=key).bind(number, 0) for key in keys])

    answers = at_once([batch(number) for number in range(10)])
    assert sum(h.created for handles in answers for h in handles) == 40
    assert Run.objects.count() == DedupeKey.objects.count() == 40


@pytest.mark.postgresql
@pytest.mark.mariadb
def test_a_key_that_is_asked_for_in_an_open_transaction_holds_up_nobodys_end():
    """Somebody gets the run that has the key, and goes on with their transaction: the run ends meanwhile."""
    clock = Clock()
    worker = FakeWorker(clock, known=[add.id])
    handle = trigger()
    got, may_end = threading.Event(), threading.Event()

    def holds_on() -> Any:
        with transaction.atomic():
            assert trigger().id == handle.id
            got.set()
            may_end.wait(30)

    def ends() -> Any:
        got.wait(30)
        clock.now = Run.objects.get().created_at
        began = time.monotonic()
        statuses = worker.settle(*map(completes, worker.claim()))
        may_end.set()
        return statuses, time.monotonic() - began

    _, (statuses, took) = at_once([holds_on, ends])
    assert statuses == ["completed"]
    assert took < 1.5
    assert trigger().created
