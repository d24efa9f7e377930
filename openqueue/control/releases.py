"""Releases of the project that workers have told: when each was first seen, and which of a fleet's is the newest."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db.models import Q

from openqueue.control.workers import WorkerFacts
from openqueue.models import Release
from openqueue.store import releases, store

SHOWN: Final = 50
MOST: Final = 200
"""Of one window, so that a chart stays one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseFacts:
    """One release; they are in the order in which they were first seen."""

    name: str
    first_seen: datetime


def listing(*, limit: int = SHOWN) -> list[ReleaseFacts]:
    """Return releases, the newest first."""
    rows = Release.objects.using(store().alias).order_by("-first_seen", "-pk")[:limit]
    return [ReleaseFacts(name=row.name, first_seen=row.first_seen) for row in rows]


def within(since: datetime, before: datetime, *, names: Collection[str] = ()) -> list[ReleaseFacts]:
    """Return those that were first seen within a window, and those of these names, oldest first; in one statement."""
    wanted = Q(first_seen__gte=since, first_seen__lt=before)
    wanted = wanted | Q(name__in=set(names)) if names else wanted
    rows = Release.objects.using(store().alias).filter(wanted).order_by("-first_seen", "-pk")[:MOST]
    return [ReleaseFacts(name=row.name, first_seen=row.first_seen) for row in reversed(rows)]


def is_seen(name: str) -> bool:
    """Tell whether a worker has told this release."""
    return bool(releases.places(store(), [name]))


def newest(fleet: Iterable[WorkerFacts]) -> dict[str, str]:
    """Return the newest release that live workers of each language tell, in one statement.

    Not the newest ever seen: after a step back that would be one that nobody is of.
    """
    told = {(worker.language, worker.release) for worker in fleet if worker.is_alive and worker.release}
    known = releases.places(store(), [name for _, name in told]) if told else {}
    ordered = sorted((known[name], language, name) for language, name in told if name in known)
    return {language: name for _, language, name in ordered}
