"""Bodies that misbehave in every way a thread can: the record is written, and the next body finds a clean slot."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import DatabaseError, connection, connections, transaction
from django.utils import timezone, translation

from openqueue import RetryableError, TaskContext, registry, signals, task
from openqueue.errors import RunExpired, TaskCancelled, TaskTimeout
from openqueue.models import Claim, Outbox, Run, RunLog
from openqueue.processes.worker.worker import Worker
from tests.app.models import Customer, Note

pytestmark = pytest.mark.django_db(transaction=True)

BODIES: dict[str, Callable[[], Any]] = {"nothing": lambda: None}
LONGEST = 20.0


@task(id="unpleasant", max_attempts=1)
def unpleasant(ctx: TaskContext, body: str) -> Any:
    look_around()
    return BODIES[body]()


@task(id="aunpleasant", max_attempts=1)
async def aunpleasant(ctx: TaskContext, body: str) -> Any:
    await Note.objects.acreate(text="clean")
    return BODIES[body]()


def look_around() -> None:
    """Use the database as somebody does who knows nothing of the body before."""
    assert connection.get_autocommit()
    assert not connection.in_atomic_block
    with transaction.atomic():
        Note.objects.create(text="clean")


@pytest.fixture(scope="module", autouse=True)
def tasks() -> Iterator[None]:
    yield
    for one in (unpleasant, aunpleasant):
        registry.remove(one)


def drain(*, slots: int = 1) -> None:
    """Run a worker in this process until nothing is due; fail when it does not come to that."""
    worker = Worker(slots=slots, drain=True)
    hung = threading.Timer(LONGEST, worker.stop)
    hung.start()
    try:
        assert worker.run() == 0
    finally:
        hung.cancel()
    assert not Claim.objects.exists(), "an outcome was not recorded"
    assert not Outbox.objects.exists(), "the worker stopped serving"


def ends_of(bodies: Mapping[str, Callable[[], Any]], *, task: Any = unpleasant) -> dict[str, Run]:
    """Return how a run of each body ended, all on one slot; each found its connection clean."""
    BODIES.update(bodies)
    runs = {name: task.trigger(name) for name in [*bodies, "nothing"]}
    drain()
    assert Note.objects.filter(text="clean").count() == len(runs)
    ends = {name: Run.objects.get(pk=run.id) for name, run in runs.items()}
    assert ends.pop("nothing").status == "completed"
    return ends


def end_of(body: Callable[[], Any], *, task: Any = unpleasant) -> Run:
    return ends_of({"it": body}, task=task)["it"]


def raising(error: BaseException | type[BaseException]) -> Callable[[], Any]:
    def body() -> None:
        raise error

    return body


# --- errors -------------------------------------------------------------------------------------------------


class Speechless(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")

    __repr__ = __str__


class Deserter(Exception):
    def __str__(self) -> str:
        raise SystemExit(3)


class Nameless(BaseException):
    __str__ = None  # type: ignore[assignment]


class Impostor(Exception):
    @property
    def __class__(self) -> Any:
        raise RuntimeError("no class")


def chained(length: int) -> BaseException:
    error: BaseException = ValueError("the first")
    for number in range(length):
        later = ValueError(f"number {number}")
        later.__cause__ = error
        error = later
    return error


def circular() -> BaseException:
    one, other = ValueError("one"), ValueError("other")
    one.__context__, other.__context__ = other, one
    return one


def noted(notes: Any) -> BaseException:
    error = ValueError("noted")
    error.__notes__ = notes
    return error


def endless() -> Any:
    return endless()


ERRORS = {
    "SystemExit": raising(SystemExit(0)),
    "sys.exit with text": raising(SystemExit("bye")),
    "KeyboardInterrupt": raising(KeyboardInterrupt),
    "GeneratorExit": raising(GeneratorExit),
    "StopIteration": raising(StopIteration(1)),
    "StopAsyncIteration": raising(StopAsyncIteration),
    "CancelledError": raising(asyncio.CancelledError),
    "MemoryError": raising(MemoryError),
    "RecursionError": endless,
    "a text that raises": raising(Speechless()),
    "a text that exits": raising(Deserter()),
    "a text that is None": raising(Nameless()),
    "a class that raises": raising(Impostor()),
    "a group": raising(ExceptionGroup("several", [ValueError("1"), ExceptionGroup("more", [Speechless()])])),
    "a group of interrupts": raising(BaseExceptionGroup("several", [KeyboardInterrupt()])),
    "five megabytes": raising(ValueError("x" * 5_000_000)),
    "a chain of 200": raising(chained(200)),
    "a circle": raising(circular()),
    "surrogates and zeroes": raising(ValueError("a\ud800b\0c")),
    "notes that are none": raising(noted(3)),
    "notes with surrogates": raising(noted(["\ud800", Speechless()])),
    "a timeout of its own": raising(TaskTimeout()),
    "a cancellation nobody asked for": raising(TaskCancelled()),
    "an expiry": raising(RunExpired()),
    "a database error": raising(DatabaseError("not the engine's")),
}


def test_whatever_is_raised_the_run_fails_with_an_error_that_can_be_read():
    for name, row in ends_of(ERRORS).items():
        assert (row.status, row.reason in {"error", "timed_out"}) == ("failed", True), (
            name,
            row.status,
            row.reason,
        )
        assert row.error["type"], name
        assert len(json.dumps(row.error, ensure_ascii=False).encode()) <= 17_000, name


@pytest.mark.parametrize(
    "name", ["SystemExit", "KeyboardInterrupt", "GeneratorExit", "CancelledError", "RecursionError"]
)
def test_whatever_a_coroutine_raises_the_loop_goes_on(name: str):
    row = end_of(ERRORS[name], task=aunpleasant)
    assert (row.status, row.reason) == ("failed", "error")
    assert row.error["type"]


def test_a_delay_beyond_all_dates_does_not_sink_the_batch():
    def body() -> None:
        error = RetryableError("later")
        error.delay = timedelta.max
        raise error

    BODIES["it"] = body
    run = unpleasant.using(max_attempts=3).trigger("it")
    others = unpleasant.trigger_many([{"body": "nothing"}] * 5)
    drain(slots=2)
    assert Run.objects.filter(pk__in=[r.id for r in others], status="completed").count() == 5
    assert Run.objects.get(pk=run.id).status == "failed"


# --- results ------------------------------------------------------------------------------------------------


class Shy(dict):  # type: ignore[type-arg]
    def items(self) -> Any:
        raise RuntimeError("not mine")

    __iter__ = keys = values = __len__ = items


class Quitter(list):  # type: ignore[type-arg]
    def __iter__(self) -> Any:
        raise SystemExit(1)


class Odd(str):
    def __str__(self) -> str:
        raise ValueError("no text")

    __format__ = encode = __str__


def nested(depth: int) -> Any:
    return [nested(depth - 1)] if depth else []


def knotted() -> Any:
    one: list[Any] = []
    one.append(one)
    return one


RESULTS: dict[str, Callable[[], Any]] = {
    "an object": object,
    "a set": lambda: {1, 2},
    "bytes": lambda: b"\xff",
    "NaN": lambda: float("nan"),
    "infinity in a list": lambda: [1, float("inf")],
    "a circle": knotted,
    "too deep": lambda: nested(100),
    "far too deep": lambda: nested(900),
    "keys that are no strings": lambda: {1: 2},
    "a zero character": lambda: "a\0b",
    "a lone surrogate": lambda: {"a": "\ud800"},
    "a surrogate in a key": lambda: {"\ud800": 1},
    "a number of 5,000 digits": lambda: 10**5000,
    "too large": lambda: "x" * 300_000,
    "a generator": lambda: (n for n in range(3)),
    "a function": lambda: drain,
    "a model": lambda: Note(text="x"),
    "a dictionary that will not be read": lambda: Shy(a=1),
    "a list that exits": lambda: Quitter([1]),
    "a string with its own mind": lambda: [object(), Odd("x")],
    "an error": lambda: ValueError("returned, not raised"),
}
GOOD: dict[str, tuple[Any, Any]] = {
    "a moment": (datetime(2026, 1, 2, tzinfo=UTC), None),
    "money": (Decimal("1.10"), None),
    "an id": (UUID(int=1), None),
    "a tuple": ((1, 2), [1, 2]),
    "an ordered dictionary": (OrderedDict(a=1), {"a": 1}),
    "a big number": (2**70, 2**70),
    "emptiness": ({}, {}),
    "false": (False, False),
}


def test_a_result_that_is_not_json_fails_the_run_and_says_what_is_wrong():
    for name, row in ends_of(RESULTS).items():
        assert (row.status, row.reason, row.result) == ("failed", "result_invalid", None), name
        assert row.error["message"], name


def test_what_can_be_told_in_json_is_the_result():
    ends = ends_of({name: lambda value=value: value for name, (value, _) in GOOD.items()})
    for name, row in ends.items():
        told = GOOD[name][1]
        assert row.status == "completed", name
        assert row.result is not None, name
        assert told is None or row.result == told, name


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
