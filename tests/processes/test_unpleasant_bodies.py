"""Bodies that misbehave in every way a thread can: the record is written, and the next body finds a clean slot."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import DatabaseError

from openqueue import RetryableError
from openqueue.errors import RunExpired, TaskCancelled, TaskTimeout
from openqueue.models import Run
from tests.app.models import Note
from tests.processes.unpleasant import (
    BODIES,
    aunpleasant,
    drain,
    end_of,
    ends_of,
    raising,
    unpleasant,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("unpleasant_tasks")]


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
