"""Values made of nothing but JSON's own types, and what may become one."""

from __future__ import annotations

import dataclasses
import math
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final
from uuid import UUID

import msgspec

from openqueue.errors import FieldError, PayloadInvalid

MAX_DEPTH: Final = 64
"""Lists and objects inside each other."""
MAX_DIGITS: Final = 4_000
"""Of an integer; Python itself reads no more than 4,300."""
MAX_FAULTS: Final = 50
"""Named in one PayloadInvalid."""

_ATOMS: Final = frozenset(
    {
        str,
        int,
        bool,
        type(None),
        datetime,
        date,
        time,
        timedelta,
        UUID,
        Decimal,
    }  # plain_scalar knows its Decimals
)
_ARRAYS: Final = frozenset({list, tuple})


def is_finite(value: Any) -> bool:
    """Tell whether this is JSON's own types all through, and no float in it is NaN or infinite."""
    for item in value.values() if type(value) is dict else value if type(value) in _ARRAYS else (value,):
        kind = type(item)
        if kind in _ATOMS or (kind is float and math.isfinite(item)):
            continue
        if (kind is not dict and kind not in _ARRAYS) or not is_finite(item):
            return False
    return True


def plain(value: Any, *, what: str) -> Any:
    """Return the value in JSON's own types, or raise PayloadInvalid naming every fault below ``what``."""
    walk = _Walk(what=what)
    try:
        made = walk.plain(value)
    except PayloadInvalid:
        raise
    except Exception as error:  # a property or an iterator of the user's object
        walk.fault(f"could not be read: {type(error).__name__}")
    if walk.faults:
        raise PayloadInvalid(walk.faults)
    return made


def plain_scalar(value: Any) -> Any:
    """Return the JSON form of a value that is neither of JSON's types nor a container; raise TypeError."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float) and math.isfinite(value):
        return float.__float__(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return msgspec.to_builtins(timedelta(value.days, value.seconds, value.microseconds))
    if isinstance(value, UUID) or (isinstance(value, Decimal) and value.is_finite()):
        return str(value)
    raise TypeError


class _Walk:
    """One pass over a value that makes it plain and notes every fault, with its path."""

    def __init__(self, *, what: str) -> None:
        self.what = what
        self.trail: list[str | int] = []
        self.faults: list[FieldError] = []
        self.inside: set[int] = set()

    def fault(self, fault: str | FieldError) -> None:
        self.faults.append(fault if isinstance(fault, FieldError) else FieldError(self.path(), fault))
        if len(self.faults) >= MAX_FAULTS:
            raise PayloadInvalid(self.faults)

    def path(self) -> str:
        path = self.what
        for step in self.trail:
            path = FieldError.step(path, step)
        return path

    def plain(self, value: Any) -> Any:
        kind = type(value)
        if kind is str:
            return self.text(value)
        if kind is bool or value is None:
            return value
        if kind is int:
            return self.integer(value)
        if kind is float and math.isfinite(value):
            return value
        if isinstance(value, dict):
            return self.container(value, self.object)
        if isinstance(value, list | tuple):
            return self.container(value, self.array)
        if isinstance(value, Enum):
            return self.plain(value.value)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return self.container(value, self.dataclass)
        return self.scalar(value)

    def text(self, value: str) -> str:
        if "\0" in value:
            self.fault("holds the character \\u0000, which PostgreSQL cannot store")
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                self.fault("holds a lone surrogate, which is not valid Unicode")
        return value

    def integer(self, value: int) -> int:
        # a digit is worth 3.32 bits, and str() of a number above Python's own limit would raise
        if value.bit_length() > MAX_DIGITS * 3.32:
            self.fault(f"is an integer of more than {MAX_DIGITS:,} digits: pass it as a string")
        return value

    def scalar(self, value: Any) -> Any:
        try:
            plain = plain_scalar(value)
        except TypeError:
            if isinstance(value, float | Decimal):
                self.fault("is not a finite number, and JSON has no NaN or infinity: pass None")
            else:
                self.fault(FieldError.without_json_form(self.path(), value))
            return None
        return self.plain(plain) if type(plain) in (str, int) else plain

    def container(self, value: Any, make: Any) -> Any:
        if len(self.trail) >= MAX_DEPTH:
            self.fault(f"is nested deeper than {MAX_DEPTH} levels")
            return None
        if id(value) in self.inside:
            self.fault("contains itself")
            return None
        self.inside.add(id(value))
        made = make(value)
        self.inside.discard(id(value))
        return made

    def step(self, key: str | int, value: Any) -> Any:
        self.trail.append(key)
        plain = self.plain(value)
        self.trail.pop()
        return plain

    def array(self, value: list[Any] | tuple[Any, ...]) -> list[Any]:
        return [self.step(index, item) for index, item in enumerate(value)]

    def object(self, value: dict[Any, Any]) -> dict[str, Any]:
        made = {}
        for key, item in value.items():
            if isinstance(key, str):
                name = self.text(str.__str__(key))
                made[name] = self.step(name, item)
            else:
                self.fault(f"has a key of type {type(key).__name__}, and JSON's keys are strings")
        return made

    def dataclass(self, value: Any) -> dict[str, Any]:
        return self.object({field.name: getattr(value, field.name) for field in dataclasses.fields(value)})
