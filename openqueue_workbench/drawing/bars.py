"""Stacked bars over time: how many of each state, step by step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from openqueue_workbench import wording
from openqueue_workbench.drawing import frame as framing
from openqueue_workbench.drawing import scale
from openqueue_workbench.drawing.frame import ABOVE, HEIGHT, Frame
from openqueue_workbench.drawing.markup import join, nothing, share, table, tag
from openqueue_workbench.wording import Mark

Marks = Callable[[str], Mark]
"""How each part of a bar is shown."""
FILLED: Final = 0.9
"""Of a step's width."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One step."""

    since: datetime
    before: datetime
    counts: Mapping[str, int] = field(default_factory=dict)
    """By status, or by whatever else the bars are parted."""
    url: str = ""
    """Where exactly what it counts is listed."""
    is_running: bool = False
    """It is not over: more will come."""

    @property
    def total(self) -> int:
        """All of it."""
        return sum(self.counts.values())


def stacked(
    frame: Frame, bars: Sequence[Bar], *, order: Sequence[str], marked: Marks = wording.mark
) -> SafeString:
    """Return bars with the statuses of ``order`` from below upwards, oldest first; any others are on top.

    ``marked`` tells how they are shown that are no statuses.
    """
    order = list(dict.fromkeys([*order, *(status for bar in bars for status in bar.counts)]))
    if not any(bar.total for bar in bars):
        return nothing(frame.nothing)
    ticks = scale.counts(max(bar.total for bar in bars))
    width = 100 / len(bars)
    starts = [bar.since for bar in bars]
    plot = join(
        _bar(
            bar,
            order,
            marked,
            left=index * width + width * (1 - FILLED) / 2,
            width=width * FILLED,
            top=ticks[-1],
        )
        for index, bar in enumerate(bars)
        if bar.total
    )
    rows = [
        (
            _moment(bar),
            *(wording.count(bar.counts.get(one, 0)) for one in order),
            wording.count(bar.total),
            *framing.released(frame, bar.since, bar.before),
        )
        for bar in bars
    ]
    heads = [_("From"), *(marked(one).word for one in order), _("Together"), *framing.released_head(frame)]
    return framing.figure(
        frame,
        desc=_said(bars, order, frame, marked),
        plot=join([plot, framing.releases(frame, starts)]),
        ticks=ticks,
        says=wording.number,
        below=framing.moments(starts, is_running=bars[-1].is_running),
        legend=legend(order, marked),
        table=table(f"{frame.title}, {frame.window}", heads, rows),
        is_linked=any(bar.url for bar in bars),
    )


def legend(order: Sequence[str], marked: Marks = wording.mark) -> SafeString:
    """Return what the colours stand for, in the order in which they are stacked from above."""
    return tag(
        "ul",
        *(
            tag(
                "li", tag("span", mark.glyph, aria_hidden="true", class_=f"oq-key {mark.css}"), " ", mark.word
            )
            for mark in map(marked, reversed(order))
        ),
        class_="oq-legend",
    )


def counted(counts: Mapping[str, int], order: Sequence[str], marked: Marks = wording.mark) -> str:
    """Return counts in words, without those that are nought: "236 completed, 3 failed"."""
    said = [
        _("%(count)s %(state)s") % {"count": wording.count(counts[one]), "state": marked(one).within}
        for one in order
        if counts.get(one)
    ]
    return ", ".join(said) or _("none")


def _bar(
    bar: Bar, order: Sequence[str], marked: Marks, *, left: float, width: float, top: float
) -> SafeString:
    parts, y = [], float(ABOVE + HEIGHT)
    drawn = scale.heights([bar.counts.get(one, 0) for one in order], top=top, height=HEIGHT)
    for status, height in zip(order, drawn, strict=True):
        y -= height
        if height:
            css = f"oq-fill {marked(status).css}"
            parts.append(tag("rect", x=share(left), y=y, width=share(width), height=height, class_=css))
    # The whole column can be pointed at, however low its bar.
    hit = tag("rect", x=share(left), y=ABOVE, width=share(width), height=HEIGHT, class_="oq-hit")
    said = f"{_moment(bar)}: {counted(bar.counts, order, marked)}"
    css = "oq-bar"
    if bar.is_running:
        css += " oq-running"
        box = {"x": share(left), "y": y, "width": share(width), "height": ABOVE + HEIGHT - y}
        parts.insert(0, tag("rect", **box, class_="oq-ground"))  # it is paler by what lies under it
    if bar.url:
        return tag("a", tag("title", said), hit, *parts, href=bar.url, aria_label=said, class_=css)
    return tag("g", tag("title", said), hit, *parts, class_=css)


def _moment(bar: Bar) -> str:
    said = f"{wording.short_day(bar.since)} {wording.clock(bar.since)}"
    return _("%(moment)s, so far") % {"moment": said} if bar.is_running else said


def _said(bars: Sequence[Bar], order: Sequence[str], frame: Frame, marked: Marks) -> str:
    whole = {status: sum(bar.counts.get(status, 0) for bar in bars) for status in order}
    highest = max(bars, key=lambda bar: bar.total)
    said = _("%(window)s: %(counted)s. Most at %(moment)s: %(total)s.") % {
        "window": frame.window,
        "counted": counted(whole, order, marked),
        "moment": _moment(highest),
        "total": wording.count(highest.total),
    }
    if bars[-1].is_running:
        said += " " + _("The last bar is not over: %(total)s so far.") % {
            "total": wording.count(bars[-1].total)
        }
    return said
