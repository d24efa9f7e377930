"""Limits of the whole fleet: what they count by, how many a rate allows, and what a run waits for first."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from string import Formatter
from typing import Any, Final, NamedTuple

from openqueue.errors import PayloadInvalid, TaskDeclarationError

ORDER: Final = "order:"
TASK: Final = "task:"
RESERVED: Final = (ORDER, TASK)
"""How names begin that are not for concurrency keys: an order's, and a task's own."""
LONGEST: Final = 200
MOST: Final = 10_000
"""In one window: each start is remembered for as long."""
UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
RATE: Final = re.compile(r"(?P<count>[1-9][0-9]{0,4})/(?P<unit>[smhd])")


class Rate(NamedTuple):
    """So many starts within any window of so many seconds."""

    starts: int
    seconds: float

    @classmethod
    def of(cls, text: Any) -> Rate:
        """Read "100/m": starts in a second, minute, hour or day.

        Raises:
            TaskDeclarationError: it is something else, or more than 10,000 in one window.
        """
        found = RATE.fullmatch(text) if isinstance(text, str) else None
        if found is None or int(found["count"]) > MOST:
            raise TaskDeclarationError(
                f'rate_limit={text!r} must be text such as "100/m": at most {MOST} starts in a second (s), minute (m), '
                f"hour (h) or day (d). For more than that give a shorter window."
            )
        return cls(int(found["count"]), UNITS[found["unit"]])


class Allowance(NamedTuple):
    """How many of a task may run at a time, and how many may start in a window; None: any number."""

    at_once: int | None = None
    rate: Rate | None = None


def order(ordering_key: str) -> str:
    """Return the name of an order's limit."""
    return ORDER + ordering_key


def first(concurrency_key: str | None, ordering_key: str | None, *, priority: int) -> tuple[str | None, Any]:
    """Return which limit has to let a new row through first, and its turn there: of an order, whatever its priority."""
    if ordering_key is not None:
        return order(ordering_key), 0
    return concurrency_key, -priority


def freed(concurrency_key: str | None, ordering_key: str | None) -> tuple[str, ...]:
    """Return the limits that may have room once such a run is no longer claimed."""
    if concurrency_key is None and ordering_key is None:
        return ()
    names = concurrency_key, None if ordering_key is None else order(ordering_key)
    return tuple(name for name in names if name is not None)


def check_key(name: str, key: Any) -> str | None:
    """Say what is wrong with a key as it was declared; None when nothing is."""
    if key is None:
        return None
    if not isinstance(key, str) or not key or len(key) > LONGEST or "\0" in key:
        return f"{name}={key!r} must be text of 1 to {LONGEST} characters"
    if name == "concurrency_key" and key.startswith(RESERVED):
        return (
            f"{name}={key!r} must not begin with {' or '.join(map(repr, RESERVED))}: OpenQueue's own begin so"
        )
    try:
        parts = list(Formatter().parse(key))
    except ValueError as error:
        return f"{name}={key!r} is no format: {error}. Write {{{{ for a brace that is meant as one"
    for _, field, spec, conversion in parts:
        if field is not None and (not field.isidentifier() or spec or conversion):
            return (
                f"{name}={key!r}: a field is the name of an argument alone, as in 'customer:{{customer_id}}'"
            )
    return None


def fields(key: str) -> list[str]:
    """Return the arguments that a key is made of."""
    return [field for _, field, _, _ in Formatter().parse(key) if field is not None]


def check_fields(
    name: str, key: str | None, *, known: Collection[str] | None, secret: Collection[str]
) -> None:
    """Refuse a key that is made of what the task does not take, or must not be seen.

    Raises:
        TaskDeclarationError: it names the argument.
    """
    for field in fields(key) if key is not None else ():
        if known is not None and field not in known:
            raise TaskDeclarationError(f"{name}={key!r} names {field}, which the function does not take")
        if field in secret:
            raise TaskDeclarationError(
                f"{name}={key!r} names {field}, a secret argument: a key is stored in clear"
            )


def fill(name: str, key: str, arguments: Mapping[str, Any]) -> str:
    """Return a key with the arguments of one run in it.

    Raises:
        PayloadInvalid: an argument that it is made of was not given, or it becomes too long.
    """
    if "{" not in key and "}" not in key:
        return key
    names = fields(key)
    if missing := [field for field in names if field not in arguments]:
        raise PayloadInvalid([(field, f"is missing, and {name}={key!r} is made of it") for field in missing])
    for field in names:
        if isinstance(arguments[field], dict | list):
            raise PayloadInvalid([(field, f"is no single value, and {name}={key!r} is made of it")])
    filled = key.format_map(arguments)
    if not 1 <= len(filled) <= LONGEST:
        raise PayloadInvalid([(name, f"has {len(filled)} characters; it must have 1 to {LONGEST}")])
    if name == "concurrency_key" and filled.startswith(RESERVED):
        raise PayloadInvalid([(name, f"is {filled!r}, and what begins so is OpenQueue's own")])
    return filled
