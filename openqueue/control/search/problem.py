"""What is wrong with a search: it is told, and the list stays."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One part of a search that was left out, and what to write instead."""

    field: str
    """As it was written; empty for the search as a whole."""
    message: str
