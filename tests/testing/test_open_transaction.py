from __future__ import annotations

import threading

import pytest
from django.db import IntegrityError, connection, transaction

from tests.app.models import Customer, Note
from tests.app.tasks import add


def test_a_statement_that_fails_in_a_body_breaks_its_attempt_and_not_the_test(queued_runs, declare):
    Customer.objects.create(name="Ada", email="ada@shop.example")

    @declare(max_attempts=1)
    def double() -> None:
        Customer.objects.create(name="Ada again", email="ada@shop.example")

    double.trigger()
    add.trigger(1, 2)
    first, second = queued_runs.run_all(raises=False)
    assert (first.status, type(first.exception)) == ("failed", IntegrityError)
    assert second.status == "completed"
    assert Customer.objects.count() == 1


def test_what_a_body_wrote_before_it_failed_stays_as_in_a_worker(queued_runs, declare):
    @declare(max_attempts=1)
    def half() -> None:
        Note.objects.create(text="written")
        with transaction.atomic():
            Note.objects.create(text="rolled back")
            raise ValueError("no")

    half.trigger()
    queued_runs.run_all(raises=False)
    assert [note.text for note in Note.objects.all()] == ["written"]


def test_a_body_may_open_a_durable_block_and_leave_work_to_on_commit(queued_runs, declare):
    told = []

    @declare
    def place() -> None:
        with transaction.atomic(durable=True):
            Note.objects.create(text="placed")
            transaction.on_commit(lambda: told.append("committed"))
            transaction.on_commit(lambda: add.trigger(1, 2))

    place.trigger()
    assert [done.task_id for done in queued_runs.run_all()] == ["test.place", "app.add"]
    assert told == ["committed"]


def test_a_body_that_breaks_the_transaction_leaves_no_callbacks_in_it(queued_runs, declare):
    told = []
    Customer.objects.create(name="Ada", email="ada@shop.example")

    @declare(max_attempts=1)
    def double() -> None:
        transaction.on_commit(lambda: told.append("double"))
        Customer.objects.create(name="Ada again", email="ada@shop.example")

    double.trigger()
    waiting = len(connection.run_on_commit)
    queued_runs.run_all(raises=False)
    assert (told, len(connection.run_on_commit)) == ([], waiting)


def test_callbacks_of_the_test_itself_are_left_alone(queued_runs):
    told = []
    transaction.on_commit(lambda: told.append("mine"))
    add.trigger(1, 2)
    queued_runs.run_all()
    assert told == []


def test_the_broken_transaction_of_the_test_is_not_hidden(queued_runs):
    add.trigger(1, 2)
    transaction.set_rollback(True)
    try:
        with pytest.raises(transaction.TransactionManagementError):
            queued_runs.run_all()
    finally:
        transaction.set_rollback(False)
    assert queued_runs[0].status == "queued"


def test_a_rolled_back_trigger_is_not_executed(queued_runs):
    with pytest.raises(ValueError, match="no"), transaction.atomic():
        add.trigger(1, 2)
        raise ValueError("no")
    assert queued_runs.run_all() == []
    queued_runs.assert_nothing_triggered()


@pytest.mark.django_db(transaction=True)
def test_without_an_open_transaction_it_works_the_same(queued_runs, declare):
    @declare
    def place(name: str) -> str:
        with transaction.atomic(durable=True):
            Note.objects.create(text=name)
            transaction.on_commit(lambda: add.trigger(1, 2))
        return name

    # Another test of this process may have left its publisher behind: what counts is that this one starts none.
    before = set(threading.enumerate())
    with transaction.atomic():
        place.trigger("ada")
    assert [done.result for done in queued_runs.run_all()] == ["ada", 3]
    started = set(threading.enumerate()) - before
    assert not [one for one in started if one.name == "openqueue-publisher"]
