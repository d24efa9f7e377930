"""Columns whose meaning must not depend on the project's settings: instants, and JSON kept as its own text."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from django.db import models

from openqueue import codec

if TYPE_CHECKING:
    DateTimeBase = models.DateTimeField[Any, Any]
    TextBase = models.TextField[Any, Any]
else:
    DateTimeBase, TextBase = models.DateTimeField, models.TextField


class InstantField(DateTimeBase):
    """An instant, aware and in UTC, whatever USE_TZ, TIME_ZONE and the database's own zone are.

    PostgreSQL keeps it as ``timestamptz``; SQLite and MySQL as naive UTC with microseconds, so that text sorts as time.
    """

    def get_prep_value(self, value: Any) -> Any:
        value = self.to_python(value)
        if isinstance(value, datetime) and value.tzinfo is None:
            raise ValueError(f"{self.name} got a naive datetime ({value}). Give an aware one.")
        return value

    def to_python(self, value: Any) -> Any:
        return value if isinstance(value, datetime) else super().to_python(value)

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        if not prepared:
            value = self.get_prep_value(value)
        if not isinstance(value, datetime) or connection.vendor == "postgresql":
            return value
        return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> datetime | None:
        if value is None:
            return None
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
        if connection.vendor != "postgresql":
            value = value.replace(tzinfo=UTC)
        elif value.tzinfo is None:
            value = value.replace(tzinfo=ZoneInfo(connection.timezone_name))
        instant: datetime = value.astimezone(UTC)
        return instant

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        if self.auto_now or (self.auto_now_add and add):
            setattr(model_instance, self.attname, datetime.now(UTC))
        return getattr(model_instance, self.attname)


class JSONTextField(TextBase):
    """A JSON value kept as the text that the codec wrote: jsonb would rewrite 1e22 and -0.0."""

    _pyi_private_set_type: Any
    _pyi_private_get_type: Any

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> Any:
        return None if value is None else codec.decode(value)

    def get_prep_value(self, value: Any) -> str | None:
        return None if value is None else codec.encode(value, what=self.name or "value", limit=2**31 - 1)

    def to_python(self, value: Any) -> Any:
        return value

    def value_to_string(self, obj: models.Model) -> str:
        return self.get_prep_value(self.value_from_object(obj)) or ""
