"""Triggers with a key."""

from __future__ import annotations

from typing import Any

from tests.app.tasks import add


def trigger(key: str | None = "k", *, first: int = 1, **options: Any) -> Any:
    return add.using(dedupe_key=key, **options).trigger(first, 2)
