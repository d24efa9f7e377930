"""What empties the tables after a test whose transactions were real, in a sixteenth of the processor's time."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from django.core.management.color import no_style
from django.core.management.commands import flush
from django.db import connections

KEPT: Final = {"auth_permission", "django_content_type"}
"""What migrating wrote. Django empties these as well, and makes every row of them anew after every such test."""


class Command(flush.Command):
    def handle(self, **options: Any) -> None:
        connection = connections[options["database"]]
        statements = connection.ops.sql_flush(
            no_style(),
            tables(connection.alias, connection.settings_dict["NAME"]),
            reset_sequences=options.get("reset_sequences", True),
            allow_cascade=options.get("allow_cascade", False),
        )
        connection.ops.execute_sql_flush(statements)


@cache
def tables(alias: str, name: str) -> list[str]:
    """Return the tables of the models in this database."""
    connection = connections[alias]
    return sorted(set(connection.introspection.django_table_names(only_existing=True)) - KEPT)
