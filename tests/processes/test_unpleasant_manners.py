"""Bodies that leave a mess behind: the record commits, and the next body finds a clean slot."""

from __future__ import annotations

import contextlib
import logging
import os
from typing import Any

import pytest
from django.db import DatabaseError, connection, connections, transaction
from django.utils import timezone, translation

from openqueue import TaskContext, registry, signals, task
from openqueue.models import Run, RunLog
from tests.app.models import Customer, Note
from tests.processes.unpleasant import (
    BODIES,
    drain,
    end_of,
    ends_of,
    unpleasant,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("unpleasant_tasks")]


# --- the database -------------------------------------------------------------------------------------------


def leaves_a_transaction_open() -> str:
    transaction.atomic().__enter__()
    Note.objects.create(text="never committed")
    return "left"


def leaves_savepoints_open() -> str:
    for _ in range(3):
        transaction.atomic().__enter__()
    Note.objects.create(text="never committed")
    return "left"


def turns_autocommit_off() -> str:
    transaction.set_autocommit(False)
    Note.objects.create(text="never committed")
    return "left"


def swallows_a_database_error() -> str:
    """Leave the transaction broken: nothing can be asked on this connection."""
    transaction.atomic().__enter__()
    Customer.objects.create(name="a", email="same@example.com")
    with contextlib.suppress(DatabaseError):
        Customer.objects.create(name="b", email="same@example.com")
    return "left"


def needs_a_rollback() -> str:
    transaction.atomic().__enter__()
    transaction.set_rollback(True)
    return "left"


def closes_the_connection() -> str:
    Note.objects.count()
    connection.close()
    return "left"


def closes_the_connection_inside_a_transaction() -> str:
    transaction.atomic().__enter__()
    Note.objects.create(text="never committed")
    connection.close()
    return "left"


def closes_all_connections() -> str:
    Note.objects.count()
    connections.close_all()
    return "left"


def closes_what_is_under_the_connection() -> str:
    Note.objects.count()
    connection.connection.close()
    return "left"


def closes_what_is_under_a_transaction() -> str:
    transaction.atomic().__enter__()
    Note.objects.create(text="never committed")
    connection.connection.close()
    return "left"


def locks_its_own_run() -> str:
    """Hold the row that the record has to change."""
    transaction.atomic().__enter__()
    list(Run.objects.select_for_update().filter(status="running"))
    return "left"


def leaves_a_cursor_open() -> str:
    cursor = connection.cursor()
    cursor.execute("SELECT 1 UNION SELECT 2")
    return "left"


def raises_inside_a_transaction() -> str:
    with transaction.atomic():
        Note.objects.create(text="never committed")
        raise KeyError("inside")


def promises_on_commit_and_leaves() -> str:
    transaction.atomic().__enter__()
    transaction.on_commit(lambda: Note.objects.create(text="never committed"))
    return "left"


RUDE = [
    leaves_a_transaction_open,
    leaves_savepoints_open,
    turns_autocommit_off,
    swallows_a_database_error,
    needs_a_rollback,
    closes_the_connection,
    closes_the_connection_inside_a_transaction,
    closes_all_connections,
    closes_what_is_under_the_connection,
    closes_what_is_under_a_transaction,
    locks_its_own_run,
    leaves_a_cursor_open,
    promises_on_commit_and_leaves,
]


def test_whatever_a_body_leaves_of_its_connection_the_record_commits_and_the_next_one_starts_clean():
    for name, row in ends_of({body.__name__: body for body in RUDE}).items():
        assert (row.status, row.result) == ("completed", "left"), (name, row.error)
    assert not Note.objects.filter(text="never committed").exists()


def test_a_transaction_that_an_error_leaves_is_rolled_back():
    assert end_of(raises_inside_a_transaction).status == "failed"
    assert not Note.objects.filter(text="never committed").exists()


@pytest.mark.postgresql
def test_a_connection_that_the_server_ended_costs_the_next_body_nothing():
    def body() -> str:
        with connection.cursor() as cursor, contextlib.suppress(DatabaseError):
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return "left"

    assert end_of(body).result == "left"


def test_language_and_time_zone_of_one_body_are_not_those_of_the_next():
    seen = []

    def changes() -> str:
        translation.activate("ar")
        timezone.activate("Asia/Tokyo")
        unpleasant.trigger("looks")  # on the only slot, behind this one
        return "left"

    def looks() -> str:
        seen.append((translation.get_language(), timezone.get_current_timezone_name()))
        return "done"

    BODIES.update(changes=changes, looks=looks)
    unpleasant.trigger("changes")
    drain()
    assert seen == [("en-us", "Europe/Berlin")]


# --- what it says -------------------------------------------------------------------------------------------


def test_log_lines_of_every_kind_are_kept_or_dropped_and_the_record_commits():
    log = logging.getLogger("shop")

    def body() -> str:
        log.warning("zero \0 and surrogate \ud800")
        log.log(10**6, "a level of its own")
        log.log(2**40, "a level that fits no column")
        log.warning("ten megabytes: %s", "x" * 10_000_000)
        for number in range(1_500):
            log.warning("line %d", number)
        return "left"

    row = end_of(body)
    assert (row.status, row.result) == ("completed", "left")
    lines = RunLog.objects.filter(run_id=row.pk)
    assert 1_000 <= lines.count() <= 1_001
    assert max(len(text.encode()) for text in lines.values_list("text", flat=True)) <= 8_192


def test_progress_is_what_was_said_last():
    @task(id="progressive", max_attempts=1)
    def progressive(ctx: TaskContext) -> str:
        for percent in range(0, 101, 10):
            ctx.progress(percent, "at \ud800 it\0")
        return "done"

    try:
        run = progressive.trigger()
        drain()
    finally:
        registry.remove(progressive)
    row = Run.objects.get(pk=run.id)
    assert row.status == "completed"
    last = row.events.filter(kind="progress").last()
    assert last.data["percent"] == 100


# --- what others do about it --------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt, GeneratorExit])
@pytest.mark.parametrize("hook", ["start", "success"])
def test_a_hook_that_raises_costs_neither_the_run_nor_the_slot(hook: str, error: type[BaseException]):
    def fail(ctx: TaskContext, *arguments: Any) -> None:
        raise error

    unpleasant.hooks[hook] = fail
    try:
        row = end_of(lambda: "left")
    finally:
        unpleasant.hooks[hook] = None
    assert (row.status, row.result) == ("completed", "left")


@pytest.mark.parametrize("error", [ValueError, SystemExit])
def test_a_receiver_that_raises_costs_neither_the_run_nor_the_slot(error: type[BaseException]):
    def fail(**facts: Any) -> None:
        raise error

    signals.run_settled.connect(fail)
    try:
        row = end_of(lambda: "left")
    finally:
        signals.run_settled.disconnect(fail)
    assert (row.status, row.result) == ("completed", "left")


def test_a_body_that_changes_directory_takes_nobody_with_it(tmp_path):
    home = os.getcwd()

    def body() -> str:
        os.chdir(tmp_path)
        return "left"

    try:
        assert end_of(body).status == "completed"
    finally:
        os.chdir(home)
