"""Indexes of some rows only, on databases that have them; elsewhere of all rows, in a form that serves as well."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q


class PartialIndex(models.Index):
    """An index of the rows that ``where`` holds for.

    MySQL and MariaDB index no rows by condition, and Django leaves out an index that has one (models.W037). There it is
    an ordinary index with ``ahead`` before its columns, so that a query which names both walks the same rows.
    """

    def __init__(self, *, where: Q, ahead: tuple[str, ...] = (), **facts: Any) -> None:
        super().__init__(**facts)
        self.where = where
        self.ahead = tuple(ahead)

    def deconstruct(self) -> tuple[str, Any, dict[str, Any]]:
        path, expressions, facts = super().deconstruct()
        return path, expressions, facts | {"where": self.where, "ahead": self.ahead}

    def create_sql(self, model: Any, schema_editor: Any, using: str = "", **facts: Any) -> Any:
        if schema_editor.connection.features.supports_partial_indexes:
            index = models.Index(fields=self.fields, name=self.name, condition=self.where)
        else:
            index = models.Index(fields=[*self.ahead, *self.fields], name=self.name)
        return index.create_sql(model, schema_editor, using, **facts)


class PartialUnique(models.UniqueConstraint):
    """Unique among the rows whose last field is not null: NULLs differ from each other, so MySQL needs no condition."""

    def on(self, schema_editor: Any) -> models.UniqueConstraint:
        """Return the constraint that this database gets."""
        partial = schema_editor.connection.features.supports_partial_indexes
        where = Q(**{f"{self.fields[-1]}__isnull": False}) if partial else None
        return models.UniqueConstraint(fields=self.fields, name=self.name, condition=where)

    def constraint_sql(self, model: Any, schema_editor: Any) -> Any:
        return self.on(schema_editor).constraint_sql(model, schema_editor)

    def create_sql(self, model: Any, schema_editor: Any) -> Any:
        return self.on(schema_editor).create_sql(model, schema_editor)

    def remove_sql(self, model: Any, schema_editor: Any) -> Any:
        return self.on(schema_editor).remove_sql(model, schema_editor)
