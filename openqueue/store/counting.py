"""Counting many sets of rows of the outbox in one statement, each of them as far as it is to be counted."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from django.core.exceptions import EmptyResultSet

from openqueue.models import Outbox
from openqueue.store.base import BaseStore

K = TypeVar("K", bound=Hashable)


def counted(store: BaseStore, sets: Mapping[K, Any]) -> dict[K, tuple[int, datetime | None]]:
    """Return how many rows each set has, and the earliest due time among them.

    A set is a queryset of the outbox; one with a limit is counted up to it, and ends its walk there. The ORM would not
    unite sets with limits on SQLite.
    """
    found: dict[K, tuple[int, datetime | None]] = dict.fromkeys(sets, (0, None))
    keys, parts, given = list(sets), [], list[Any]()
    for number, rows in enumerate(sets.values()):
        try:
            sql, params = rows.values("due_at").query.get_compiler(using=store.alias).as_sql()
        except EmptyResultSet:  # of no queues
            continue
        parts.append(f"SELECT {number}, COUNT(*), MIN(due_at) FROM ({sql}) AS part_{number}")
        given += params
    if parts:
        column: Any = Outbox._meta.get_field("due_at")
        with store.connection.cursor() as cursor:
            cursor.execute(" UNION ALL ".join(parts), given)
            for number, count, at in cursor.fetchall():
                found[keys[number]] = count, column.from_db_value(at, None, store.connection)
    return found
