"""Releases of the project: when each was first told, and what that makes of two of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from openqueue.models import Release

if TYPE_CHECKING:
    from openqueue.store.base import BaseStore

Place = tuple[datetime, int]
"""When a release was first seen, and its number: they are in the order of these."""


def note(store: BaseStore, name: str, *, at: datetime) -> None:
    """Keep when a worker first told a release. One statement where it is known, which it is of all but its first."""
    rows = Release.objects.using(store.alias)
    if name and not rows.filter(name=name).exists():
        rows.bulk_create([Release(name=name, first_seen=at)], ignore_conflicts=True)


def places(store: BaseStore, names: Collection[str]) -> dict[str, Place]:
    """Return the place of each of these that was seen, in one statement."""
    rows = Release.objects.using(store.alias).filter(name__in=set(names))
    return {
        name: (first_seen, number)
        for name, first_seen, number in rows.values_list("name", "first_seen", "pk")
    }


def is_older(name: str, than: str, *, known: Mapping[str, Place]) -> bool:
    """Tell whether a release was first seen before another; one that nobody has seen yet is newer than all others.

    Of a worker that told no release nothing is known: it is not older.
    """
    if name == than or name not in known:
        return False
    return than not in known or known[name] < known[than]
