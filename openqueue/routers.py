"""Sends OpenQueue's tables to OPENQUEUE["DATABASE"] when that is not the default alias."""

from __future__ import annotations

from typing import Any

from openqueue.conf import config

APP_LABEL = "openqueue"


class OpenQueueRouter:
    """Add it to DATABASE_ROUTERS of a project that keeps OpenQueue in a database of its own."""

    def db_for_read(self, model: type[Any], **_: Any) -> str | None:
        """Read OpenQueue's models there."""
        return config.database if model._meta.app_label == APP_LABEL else None

    db_for_write = db_for_read

    def allow_migrate(self, db: str, app_label: str, **_: Any) -> bool | None:
        """Make OpenQueue's tables there and only there."""
        return db == config.database if app_label == APP_LABEL else None
