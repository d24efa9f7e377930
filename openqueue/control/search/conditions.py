"""Conditions on a run, also where it is looked for by its row in the outbox or in a claim."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from django.db.models import F, Func, Q, TextField, Value
from django.db.models.functions import Cast, Coalesce, Left, Replace, StrIndex
from django.db.models.lookups import Exact, GreaterThan, LessThan

from openqueue import codec
from openqueue.states import FINAL, Status

Condition = Callable[[str], Q]
"""Takes the way to the run, "" or "run__"."""
TRACEBACK: Final = '"traceback":'
"""An error is JSON text in this order: type, message, traceback. Inside a string these quotes are escaped."""
Range = tuple[UUID, UUID]


def any_of(conditions: Sequence[Condition]) -> Condition:
    """Return what holds where one of them does."""

    def condition(run: str) -> Q:
        found = conditions[0](run)
        for other in conditions[1:]:
            found |= other(run)
        return found

    return condition


def none_of(condition: Condition) -> Condition:
    return lambda run: ~condition(run)


def local(column: str, values: Sequence[Any]) -> Condition:
    """A column that the outbox and claims have as well."""
    return lambda _: Q(**{f"{column}__in": values})


def equal(column: str, values: Any) -> Condition:
    return lambda run: Q(**{f"{run}{column}__in": values})


def begins(column: str, bounds: Range) -> Condition:
    """An id that begins like this, as text: MariaDB puts ids that are no UUIDv7 in an order of its own."""
    lowest, highest = bounds
    if lowest == highest:
        return equal(column, [lowest])
    alike = lowest.hex[: 32 - (lowest.int ^ highest.int).bit_length() // 4]

    def condition(run: str) -> Q:
        digits = Replace(Cast(f"{run}{column}", TextField()), Value("-"), Value(""))
        return Q(Exact(Coalesce(Left(digits, len(alike)), Value("")), Value(alike)))

    return condition


def between(column: str, bounds: Range) -> Condition:
    """A column of UUIDv7 that begin alike."""
    return lambda run: Q(**{f"{run}{column}__gte": bounds[0], f"{run}{column}__lte": bounds[1]})


def contains(column: str, text: str) -> Condition:
    # Not LIKE: it has wildcards, and SQLite's does not know upper from lower case.
    return lambda run: Q(GreaterThan(Coalesce(StrIndex(f"{run}{column}", Value(text)), 0), 0))


def tag(name: str) -> Condition:
    """Tags are a JSON array as text."""
    return contains("tags", codec.encode(name, what="tag", limit=2**16))


def error(text: str) -> Condition:
    """The class or the message of an error; not its traceback, which names half the program."""
    told = codec.encode(text, what="error", limit=2**16)[1:-1]

    def condition(run: str) -> Q:
        place = Coalesce(StrIndex(f"{run}error", Value(told)), 0)
        trace = Coalesce(StrIndex(f"{run}error", Value(TRACEBACK)), 0)
        return Q(GreaterThan(place, 0)) & (Q(Exact(trace, 0)) | Q(LessThan(place, trace)))

    return condition


def argument(path: Sequence[str], values: Sequence[str]) -> Condition:
    """An argument, or what lies in it, as text."""

    def condition(run: str) -> Q:
        found = Q()
        for value in values:
            found |= Q(Exact(Argument(f"{run}payload", path=path), Value(value)))
        return found

    return condition


class Argument(Func):
    """What stands in a JSON text at a path, as text."""

    output_field = TextField()

    def __init__(self, column: str, *, path: Sequence[str]) -> None:
        super().__init__(F(column))
        self.path = tuple(path)

    def as_postgresql(self, compiler: Any, connection: Any, **_: Any) -> Any:
        """Return the SQL; payloads are text, so the cast is made as it is read."""
        sql, params = compiler.compile(self.source_expressions[0])
        return f"({sql}::jsonb #>> %s::text[])", [*params, "{" + ",".join(self.path) + "}"]

    def as_mysql(self, compiler: Any, connection: Any, **_: Any) -> Any:
        """Return the SQL."""
        sql, params = compiler.compile(self.source_expressions[0])
        return f"JSON_UNQUOTE(JSON_EXTRACT({sql}, %s))", [*params, self.dollar_path]

    def as_sqlite(self, compiler: Any, connection: Any, **_: Any) -> Any:
        """Return the SQL; json_extract makes numbers of true and false."""
        sql, params = compiler.compile(self.source_expressions[0])
        path = self.dollar_path
        return (
            f"CASE WHEN json_type({sql}, %s) IN ('true', 'false') THEN json_type({sql}, %s)"
            f" ELSE CAST(json_extract({sql}, %s) AS TEXT) END",
            [*params, path, *params, path, *params, path],
        )

    @property
    def dollar_path(self) -> str:
        """The path as SQLite and MySQL write it."""
        return "$" + "".join(f"[{step}]" if step.isdigit() else f'."{step}"' for step in self.path)


def in_status(statuses: frozenset[str]) -> Q:
    """Statuses of a row of ``runs``, as a reader sees them: time passes without a write, so the outbox row tells."""
    found = Q(outcome__in=sorted(statuses & FINAL))
    found |= Q(status__in=sorted(statuses & {Status.RUNNING.value, Status.WAITING.value}))
    later = Q(status__in=sorted(statuses & {Status.SCHEDULED.value, Status.RETRYING.value}))
    found |= later & Q(outbox__ready=False) & ~due(outbox="outbox__")
    if Status.QUEUED in statuses:
        past = Q(status__in=[Status.SCHEDULED.value, Status.RETRYING.value]) & due(outbox="outbox__")
        found |= Q(status=Status.QUEUED.value) | past
    return found


def due(*, outbox: str) -> Q:
    """A row of the outbox whose run is queued: made ready by a sweep, unless it waits for a permit."""
    waits = Q(**{f"{outbox}waits_for__isnull": False, f"{outbox}due_at__lte": datetime.now(UTC)})
    return Q(**{f"{outbox}ready": True}) | waits


def older(column: str, key: Sequence[Any]) -> Q:
    """Rows behind a place in the order of a column and the id, newest first."""
    return _beyond(column, key, sign="lt")


def newer(column: str, key: Sequence[Any]) -> Q:
    """Rows before it."""
    return _beyond(column, key, sign="gt")


def _beyond(column: str, key: Sequence[Any], *, sign: str) -> Q:
    if len(key) == 1:
        return Q(**{f"{column}__{sign}": key[0]})
    tied = Q(**{column: key[0], f"pk__{sign}": key[1]})
    # The first condition says nothing new: it is what an index can begin at.
    return Q(**{f"{column}__{sign}e": key[0]}) & (Q(**{f"{column}__{sign}": key[0]}) | tied)


def period(column: str, since: datetime | None, before: datetime | None) -> Q:
    found = Q()
    if since is not None:
        found &= Q(**{f"{column}__gte": since})
    if before is not None:
        found &= Q(**{f"{column}__lt": before})
    return found
