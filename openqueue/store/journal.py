"""The record of acts: one row appended for each, by a statement that is put together once.

The ORM could say it, and takes as long to put it together as half of a trigger of a hundred runs takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from openqueue.models import AuditLog

if TYPE_CHECKING:
    from openqueue.store.base import BaseStore

COLUMNS: Final = ("actor", "act", "object", "before", "after", "reason", "origin")
CLOCKS: Final = {"postgresql": "statement_timestamp()", "mysql": "UTC_TIMESTAMP(6)"}
"""The moment, said inside the statement. SQLite's is this host's, which is asked for nothing."""
AT_ONCE: Final = 100
"""Rows in one statement: SQLite takes some hundreds of parameters."""


def append(store: BaseStore, rows: Sequence[AuditLog]) -> None:
    """Write rows; the database gives them their keys and its moment."""
    clock = CLOCKS.get(store.connection.vendor)
    if clock is None:
        moment = store.clock(None)
        for row in rows:
            row.at = moment
    told = COLUMNS if clock else (*COLUMNS, "at")
    fields: list[Any] = [AuditLog._meta.get_field(column) for column in told]
    name = store.connection.ops.quote_name
    columns = ", ".join(name(column) for column in (*COLUMNS, "at"))
    one = f"({', '.join([*['%s'] * len(told), *([clock] if clock else [])])})"
    with store.connection.cursor() as cursor:
        for at in range(0, len(rows), AT_ONCE):
            some = rows[at : at + AT_ONCE]
            values: list[Any] = [
                field.get_db_prep_save(getattr(row, field.attname), store.connection)
                for row in some
                for field in fields
            ]
            cursor.execute(
                f"INSERT INTO {name(AuditLog._meta.db_table)} ({columns}) VALUES {', '.join([one] * len(some))}",
                values,
            )
