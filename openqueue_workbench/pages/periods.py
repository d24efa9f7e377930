"""Moments and places in lists, as addresses carry them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from openqueue_workbench.pages.links import stamp

PERIODS: Final[Mapping[str, tuple[Promise, timedelta]]] = {
    "15m": (_("Last 15 minutes"), timedelta(minutes=15)),
    "1h": (_("Last hour"), timedelta(hours=1)),
    "24h": (_("Last 24 hours"), timedelta(hours=24)),
    "7d": (_("Last 7 days"), timedelta(days=7)),
    "30d": (_("Last 30 days"), timedelta(days=30)),
}


def moment(text: str | None) -> datetime | None:
    """Return the moment that a text says, of the reader's zone where it names none; None where it says none."""
    try:
        at = datetime.fromisoformat((text or "").strip())
        at = at if at.tzinfo else timezone.make_aware(at)
        return at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def place(text: str | None) -> tuple[datetime, str] | None:
    """Return a place in a list in the order of moments: the moment, and what tells those of one moment apart."""
    at, _sign, key = (text or "").partition("_")
    found = moment(at)
    return (found, key) if found and key else None


def placed(key: tuple[datetime, object] | None) -> str:
    """Return a place for an address."""
    return f"{stamp(key[0])}_{key[1]}" if key else ""


def number(text: str | None) -> int | None:
    """Return the number of a row; None where it is none."""
    text = text or ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def run_id(text: str | None) -> UUID | None:
    """Return the id of a run; None where it is none."""
    try:
        return UUID((text or "").strip())
    except ValueError:
        return None
