"""What a database's refusal means: send it again, somebody holds the row, it took too long."""

from __future__ import annotations

from typing import Any

from django.db import DatabaseError, InterfaceError

LOCK_NOT_AVAILABLE = "55P03"
QUERY_CANCELED = "57014"
"""PostgreSQL's: https://www.postgresql.org/docs/current/errcodes-appendix.html."""
TRANSIENT_STATES = frozenset({"40001", "40P01", LOCK_NOT_AVAILABLE})
"""PostgreSQL's serialisation failure, deadlock and lock wait."""
LOCKED_NUMBERS = frozenset({1205, 3572})
"""The lock wait of MariaDB and MySQL, and MySQL's NOWAIT."""
TIMEOUT_NUMBERS = frozenset({1969, 3024})
"""The statement timeout of MariaDB, and MySQL's."""
TRANSIENT_NUMBERS = LOCKED_NUMBERS | {1020, 1213}
"""Besides, the record that changed and the deadlock of both."""
TRANSIENT_TEXTS = ("database is locked", "database table is locked", "database is busy")
"""SQLite's."""


def is_transient(error: DatabaseError | InterfaceError) -> bool:
    """Tell whether the database says "send it again": a deadlock, a serialisation failure, a lock wait."""
    cause = error.__cause__ or error
    return (
        getattr(cause, "sqlstate", None) in TRANSIENT_STATES
        or number(cause) in TRANSIENT_NUMBERS
        or str(cause).lower().startswith(TRANSIENT_TEXTS)
    )


def is_locked(error: DatabaseError | InterfaceError) -> bool:
    """Tell whether a lock was waited for in vain: somebody else's transaction holds a row."""
    cause = error.__cause__ or error
    return getattr(cause, "sqlstate", None) == LOCK_NOT_AVAILABLE or number(cause) in LOCKED_NUMBERS


def took_too_long(error: DatabaseError | InterfaceError) -> bool:
    """Tell whether the database ended the statement, as its statement timeout does."""
    cause = error.__cause__ or error
    return getattr(cause, "sqlstate", None) == QUERY_CANCELED or number(cause) in TIMEOUT_NUMBERS


def number(cause: BaseException) -> Any:
    """Return the error number of MariaDB and MySQL, which comes before the text; None elsewhere."""
    return cause.args[0] if len(cause.args) > 1 else None
