"""Places in a list, opaque and bound to the search and its order: with another one they say nothing."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

from django.core.signing import BadSignature, Signer

from openqueue.control.search import orders
from openqueue.control.search.reading import Sought
from openqueue.control.search.walks import Key

OLDER, NEWER = "older", "newer"
LONGEST: Final = 500


def cursor(sought: Sought, direction: str, key: Key) -> str:
    """Return the text that leads on from a place."""
    written = [part.isoformat() if isinstance(part, datetime) else part.hex for part in key]
    return _signer(sought).sign_object([direction, *written])


def place(sought: Sought, text: str) -> tuple[str, Key] | None:
    """Return direction and place; None for a text that is none, or of another search."""
    if len(text) > LONGEST:
        return None
    try:
        direction, *written = _signer(sought).unsign_object(text)
        *moments, run = written
        return direction, (*(datetime.fromisoformat(moment) for moment in moments), UUID(run))
    except (BadSignature, ValueError, TypeError):
        return None


def _signer(sought: Sought) -> Signer:
    return Signer(salt=f"openqueue.search {orders.of(sought)} {sought.text}")
