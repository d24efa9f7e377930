"""A low strip of bars over a list: where in time something happened, each bar a link to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from openqueue_workbench import wording
from openqueue_workbench.drawing import scale
from openqueue_workbench.drawing.bars import Bar, counted
from openqueue_workbench.drawing.frame import Frame
from openqueue_workbench.drawing.markup import join, named, nothing, share, table, tag

HEIGHT: Final = 40
FILLED: Final = 0.86


def strip(frame: Frame, bars: Sequence[Bar], *, order: Sequence[str]) -> SafeString:
    """Return the strip, oldest first; heights say little, so that the highest is told in words."""
    if not any(bar.total for bar in bars):
        return nothing(frame.nothing)
    top = max(bar.total for bar in bars)
    width = 100 / len(bars)
    drawn = [
        _bar(bar, order, left=index * width, width=width, top=top)
        for index, bar in enumerate(bars)
        if bar.total
    ]
    ground = tag("line", x1="0", x2="100%", y1=HEIGHT - 0.5, y2=HEIGHT - 0.5, class_="oq-grid")
    whole = {status: sum(bar.counts.get(status, 0) for bar in bars) for status in order}
    said = _("%(counted)s. At most %(top)s in one bar.") % {
        "counted": counted(whole, order), "top": wording.count(top),
    }  # fmt: skip
    inside, names = named(frame.id, title=frame.title, desc=said)
    plot = tag(
        "svg", inside, ground, *drawn, width="100%", height=HEIGHT, direction="ltr", role="group", **names
    )
    caption = tag(
        "figcaption",
        tag("span", frame.title, class_="oq-title"), " ",
        tag("span", f"{frame.window}: {said}", class_="oq-window"),
    )  # fmt: skip
    marks = [wording.mark(status).word for status in order]
    rows = [
        (_moment(bar), *(wording.count(bar.counts.get(one, 0)) for one in order), wording.count(bar.total))
        for bar in bars
        if bar.total
    ]
    numbers = table(f"{frame.title}, {frame.window}", [_("From"), *marks, _("Together")], rows)
    return tag("figure", caption, plot, numbers, class_="oq-draw oq-activity", id=frame.id)


def _bar(bar: Bar, order: Sequence[str], *, left: float, width: float, top: float) -> SafeString:
    parts, y = [], float(HEIGHT)
    x, wide = share(left + width * (1 - FILLED) / 2), share(width * FILLED)
    heights = scale.heights([bar.counts.get(one, 0) for one in order], top=top, height=HEIGHT)
    for status, height in zip(order, heights, strict=True):
        y -= height
        if height:
            css = f"oq-fill {wording.mark(status).css}"
            parts.append(tag("rect", x=x, y=y, width=wide, height=height, class_=css))
    hit = tag("rect", x=share(left), y=0, width=share(width), height=HEIGHT, class_="oq-hit")
    said = f"{_moment(bar)}: {counted(bar.counts, order)}"
    css = "oq-bar oq-running" if bar.is_running else "oq-bar"
    if bar.is_running:
        box = {"x": x, "y": y, "width": wide, "height": HEIGHT - y}
        parts.insert(0, tag("rect", **box, class_="oq-ground"))
    if not bar.url:
        return tag("g", tag("title", said), hit, join(parts), class_=css)
    return tag("a", tag("title", said), hit, join(parts), href=bar.url, aria_label=said, class_=css)


def _moment(bar: Bar) -> str:
    said = f"{wording.short_day(bar.since)} {wording.clock(bar.since)}"
    return _("%(moment)s, so far") % {"moment": said} if bar.is_running else said
