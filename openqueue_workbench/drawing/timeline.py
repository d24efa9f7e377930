"""The axis of a waterfall: time to place, long idle stretches folded so that what happened can be seen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Final

from openqueue_workbench.drawing import scale

FOLDS_ABOVE: Final = 0.6
"""Of the width: an idle stretch that takes more is folded."""
LEAST: Final = 10.0
"""Seconds: a shorter stretch is never in the way of what happened."""
FOLD: Final = 12.0
"""Percent of the width that a folded stretch takes."""
APART: Final = 11.0
"""Percent of the width between two labels."""
MARGIN: Final = 96.0
"""Beyond this percentage no label is begun."""
Stretch = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A stretch of time, and where it is drawn in percent of the width."""

    since: datetime
    until: datetime
    left: float
    right: float
    is_folded: bool = False

    @property
    def seconds(self) -> float:
        """How long it is."""
        return (self.until - self.since).total_seconds()


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """All pieces, one after the other."""

    pieces: Sequence[Piece]

    def at(self, moment: datetime) -> float:
        """Return where a moment is, in percent of the width."""
        for piece in self.pieces:
            if moment <= piece.until:
                break
        share = (moment - piece.since).total_seconds() / (piece.seconds or 1.0)
        return piece.left + min(1.0, max(0.0, share)) * (piece.right - piece.left)

    def ticks(self) -> list[tuple[float, float, bool]]:
        """Return places, seconds since the start, and whether the label begins there instead of standing around it.

        Round ones up to the first fold, then where a fold ends.
        """
        first = self.pieces[0]
        start = first.since
        found: list[tuple[float, float, bool]] = []
        if not first.is_folded:
            end = first.right - APART if len(self.pieces) > 1 else MARGIN
            for seconds in scale.durations(self.shown(), most=5):
                place = first.left + seconds / (first.seconds or 1.0) * (first.right - first.left)
                if place <= end or not seconds:
                    found.append((place, seconds, not seconds))
        for before, piece in pairwise(self.pieces):
            if before.is_folded and not piece.is_folded and piece.left <= 100 - APART:
                found.append((piece.left, (piece.since - start).total_seconds(), True))
        return found

    def shown(self) -> float:
        """Return how many seconds are drawn as long as they are."""
        return sum(piece.seconds for piece in self.pieces if not piece.is_folded)


def axis(since: datetime, until: datetime, *, busy: Iterable[Stretch]) -> Axis:
    """Return the axis from ``since`` to ``until``; only what lies between the ``busy`` stretches may be folded."""
    gaps = _gaps(since, until, busy)
    left = (until - since).total_seconds()
    folded: set[Stretch] = set()
    for gap in sorted(gaps, key=_length, reverse=True):
        # Without something beside it there is nothing to make room for.
        if _length(gap) <= max(LEAST, FOLDS_ABOVE * left) or _length(gap) >= left:
            break
        folded.add(gap)
        left -= _length(gap)
    each = (100 - FOLD * len(folded)) / (left or 1.0)
    edges = sorted({since, until, *(moment for gap in folded for moment in gap)})
    pieces, x = [], 0.0
    for start, end in pairwise(edges):
        is_folded = (start, end) in folded
        right = x + (FOLD if is_folded else _length((start, end)) * each)
        pieces.append(Piece(since=start, until=end, left=x, right=right, is_folded=is_folded))
        x = right
    return Axis(pieces=pieces or [Piece(since=since, until=until, left=0.0, right=100.0)])


def _gaps(since: datetime, until: datetime, busy: Iterable[Stretch]) -> list[Stretch]:
    """Return what no busy stretch covers; nothing if none is busy at all."""
    stretches = sorted(busy)
    gaps, at = [], since
    for start, end in stretches:
        if start > at:
            gaps.append((at, start))
        at = max(at, end)
    if until > at:
        gaps.append((at, until))
    return gaps if stretches else []


def _length(stretch: Stretch) -> float:
    return (stretch[1] - stretch[0]).total_seconds()
