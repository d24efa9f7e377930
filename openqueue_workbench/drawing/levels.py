"""How much stood in a queue over time, as areas one on the other; and how long its oldest run had waited, as a line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Final

from django.utils.functional import Promise
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from openqueue_workbench import wording
from openqueue_workbench.drawing import frame as framing
from openqueue_workbench.drawing import scale
from openqueue_workbench.drawing.frame import HEIGHT, WIDE, Frame
from openqueue_workbench.drawing.inline import path
from openqueue_workbench.drawing.markup import join, nothing, table, tag, text

PARTS: Final[tuple[tuple[str, str, str | Promise, str], ...]] = (
    ("running", "▶", gettext_lazy("Running"), "oq-c-running"),
    ("ready", "○", gettext_lazy("Ready"), "oq-c-queued"),
    ("held", "‖", gettext_lazy("Held"), "oq-c-retrying"),
)
"""From below upwards: what is at work, what could be, what may not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One step, at the moment at which most stood there. All numbers None: nobody counted."""

    since: datetime
    before: datetime
    running: int | None = None
    ready: int | None = None
    held: int | None = None
    delayed: int | None = None
    """Not drawn: it is not due."""
    oldest: float | None = None
    """Seconds: the longest wait of the oldest due run in this step."""
    last: int | None = None
    """Running, ready and held at the end of the step."""
    is_running: bool = False
    """It is not over; its end is now."""

    @property
    def total(self) -> int | None:
        """Running, ready and held together; None: nobody counted."""
        return None if self.ready is None else (self.running or 0) + self.ready + (self.held or 0)


def areas(frame: Frame, levels: Sequence[Level]) -> SafeString:
    """Return what stood there, oldest first: zero is a line on the ground, and a gap is where nobody counted."""
    totals = [level.total for level in levels if level.total is not None]
    if not totals:
        return nothing(frame.nothing)
    ticks = scale.counts(max(totals))
    below = [0] * len(levels)
    drawn = []
    for name, _glyph, _word, css in PARTS:
        above = [under + (getattr(level, name) or 0) for level, under in zip(levels, below, strict=True)]
        drawn.append(_area(levels, below, above, top=ticks[-1], css=f"oq-fill {css}"))
        below = above
    drawn.append(_line(levels, [level.total for level in levels], top=ticks[-1], css="oq-line oq-p50"))
    heads = [
        _("From"),
        *(str(word) for _name, _glyph, word, _css in PARTS),
        _("Together"),
        _("Delayed"),
        _("At the end"),
    ]
    rows = [
        (
            _moment(level),
            *(_number(getattr(level, name)) for name, *_ in PARTS),
            _number(level.total),
            _number(level.delayed),
            _number(level.last),
        )
        for level in levels
    ]
    most = max((level for level in levels if level.total is not None), key=lambda level: level.total or 0)
    desc = _("%(window)s. Most at %(said)s. At the end: %(last)s.") % {
        "window": frame.window, "said": _said(most), "last": _number(levels[-1].last),
    }  # fmt: skip
    legend = tag(
        "ul",
        *(
            tag("li", tag("span", glyph, aria_hidden="true", class_=f"oq-key {css}"), " ", word)
            for _name, glyph, word, css in reversed(PARTS)
        ),
        class_="oq-legend",
    )
    return _figure(frame, levels, drawn, said=_said, ticks=ticks, says=wording.number, desc=desc, legend=legend,
                   numbers=table(f"{frame.title}, {frame.window}", heads, rows))  # fmt: skip


def oldest(frame: Frame, levels: Sequence[Level]) -> SafeString:
    """Return how long the oldest due run had waited, oldest first; zero and gaps as above."""
    known = [level.oldest for level in levels if level.oldest is not None]
    if not known:
        return nothing(frame.nothing)
    ticks = scale.durations(max(known))
    drawn = [_line(levels, [level.oldest for level in levels], top=ticks[-1], css="oq-line oq-p50")]
    longest = max(
        (level for level in levels if level.oldest is not None), key=lambda level: level.oldest or 0.0
    )
    desc = _("%(window)s. Longest at %(said)s.") % {"window": frame.window, "said": _waited(longest)}
    rows = [(_moment(level), wording.duration(level.oldest)) for level in levels]
    numbers = table(f"{frame.title}, {frame.window}", [_("From"), _("Oldest wait")], rows)
    return _figure(frame, levels, drawn, said=_waited, ticks=ticks, says=wording.tick, desc=desc, legend=join([]),
                   numbers=numbers)  # fmt: skip


def _figure(
    frame: Frame,
    levels: Sequence[Level],
    drawn: Sequence[SafeString],
    *,
    said: Callable[[Level], str],
    ticks: Sequence[float],
    says: Callable[[float], str],
    desc: str,
    legend: SafeString,
    numbers: SafeString,
) -> SafeString:
    plot = framing.stretched(drawn, said=[said(level) for level in levels])
    return framing.figure(
        frame,
        desc=desc,
        plot=plot,
        ticks=ticks,
        says=says,
        below=framing.moments([level.since for level in levels], is_running=levels[-1].is_running),
        legend=legend,
        table=numbers,
        is_linked=False,
    )


def _area(
    levels: Sequence[Level], below: Sequence[int], above: Sequence[int], *, top: float, css: str
) -> SafeString:
    """Return one part between what lies under it and over it; the step that runs is paler."""
    each = WIDE / len(levels)
    drawn = []
    for is_gap, some in groupby(range(len(levels)), key=lambda index: levels[index].total is None):
        places = list(some)
        if is_gap:
            continue
        whole, running = places, places[-2:]
        if levels[places[-1]].is_running:
            whole = places[:-1]
            drawn.append(_shape(running, below, above, each=each, top=top, css=css, opacity=0.3))
        drawn.append(_shape(whole, below, above, each=each, top=top, css=css, opacity=0.55))
    return join(drawn)


def _shape(
    places: Sequence[int],
    below: Sequence[int],
    above: Sequence[int],
    *,
    each: float,
    top: float,
    css: str,
    opacity: float,
) -> SafeString:
    if not any(above[place] > below[place] for place in places):
        return join([])
    # One step alone has a width all the same.
    xs = [(place + 0.5) * each for place in places]
    ends = (xs[0] - each / 4, xs[0] + each / 4) if len(places) == 1 else None
    over = [(x, HEIGHT - above[place] / top * HEIGHT) for x, place in zip(xs, places, strict=True)]
    under = [(x, HEIGHT - below[place] / top * HEIGHT) for x, place in zip(xs, places, strict=True)]
    if ends:
        over, under = [(x, over[0][1]) for x in ends], [(x, under[0][1]) for x in ends]
    points = "L".join(f"{text(x)} {text(y)}" for x, y in [*over, *reversed(under)])
    return tag("path", d=f"M{points}z", class_=css, fill_opacity=opacity)


def _line(levels: Sequence[Level], values: Sequence[float | None], *, top: float, css: str) -> SafeString:
    places = [
        None if value is None else ((index + 0.5) * WIDE / len(levels), HEIGHT - value / top * HEIGHT)
        for index, value in enumerate(values)
    ]
    if levels[-1].is_running:
        return join([path(places[:-1], css=css), path(places[-2:], css=f"{css} oq-running")])
    return path(places, css=css)


def _number(value: int | None) -> str:
    return wording.NOTHING if value is None else wording.number(value)


def _moment(level: Level) -> str:
    said = f"{wording.short_day(level.since)} {wording.clock(level.since)}"
    return _("%(moment)s, so far") % {"moment": said} if level.is_running else said


def _said(level: Level) -> str:
    if level.total is None:
        return _("%(moment)s: nobody counted") % {"moment": _moment(level)}
    return _("%(moment)s: %(running)s running, %(ready)s ready, %(held)s held") % {
        "moment": _moment(level),
        "running": _number(level.running),
        "ready": _number(level.ready),
        "held": _number(level.held),
    }


def _waited(level: Level) -> str:
    if level.oldest is None:
        return _("%(moment)s: nobody counted") % {"moment": _moment(level)}
    return _("%(moment)s: %(span)s") % {"moment": _moment(level), "span": wording.duration(level.oldest)}
