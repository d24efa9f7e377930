"""Parts of a page that are asked for again while the page is open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Pace = Literal["", "fast", "tick", "steady", "slow"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part: its method ``part_<name>`` of the page returns what its template shows."""

    template: str
    every: Pace = ""
    """fast: 2 s; tick: what the reader chose; steady: 15 s, or what the reader chose where that is longer; slow: every
    sixth tick, at least 30 s; empty: never again."""
    late: bool = False
    """It is not in the first answer, because it may take long: the page asks for it when it is there."""
