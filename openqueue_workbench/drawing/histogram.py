"""How long runs took: a histogram whose buckets each reach as many times as far as the one before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from openqueue_workbench import wording
from openqueue_workbench.drawing import frame as framing
from openqueue_workbench.drawing import scale
from openqueue_workbench.drawing.frame import ABOVE, HEIGHT, Frame
from openqueue_workbench.drawing.markup import join, nothing, share, table, tag

MOST: Final = 36
"""Bins that are drawn; finer buckets are put together."""
LABELS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Durations above ``above`` seconds, up to and with ``upto``."""

    above: float
    upto: float
    count: int
    url: str = ""


def bins(counts: Mapping[int, int], *, upto: Callable[[int], float]) -> list[Bin]:
    """Return numbered buckets as bins without gaps; ``upto`` tells the seconds at which a bucket ends."""
    there = [number for number, count in counts.items() if count]
    if not there:
        return []
    first, last = min(there), max(there)
    width = -(-(last - first + 1) // MOST)
    return [
        Bin(
            above=upto(start - 1) if start > 0 else 0.0,
            upto=upto(start + width - 1),
            count=sum(counts.get(number, 0) for number in range(start, start + width)),
        )
        for start in range(first, last + 1, width)
    ]


def drawn(frame: Frame, found: Sequence[Bin]) -> SafeString:
    """Return the histogram, shortest first."""
    whole = sum(one.count for one in found)
    if not whole:
        return nothing(frame.nothing)
    ticks = scale.counts(max(one.count for one in found))
    width = 100 / len(found)
    plot = join(
        _bar(one, x=index * width, width=width, top=ticks[-1], whole=whole)
        for index, one in enumerate(found)
        if one.count
    )
    each = scale.every(len(found), most=LABELS)
    edges = [
        framing.label(index * width, wording.duration(found[index].above), order=order)
        for order, index in enumerate(range(0, len(found), each))
    ]
    highest = max(found, key=lambda one: one.count)
    desc = _("%(window)s, %(runs)s runs. Most took %(bin)s: %(count)s.") % {
        "window": frame.window,
        "runs": wording.count(whole),
        "bin": _reach(highest),
        "count": wording.share(highest.count, whole),
    }
    rows = [(_reach(one), wording.count(one.count), wording.percent(one.count, whole)) for one in found]
    return framing.figure(
        frame,
        desc=desc,
        plot=plot,
        ticks=ticks,
        says=wording.number,
        below=join(edges),
        legend=tag(
            "p", _("%(runs)s runs by how long they took") % {"runs": wording.count(whole)}, class_="oq-note"
        ),
        table=table(f"{frame.title}, {frame.window}", [_("Took"), _("Runs"), _("Share")], rows),
        is_linked=any(one.url for one in found),
    )


def _bar(one: Bin, *, x: float, width: float, top: float, whole: int) -> SafeString:
    (height,) = scale.heights([one.count], top=top, height=HEIGHT)
    said = f"{_reach(one)}: {wording.share(one.count, whole)}"
    inset = width * 0.04
    box = {"x": share(x + inset), "width": share(width - 2 * inset)}
    hit = tag("rect", **box, y=ABOVE, height=HEIGHT, class_="oq-hit")
    bar = tag("rect", **box, y=ABOVE + HEIGHT - height, height=height, class_="oq-fill oq-c-running")
    if one.url:
        return tag("a", tag("title", said), hit, bar, href=one.url, aria_label=said, class_="oq-bar")
    return tag("g", tag("title", said), hit, bar, class_="oq-bar")


def _reach(one: Bin) -> str:
    if not one.above:
        return _("up to %(most)s") % {"most": wording.duration(one.upto)}
    return _("%(least)s to %(most)s") % {
        "least": wording.duration(one.above),
        "most": wording.duration(one.upto),
    }
