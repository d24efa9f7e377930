"""What is SQLite's own: OpenQueue's transactions begin as they need, whatever the project's do."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext

from openqueue.models import QueueState
from openqueue.store import store

pytestmark = [pytest.mark.sqlite, pytest.mark.django_db(transaction=True)]
PAUSE = "UPDATE openqueue_queuestate SET paused = 1"
SECOND = timedelta(seconds=1)


@pytest.fixture(autouse=True, params=[None, "IMMEDIATE"])
def choice(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str | None]:
    """What the project chose: nothing, as a new project has it, or what OpenQueue recommends."""
    options = {**connection.settings_dict["OPTIONS"], "transaction_mode": request.param, "timeout": 0.2}
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", options)
    connection.close()
    yield request.param
    connection.close()


@pytest.fixture
def other() -> Iterator[sqlite3.Connection]:
    """A process that waits for nobody."""
    with closing(sqlite3.connect(connection.get_connection_params()["database"], timeout=0)) as other:
        yield other


def reading() -> None:
    list(QueueState.objects.all())


def writing() -> None:
    QueueState.objects.create(name="mail")


@pytest.mark.parametrize(
    ("block", "statement"),
    [
        (lambda: store().atomic(), "BEGIN IMMEDIATE"),
        (lambda: store().own(), "BEGIN IMMEDIATE"),
        (lambda: store().writing(), "BEGIN IMMEDIATE"),
        (lambda: store().bounded(SECOND, writes=True), "BEGIN IMMEDIATE"),
        (lambda: store().bounded(SECOND), "BEGIN DEFERRED"),
    ],
)
def test_a_block_begins_as_it_needs_and_leaves_the_project_s_as_they_are(
    block: Callable[[], AbstractContextManager[Any]], statement: str, choice: str | None
):
    for was_connected in (False, True):
        with CaptureQueriesContext(connection) as seen, block():
            reading()
        begun = [one["sql"] for one in seen.captured_queries if one["sql"].startswith("BEGIN")]
        assert begun == [statement], was_connected
    with CaptureQueriesContext(connection) as seen, transaction.atomic():
        reading()
    assert seen.captured_queries[0]["sql"] == " ".join(filter(None, ["BEGIN", choice]))


def test_nobody_writes_between_what_a_block_reads_and_what_it_writes(other: sqlite3.Connection):
    with store().atomic():
        reading()
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute(PAUSE)
        writing()
    assert QueueState.objects.filter(name="mail").exists()


def test_who_only_reads_holds_up_no_writer_and_sees_one_moment(other: sqlite3.Connection):
    writing()
    with store().bounded(SECOND):
        before = [one.paused for one in QueueState.objects.all()]
        with other:
            other.execute(PAUSE)
        assert [one.paused for one in QueueState.objects.all()] == before == [False]
    assert QueueState.objects.get().paused


def test_inside_the_caller_s_transaction_a_block_is_a_savepoint(choice: str | None):
    with CaptureQueriesContext(connection) as seen, transaction.atomic():
        writing()
        with pytest.raises(ZeroDivisionError), store().atomic():
            QueueState.objects.create(name="gone")
            raise ZeroDivisionError
    assert sum(one["sql"].startswith("BEGIN") for one in seen.captured_queries) == 1
    assert [one.name for one in QueueState.objects.all()] == ["mail"]


def test_a_block_that_waits_in_vain_leaves_the_project_s_choice(
    other: sqlite3.Connection, choice: str | None
):
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(OperationalError, match="locked"), store().atomic():
        pass
    other.rollback()
    assert connection.transaction_mode == choice
    with store().atomic():
        writing()
