"""The charts of a queue: what ended, how long it had waited, how much stood there, and since when."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils.translation import gettext as _

from openqueue.control import insight
from openqueue.control.depths import DepthPoint
from openqueue_workbench.drawing import bars, levels, percentiles
from openqueue_workbench.drawing.frame import Frame
from openqueue_workbench.frame.page import Page
from openqueue_workbench.pages import links, periods
from openqueue_workbench.pages.links import ENDED
from openqueue_workbench.pages.metrics import EACH, STEPS


def period_of(page: Page) -> str:
    """Return how far the charts reach back."""
    asked = page.request.GET.get("period", "24h")
    return asked if asked in STEPS else "24h"


def choices(page: Page) -> list[tuple[str, Any, bool]]:
    """Return the periods to choose from."""
    chosen = period_of(page)
    return [(page.address_with(period=name), periods.PERIODS[name][0], name == chosen) for name in STEPS]


def span(page: Page) -> tuple[timedelta, timedelta]:
    """Return how far the charts reach back, and how long each step is."""
    chosen = period_of(page)
    return periods.PERIODS[chosen][1], STEPS[chosen]


def ended(page: Page, queue: str) -> dict[str, Any]:
    """Draw what ended, and how long it had waited."""
    period, step = span(page)
    try:
        series = insight.over_time(period, step=step, task_id=None, queue=queue, caller=page.caller)
    except ValueError as error:
        return {"problem": str(error)}
    whole, points = series.whole, series.points
    drawn = [
        bars.Bar(
            since=point.since,
            before=point.before,
            counts=point.counts,
            url=links.ended(page.to, point, f"queue:{queue}"),
            is_running=point is points[-1],
        )
        for point in points
    ]
    waits = [
        percentiles.Point(
            since=point.since,
            before=point.before,
            p50=point.wait_p50,
            p95=point.wait_p95,
            runs=point.total,
            is_running=point is points[-1],
        )
        for point in points
    ]

    def framed(id: str, title: str) -> Frame:
        return Frame(id=id, title=_titled(page, title), since=whole.since, before=whole.before)

    return {
        "ended": bars.stacked(framed("oq-ended", _("Finished runs")), drawn, order=ENDED),
        "waits": percentiles.lines(framed("oq-waits", _("Wait until started")), waits),
        "stopped": series.stopped,
    }


def depth(page: Page, queue: str) -> dict[str, Any]:
    """Draw how much stood there, and how long its oldest run had waited."""
    period, step = span(page)
    try:
        points = insight.depth_over_time(period, step=step, queue=queue, caller=page.caller).points
    except ValueError as error:
        return {"problem": str(error)}
    since, before = points[0].since, points[-1].before
    drawn = [_level(point, is_last=point is points[-1]) for point in points]

    def framed(id: str, title: str) -> Frame:
        return Frame(id=id, title=_titled(page, title), since=since, before=before)

    return {
        "depth": levels.areas(framed("oq-depth", _("Depth: most at a time")), drawn),
        "oldest": levels.oldest(framed("oq-oldest", _("Oldest wait: longest")), drawn),
        "gaps": any(point.last is None for point in points),
    }


def _titled(page: Page, title: str) -> str:
    return _("%(what)s, %(step)s") % {"what": title, "step": EACH[period_of(page)]}


def _level(point: DepthPoint, *, is_last: bool) -> levels.Level:
    if point.last is None or point.most is None:
        return levels.Level(since=point.since, before=point.before, is_running=is_last)
    return levels.Level(
        since=point.since,
        before=point.before,
        running=point.most.running,
        ready=point.most.ready,
        held=point.most.held,
        delayed=point.most.delayed,
        oldest=point.most.oldest,
        last=point.last.together,
        is_running=is_last,
    )
