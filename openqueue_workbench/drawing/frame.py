"""What all charts over time share: name, window and zone in a caption, axes, labels of moments."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from openqueue_workbench import wording
from openqueue_workbench.drawing.markup import join, named, share, tag

WIDE: Final = 1_000
"""Units across the plot: its width is the page's."""
HEIGHT: Final = 132
"""Of the plot, in pixels."""
ABOVE: Final = 18
BELOW: Final = 22
AXIS: Final = 56
LABELS: Final = 8
EDGE: Final = 4.5
"""Percent of the width: a label that is nearer to an end begins or ends there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A release that was first seen within a chart's window."""

    name: str
    at: datetime

    @property
    def said(self) -> str:
        """Return it in words."""
        return _("Release %(name)s, first seen %(moment)s") % {
            "name": self.name,
            "moment": f"{wording.short_day(self.at)} {wording.clock(self.at)}",
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Names a chart."""

    id: str
    """Its own on the page: ids of what is inside begin with it."""
    title: str
    """What is drawn, as "Finished per hour"."""
    since: datetime
    before: datetime
    empty: str = ""
    """The sentence that stands where there is nothing to draw."""
    begun: Sequence[Begun] = ()
    """Releases to mark, oldest first."""

    @property
    def window(self) -> str:
        """From when to when, with the zone."""
        return wording.window(self.since, self.before)

    @property
    def nothing(self) -> str:
        """The sentence for no data."""
        return self.empty or _("%(title)s: nothing from %(window)s.") % {
            "title": self.title,
            "window": self.window,
        }


def stretched(drawn: Iterable[SafeString], *, said: Sequence[str]) -> SafeString:
    """Return what is drawn WIDE by HEIGHT, as wide as its chart, and over it a title for each step."""
    plot = tag(
        "svg", *drawn, x=0, y=ABOVE, width="100%", height=HEIGHT, viewBox=f"0 0 {WIDE} {HEIGHT}",
        preserveAspectRatio="none",
    )  # fmt: skip
    width = 100 / len(said)
    hits = [
        tag("rect", tag("title", one), x=share(index * width), y=ABOVE, width=share(width), height=HEIGHT,
            class_="oq-hit")
        for index, one in enumerate(said)
    ]  # fmt: skip
    return join([plot, *hits])


def figure(
    frame: Frame,
    *,
    desc: str,
    plot: SafeString,
    ticks: Sequence[float],
    says: Callable[[float], str],
    below: SafeString,
    legend: SafeString,
    table: SafeString,
    is_linked: bool,
) -> SafeString:
    """Return a chart with its axes, its caption and its table; ``plot`` is drawn in HEIGHT pixels from the top."""
    lines, labels = [], []
    for tick in ticks:
        y = ABOVE + HEIGHT - tick / ticks[-1] * HEIGHT
        lines.append(tag("line", x1="0", x2="100%", y1=y, y2=y, class_="oq-grid"))
        labels.append(tag("text", says(tick), x=AXIS - 6, y=y + 4, text_anchor="end", class_="oq-label"))
    size = {"height": ABOVE + HEIGHT + BELOW, "direction": "ltr"}
    told = "; ".join(one.said for one in frame.begun)
    inside, names = named(frame.id, title=frame.title, desc=f"{desc} {told}." if told else desc)
    axis = tag("svg", *labels, **size, width=AXIS, aria_hidden="true", class_="oq-axis")
    # Links inside an image would not be heard; a group has them one by one.
    role = "group" if is_linked else "img"
    drawn = tag("svg", inside, *lines, plot, below, **size, **names, width="100%", role=role)
    caption = tag(
        "figcaption",
        tag("span", frame.title, class_="oq-title"),
        " ",
        tag("span", frame.window, class_="oq-window"),
    )
    body = tag("div", axis, drawn, class_="oq-plot", dir="ltr")
    return tag("figure", caption, legend, body, table, class_="oq-draw oq-chart", id=frame.id)


def releases(frame: Frame, starts: Sequence[datetime]) -> SafeString:
    """Return a thin line where each release was first seen, over a plot of equally long steps."""
    step = starts[1] - starts[0] if len(starts) > 1 else frame.before - frame.since
    drawn = []
    for one in frame.begun:
        index = bisect_right(starts, one.at) - 1
        if index >= 0:
            x = share((index + min(1.0, (one.at - starts[index]) / step)) * 100 / len(starts))
            line = tag("line", x1=x, x2=x, y1=ABOVE - 4, y2=ABOVE + HEIGHT)
            head = tag("text", "▾", x=x, y=ABOVE - 4, text_anchor="middle")
            drawn.append(tag("g", tag("title", one.said), line, head, class_="oq-begun"))
    return join(drawn)


def released_head(frame: Frame) -> list[str]:
    """Return the heading of the column of releases, where a chart marks any."""
    return [_("New release")] if frame.begun else []


def released(frame: Frame, since: datetime, before: datetime) -> list[str]:
    """Return the cell of one step in that column."""
    named = ", ".join(one.name for one in frame.begun if since <= one.at < before)
    return [named] if frame.begun else []


def moments(starts: Sequence[datetime], *, is_running: bool) -> SafeString:
    """Return the labels below a plot of equally long steps, at round times of the reader's clock.

    With ``is_running`` the last step is not over, and says so.
    """
    number = len(starts)
    labels = [(number - 1, _("so far"))] if is_running else []
    step = starts[1] - starts[0] if number > 1 else timedelta(days=1)
    each = _apart(step, number)
    for index, start in enumerate(starts):
        local = timezone.localtime(start)
        of_day = timedelta(hours=local.hour, minutes=local.minute)
        if step >= timedelta(days=1) or each < timedelta(days=1):
            count = local.toordinal() if step >= timedelta(days=1) else of_day // step
            is_round = count % (each // step) == 0
        else:
            is_round = of_day < step and local.toordinal() % (each // timedelta(days=1)) == 0
        # The last label has no other beside it.
        if is_round and not (is_running and index > (number - 1) * (1 - 1 / LABELS)):
            is_day = step >= timedelta(days=1) or of_day < step
            labels.append((index, wording.short_day(start) if is_day else wording.clock(start)))
    # Counted from the last one, which stays where every other is left out.
    labels.sort(reverse=True)
    return join(
        label((place + 0.5) * 100 / number, said, order=order) for order, (place, said) in enumerate(labels)
    )


def _apart(step: timedelta, number: int) -> timedelta:
    """Return how far apart labels stand, so that there are at most LABELS."""
    rounds = (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1_440, 2_880, 10_080, 20_160, 43_200)
    for minutes in rounds:
        each = timedelta(minutes=minutes)
        if each >= step and each % step == timedelta(0) and step * number <= each * LABELS:
            return each
    return step * (number // LABELS + 1)


def label(place: float, said: str, *, order: int) -> SafeString:
    """Return a label below the plot, within its ends; every other one is left out where there is little room."""
    anchor = "start" if place < EDGE else "end" if place > 100 - EDGE else "middle"
    x = share({"start": 0.0, "middle": place, "end": 100.0}[anchor])
    css = "oq-label oq-odd" if order % 2 else "oq-label"
    return tag("text", said, x=x, y=ABOVE + HEIGHT + 16, text_anchor=anchor, class_=css)
