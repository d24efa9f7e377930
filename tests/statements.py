"""What a database is sent, as it was written: Django 5.2 does not log the text of a prepared statement."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection


@contextmanager
def sent() -> Iterator[list[str]]:
    """Gather the statements of this thread, those that keep savepoints aside."""
    statements: list[str] = []

    def look(execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        statements.append(str(sql).strip())
        return execute(sql, params, many, context)

    with connection.execute_wrapper(look):
        yield statements
    statements[:] = [sql for sql in statements if not sql.startswith(("SAVEPOINT", "RELEASE"))]
