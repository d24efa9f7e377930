"""Percentiles over time: half of the runs took at most the one line, nearly all of them the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from openqueue_workbench import wording
from openqueue_workbench.drawing import frame as framing
from openqueue_workbench.drawing import scale
from openqueue_workbench.drawing.frame import HEIGHT, WIDE, Frame
from openqueue_workbench.drawing.inline import path
from openqueue_workbench.drawing.markup import join, nothing, table, tag

"""In which lines are drawn before they are stretched to the page's width."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One step."""

    since: datetime
    before: datetime
    p50: float | None
    """Seconds; None: no runs."""
    p95: float | None
    runs: int
    is_running: bool = False
    """It is not over."""


def lines(frame: Frame, points: Sequence[Point]) -> SafeString:
    """Return p50 and p95, oldest first: straight from step to step, with a gap where nothing ran."""
    known = [one for point in points for one in (point.p50, point.p95) if one is not None]
    if not known:
        return nothing(frame.nothing)
    ticks = scale.durations(max(known))
    drawn = []
    for css, values in (
        ("oq-line oq-p95", [point.p95 for point in points]),
        ("oq-line oq-p50", [point.p50 for point in points]),
    ):
        places = [
            None
            if value is None
            else ((index + 0.5) * WIDE / len(points), HEIGHT - value / ticks[-1] * HEIGHT)
            for index, value in enumerate(values)
        ]
        if points[-1].is_running:
            drawn += [path(places[:-1], css=css), path(places[-2:], css=f"{css} oq-running")]
        else:
            drawn.append(path(places, css=css))
    plot = framing.stretched(drawn, said=[_said(point) for point in points])
    heads = [_("From"), _("p50"), _("p95"), _("Runs"), *framing.released_head(frame)]
    rows = [
        (
            _moment(point),
            wording.duration(point.p50),
            wording.duration(point.p95),
            wording.count(point.runs),
            *framing.released(frame, point.since, point.before),
        )
        for point in points
    ]
    starts = [point.since for point in points]
    return framing.figure(
        frame,
        desc=_desc(points, frame),
        plot=join([plot, framing.releases(frame, starts)]),
        ticks=ticks,
        says=wording.tick,
        below=framing.moments(starts, is_running=points[-1].is_running),
        legend=_legend(),
        table=table(f"{frame.title}, {frame.window}", heads, rows),
        is_linked=False,
    )


def _legend() -> SafeString:
    entries = (
        ("oq-line oq-p95", _("p95: 19 of 20 runs took at most this")),
        ("oq-line oq-p50", _("p50: half of the runs took at most this")),
    )
    return tag(
        "ul",
        *(
            tag(
                "li",
                tag("svg", tag("path", d="M1 6H27", class_=css), width=28, height=12, aria_hidden="true"),
                said,
            )
            for css, said in entries
        ),
        class_="oq-legend",
    )


def _moment(point: Point) -> str:
    said = f"{wording.short_day(point.since)} {wording.clock(point.since)}"
    return _("%(moment)s, so far") % {"moment": said} if point.is_running else said


def _said(point: Point) -> str:
    return _("%(moment)s: p50 %(p50)s, p95 %(p95)s (%(runs)s runs)") % {
        "moment": _moment(point),
        "p50": wording.duration(point.p50),
        "p95": wording.duration(point.p95),
        "runs": wording.count(point.runs),
    }


def _desc(points: Sequence[Point], frame: Frame) -> str:
    slowest = max(
        (point for point in points if point.p95 is not None),
        key=lambda point: point.p95 or 0.0,
        default=points[-1],
    )
    return _("%(window)s, %(runs)s runs. Highest: %(said)s.") % {
        "window": frame.window,
        "runs": wording.count(sum(point.runs for point in points)),
        "said": _said(slowest),
    }
