"""Where SQL lives. ``store()`` is the one door; OPENQUEUE["DATABASE"] decides what stands behind it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from openqueue.conf import config
from openqueue.store.base import BaseStore, SetWise
from openqueue.store.keys import TakesKeys

KINDS = {
    "postgresql": "postgresql.PostgreSQLStore",
    "mysql": "mysql.MySQLStore",
    "sqlite": "sqlite.SQLiteStore",
}
"""By Django's name of the database; `mysql` is MariaDB as well."""

if TYPE_CHECKING:

    class Store(BaseStore, SetWise, TakesKeys, Protocol):  # type: ignore[misc]  # an intersection, for the type checker alone
        """A store: the portable verbs and the set-wise ones."""

        def writing(self) -> AbstractContextManager[Any]:
            """One transaction of several statements, on a cursor, as patient as one statement alone."""


def store() -> Store:
    """Return the store of the configured database."""
    return of(config.database)


@cache
def of(alias: str) -> Store:
    """Return the store of a connection alias.

    Raises:
        ImproperlyConfigured: OpenQueue has no SQL for that database.
    """
    vendor = connections[alias].vendor
    if vendor not in KINDS:
        raise ImproperlyConfigured(
            f"OPENQUEUE['DATABASE'] = {alias!r} is a {vendor} database. Use PostgreSQL, MariaDB or MySQL, or SQLite "
            f"on a single host."
        )
    module, kind = KINDS[vendor].split(".")
    try:
        made = getattr(import_module(f"openqueue.store.{module}"), kind)(alias)
    except ImportError as error:
        raise ImproperlyConfigured(
            "OpenQueue on PostgreSQL needs psycopg 3. Install its `postgres` extra."
        ) from error
    return made  # type: ignore[no-any-return]  # found by name
