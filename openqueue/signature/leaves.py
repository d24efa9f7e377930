"""The JSON form of single values: text, numbers, moments, choices."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import msgspec
import msgspec.inspect as kinds

from openqueue.errors import FieldError

Faults = list[FieldError]

LEAVES: Final[dict[type[kinds.Type], type]] = {
    kinds.BytesType: bytes,
    kinds.ByteArrayType: bytearray,
    kinds.DateTimeType: datetime,
    kinds.DateType: date,
    kinds.TimeType: time,
    kinds.TimeDeltaType: timedelta,
    kinds.UUIDType: UUID,
    kinds.DecimalType: Decimal,
}
"""Kinds of value that JSON writes as strings."""
MAX_CHOICES_SHOWN: Final = 20

_TITLES: Final[dict[type[kinds.Type], str]] = {
    kinds.AnyType: "JSON",
    kinds.NoneType: "None",
    kinds.BoolType: "bool",
    kinds.IntType: "int",
    kinds.FloatType: "float",
    kinds.StrType: "str",
    kinds.ListType: "list",
    kinds.VarTupleType: "tuple",
    kinds.TupleType: "tuple",
    kinds.SetType: "set",
    kinds.FrozenSetType: "frozenset",
    kinds.DictType: "dict",
} | {kind: python.__name__ for kind, python in LEAVES.items()}


def refuse(info: Any, value: Any, path: str, faults: Faults) -> None:
    """Note that the value is of another kind than the hint."""
    if FieldError.is_model(type(value)):
        faults.append(FieldError.without_json_form(path, value))
    else:
        kind = "None" if value is None else type(value).__name__
        faults.append(FieldError(path, f"must be {title(info)}, not {kind}"))


def title(info: Any) -> str:
    """Return the hint as its author would read it."""
    if isinstance(info, kinds.UnionType):
        return " or ".join(title(member) for member in info.types)
    if isinstance(info, kinds.EnumType):
        return f"{info.cls.__name__}, one of {_choices([member.value for member in info.cls])}"
    if isinstance(info, kinds.LiteralType):
        return f"one of {_choices(list(info.values))}"
    return _TITLES.get(type(info)) or info.cls.__name__


def none(info: Any, value: Any, path: str, faults: Faults) -> Any:
    if value is not None:
        refuse(info, value, path, faults)


def boolean(info: Any, value: Any, path: str, faults: Faults) -> Any:
    if type(value) is bool:
        return value
    return refuse(info, value, path, faults)


def integer(info: Any, value: Any, path: str, faults: Faults) -> Any:
    if isinstance(value, int) and type(value) is not bool:
        return int.__int__(value)
    return refuse(info, value, path, faults)


def number(info: Any, value: Any, path: str, faults: Faults) -> Any:
    if isinstance(value, float):
        return float.__float__(value)
    if not isinstance(value, int) or type(value) is bool:
        return refuse(info, value, path, faults)
    try:
        if (exact := float(value)) == value:
            return exact
    except OverflowError:
        pass
    faults.append(FieldError(path, "is an integer that a float cannot hold exactly"))
    return None


def text(info: Any, value: Any, path: str, faults: Faults) -> Any:
    if isinstance(value, str):
        return str.__str__(value)  # of a subclass (SafeString, TextChoices) the text alone
    return refuse(info, value, path, faults)


def leaf(info: Any, value: Any, path: str, faults: Faults) -> Any:
    """Write a moment, a number or bytes as a string; a string that says the same passes as it is."""
    kind = LEAVES[type(info)]
    if isinstance(value, kind) and not (kind is date and isinstance(value, datetime)):
        return written(value, path, faults)
    if not isinstance(value, str) and not (kind is Decimal and type(value) is int):
        if kind is Decimal and isinstance(value, float):
            faults.append(
                FieldError(path, "must be Decimal, int or str: a float has lost its digits already")
            )
            return None
        return refuse(info, value, path, faults)
    plain = str.__str__(value) if isinstance(value, str) else value
    try:
        written(msgspec.convert(plain, kind), path, faults)
    except msgspec.ValidationError:
        faults.append(FieldError(path, f"must be {kind.__name__}, and this text is none"))
    return plain


def choice(info: Any, value: Any, path: str, faults: Faults) -> Any:
    """Write an enum's member as its value; a literal, or a member's value, as it is."""
    if isinstance(info, kinds.LiteralType):
        if any(type(one) is type(value) and one == value for one in info.values):
            return value
        faults.append(FieldError(path, f"must be {title(info)}"))
        return None
    if isinstance(value, info.cls):
        return value.value
    try:
        if isinstance(value, str | int) and type(value) is not bool:
            return info.cls(value).value
    except ValueError:
        faults.append(FieldError(path, f"must be {title(info)}"))
        return None
    return refuse(info, value, path, faults)


def _choices(values: list[Any]) -> str:
    shown = ", ".join(repr(value) for value in values[:MAX_CHOICES_SHOWN])
    return shown if len(values) <= MAX_CHOICES_SHOWN else f"{shown} ..."


def written(value: Any, path: str, faults: Faults) -> Any:
    """Return the string that stands for a value of one of LEAVES."""
    if isinstance(value, datetime | time):
        offset = value.utcoffset()
        if value.tzinfo is not None and (offset is None or offset % timedelta(minutes=1)):
            faults.append(FieldError(path, "has no UTC offset in whole minutes: convert it to UTC"))
        return value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return msgspec.to_builtins(timedelta(value.days, value.seconds, value.microseconds))
    if isinstance(value, bytes | bytearray):
        return msgspec.to_builtins(bytes(value))
    if isinstance(value, Decimal) and not value.is_finite():
        faults.append(FieldError(path, "is not a finite number"))
    return str(value)
