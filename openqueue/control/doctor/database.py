"""The database: migrations and indexes, and what each vendor's own file knows about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from django.apps import apps
from django.db import connections
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from openqueue.control.doctor import mysql, postgresql, sqlite
from openqueue.control.findings import Finding
from openqueue.store import store

VENDORS: Final[dict[str, Callable[[dict[str, Any]], Iterator[Finding]]]] = {
    "mysql": mysql.findings,
    "postgresql": postgresql.findings,
    "sqlite": sqlite.findings,
}
"""What each kind of database is examined for besides: one file a vendor."""


def findings(facts: dict[str, Any]) -> Iterator[Finding]:
    """Examine the database that OpenQueue lives in."""
    connection = connections[store().alias]
    facts["vendor"] = connection.vendor
    yield from of_migrations(connection, facts)
    yield from of_indexes(connection)
    examine = VENDORS.get(connection.vendor)
    if examine is not None:
        yield from examine(facts)


def of_migrations(connection: Any, facts: dict[str, Any]) -> Iterator[Finding]:
    """Compare the migrations of this release with those that were run."""
    loader = MigrationLoader(connection, load=False)
    loader.load_disk()
    known = {name for app, name in loader.disk_migrations or () if app == "openqueue"}
    run = {name for app, name in MigrationRecorder(connection).applied_migrations() if app == "openqueue"}
    facts["migrations_missing"] = missing = sorted(known - run)
    if missing:
        yield Finding(
            id="migrations",
            subject=f"database {connection.alias}",
            message=f"{len(missing)} migrations of OpenQueue were not run: {', '.join(missing)}.",
            remedy=f"Run `migrate openqueue --database {connection.alias}`.",
        )
    if ahead := sorted(run - known):
        yield Finding(
            id="migrations_ahead",
            level="info",
            subject=f"database {connection.alias}",
            message=f"The database is ahead of this release of OpenQueue: {', '.join(ahead)}.",
            remedy="Usual in the middle of a deployment; otherwise deploy the newer release here too.",
        )


def of_indexes(connection: Any) -> Iterator[Finding]:
    """Compare the indexes of the models with those that are there."""
    for model in apps.get_app_config("openqueue").get_models():
        table = model._meta.db_table
        with connection.cursor() as cursor:
            found = set(connection.introspection.get_constraints(cursor, table))
        partial = connection.features.supports_partial_indexes
        wanted = [
            one.name
            for one in (*model._meta.indexes, *model._meta.constraints)
            if partial or getattr(one, "condition", None) is None
        ]
        if missing := [name for name in wanted if name not in found]:
            yield Finding(
                id="missing_index",
                subject=f"table {table}",
                message=f"It lacks {', '.join(missing)}: statements walk the whole table in its place.",
                remedy="Somebody dropped it, or a restore did. `sqlmigrate openqueue 0001` says how to make it.",
            )
