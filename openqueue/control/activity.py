"""What operators did: the audit log, asked by who, what, to what, and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from openqueue.models import AuditLog
from openqueue.store import store

USUAL, MOST = 50, 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One act."""

    id: int
    at: datetime
    actor: str
    act: str
    """A dotted verb: queue.pause; or `refused`."""
    object: str
    """Its kind and its name: queue email. Of what was refused, the method and the address."""
    before: Any
    after: Any
    reason: str
    origin: str
    """Address and id of the request, of acts over HTTP."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityPage:
    """Some acts, newest first."""

    entries: Sequence[Entry]
    older: int | None
    """Give it as ``before_id`` to go on; None: these are the oldest."""


def find(
    *,
    actor: str | None = None,
    act: str | None = None,
    object: str | None = None,
    since: datetime | None = None,
    before: datetime | None = None,
    before_id: int | None = None,
    limit: int = USUAL,
) -> ActivityPage:
    """Return one page, newest first by key, in one statement.

    ``act``: a verb, or the beginning of verbs up to a dot: `queue.`; ``since`` is inside, ``before`` is not.
    """
    size = max(1, min(limit, MOST))
    rows = AuditLog.objects.using(store().alias).order_by("-pk")
    if actor is not None:
        rows = rows.filter(actor=actor)
    if act is not None:
        rows = rows.filter(act__startswith=act) if act.endswith(".") else rows.filter(act=act)
    if object is not None:
        rows = rows.filter(object=object)
    if since is not None:
        rows = rows.filter(at__gte=since)
    if before is not None:
        rows = rows.filter(at__lt=before)
    if before_id is not None:
        rows = rows.filter(pk__lt=before_id)
    found = list(rows[: size + 1])
    names = ("id", "at", "actor", "act", "object", "before", "after", "reason", "origin")
    return ActivityPage(
        entries=[Entry(**{name: getattr(row, name) for name in names}) for row in found[:size]],
        older=found[size - 1].pk if len(found) > size else None,
    )
