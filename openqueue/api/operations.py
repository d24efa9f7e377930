"""What one method of one route is: who may, what it takes, what it answers. Views and the schema both read it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Final, TypeVar

import msgspec
from django.http import QueryDict

from openqueue.api.problems import Refusal
from openqueue.control.callers import Right

PLACE: Final = re.compile(r"^(?P<reason>.*?)(?: - at `\$\.?(?P<path>[^`]*)`)?$", re.DOTALL)
FIELD: Final = re.compile(r"(?:unknown|required) field `([^`]+)`")
EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)
AnyStruct = TypeVar("AnyStruct", bound=msgspec.Struct)


Reason = Annotated[str, msgspec.Meta(max_length=500, description="Why, for the record.")]
BODY_FAULTS: Final = (413, 415)


class Why(msgspec.Struct, forbid_unknown_fields=True):
    """An act, and why."""

    reason: Reason = ""


class Nothing(msgspec.Struct, forbid_unknown_fields=True):
    """No parameters, no body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one route."""

    id: str
    """As generated clients name it."""
    right: Right | None
    """What the caller needs; None: only to be known."""
    answers: Mapping[int, Any]
    """The type of the body by status; None: no body."""
    is_open: bool = False
    """Anybody may."""
    query: type[msgspec.Struct] = Nothing
    body: type[msgspec.Struct] | None = None
    body_required: bool = True
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers of the request that it heeds, with what they are for."""
    problems: tuple[int, ...] = ()
    """Statuses of problems, beside those that every operation may have."""
    whole: bool = False
    """It shows what all tenants share: a caller who sees some queues only is refused."""
    tagged: bool = False
    """Its answer has an ETag, for those who poll."""


def act(
    id: str,
    right: Right,
    answer: Any,
    *,
    problems: tuple[int, ...] = (404,),
    status: int = 200,
    body: type[msgspec.Struct] = Why,
    whole: bool = False,
) -> dict[str, Operation]:
    """Return the one operation of a route that acts: a POST whose body may be left out."""
    made = Operation(
        id=id,
        right=right,
        body=body,
        body_required=False,
        answers={status: answer},
        problems=tuple(sorted({*problems, *BODY_FAULTS})),
        whole=whole,
    )
    return {"post": made}


def read_query(kind: type[AnyStruct], given: QueryDict) -> AnyStruct:
    """Return the parameters of a request; refuse unknown, repeated and wrong ones."""
    faults = [(name, "is given more than once") for name, values in given.lists() if len(values) > 1]
    faults += [(name, "has a NUL in it") for name in given if "\0" in given.get(name, "")]
    if faults:
        raise Refusal(400, "invalid_request", "The parameters have faults.", faults=faults)
    return _converted(kind, given.dict(), what="parameters", strict=False)


def read_body(kind: type[AnyStruct], given: Any) -> AnyStruct:
    """Return the body of a request; refuse one of another shape."""
    return _converted(kind, given, what="body", strict=True)


def _converted(kind: type[AnyStruct], given: Any, *, what: str, strict: bool) -> AnyStruct:
    try:
        converted = msgspec.convert(given, type=kind, strict=strict)
    except msgspec.ValidationError as error:
        found = PLACE.match(str(error))
        reason, path = (found["reason"], found["path"] or "") if found else (str(error), "")
        if named := FIELD.search(reason):
            path = f"{path}.{named[1]}" if path else named[1]
        raise Refusal(
            400, "invalid_request", f"The {what} {'have' if what == 'parameters' else 'has'} faults.",
            faults=[(path or what, reason)],
        ) from error  # fmt: skip
    if faults := list(_moments(converted)):
        raise faulty(faults, what=what)
    return converted


def _moments(given: msgspec.Struct, path: str = "") -> Iterator[tuple[str, str]]:
    """Put the moments of a request into UTC: Python knows offsets and years that databases do not. Yield the faults."""
    for name in given.__struct_fields__:
        value = getattr(given, name)
        if isinstance(value, msgspec.Struct):
            yield from _moments(value, f"{path}{name}.")
        elif isinstance(value, datetime):
            if EARLIEST <= value <= LATEST:
                setattr(given, name, value.astimezone(UTC))
            else:
                yield f"{path}{name}", f"must be a moment from {EARLIEST.year} to {LATEST.year}"


def faulty(faults: Sequence[tuple[str, str]], *, what: str = "request") -> Refusal:
    """Return the refusal of a request whose fields have faults."""
    return Refusal(
        400,
        "invalid_request",
        f"The {what} {'have' if what == 'parameters' else 'has'} faults.",
        faults=faults,
    )
