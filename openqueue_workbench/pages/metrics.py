"""Metrics: how many runs ended how, how long they waited and how long they took; by task."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from django.utils.functional import cached_property
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from openqueue.control import insight, releases, series
from openqueue.control.search import Term, written
from openqueue.control.series import Breakdown, Numbers
from openqueue.wording import in_language
from openqueue_workbench import wording
from openqueue_workbench.drawing import bars, histogram, percentiles
from openqueue_workbench.drawing.bars import Bar
from openqueue_workbench.drawing.frame import Frame
from openqueue_workbench.drawing.percentiles import Point
from openqueue_workbench.frame.page import Page
from openqueue_workbench.frame.parts import Part
from openqueue_workbench.pages import error_chart, links, periods, pieces
from openqueue_workbench.pages.links import ENDED

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
STEPS: Final = {"1h": timedelta(minutes=2), "24h": HOUR, "7d": DAY, "30d": DAY}
"""How long a bar is, by the period. A week of hundreds of tasks by the hour is tens of thousands of rows: by the day it
is read at once."""
EACH: Final = {
    "1h": gettext_lazy("every 2 minutes"),
    "24h": gettext_lazy("every hour"),
    "7d": gettext_lazy("every day"),
    "30d": gettext_lazy("every day"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One task as a row."""

    task_id: str
    numbers: Numbers
    address: str
    runs: str
    """Where its runs are listed."""
    failures: str
    failed: str
    share: str
    """Of the time that all runs took."""
    percent: float


class MetricsPage(Page):
    """All tasks."""

    place = "metrics"
    template = "metrics.html"
    parts = {"numbers": Part(template="parts/metrics.html", every="slow")}
    task: str | None = None

    @property
    def period(self) -> str:
        """Return how far it reaches back."""
        asked = self.request.GET.get("period", "24h")
        return asked if asked in STEPS else "24h"

    @cached_property
    def breakdown(self) -> Breakdown | str:
        """Read all numbers, once; why not, where roll-ups so fine are not kept for so long."""
        try:
            return insight.breakdown(
                periods.PERIODS[self.period][1],
                step=STEPS[self.period],
                task_id=self.task,
                caller=self.caller,
            )
        except ValueError as error:
            return in_language(error)

    def context(self) -> dict[str, Any]:
        """Return the choice of a period."""
        return {
            "choices": [
                (self.address_with(period=name), periods.PERIODS[name][0], name == self.period)
                for name in STEPS
            ]
        }

    def part_numbers(self) -> dict[str, Any]:
        """Draw everything, from one reading."""
        found = self.breakdown
        if isinstance(found, str):
            return {"problem": found}
        whole = found.series.whole
        return {
            "window": wording.window(whole.since, whole.before),
            "whole": whole,
            "stopped": found.series.stopped,
            **self.charts(found),
            **self.lines(found),
        }

    def charts(self, found: Breakdown) -> dict[str, SafeString]:
        """Draw how many ended, how long they waited and how long they took."""
        whole, points = found.series.whole, found.series.points
        more = _term(self.task) if self.task else ""
        begun = error_chart.begun(releases.within(whole.since, whole.before))

        def framed(id: str, title: str) -> Frame:
            title = _("%(what)s, %(step)s") % {"what": title, "step": EACH[self.period]}
            return Frame(id=id, title=title, since=whole.since, before=whole.before, begun=begun)

        ended = [
            Bar(
                since=point.since,
                before=point.before,
                counts=point.counts,
                url=links.ended(self.to, point, more),
                is_running=point is points[-1],
            )
            for point in points
        ]
        waits = [_point(one, one.wait_p50, one.wait_p95, is_last=one is points[-1]) for one in points]
        times = [_point(one, one.time_p50, one.time_p95, is_last=one is points[-1]) for one in points]
        return {
            "ended": bars.stacked(framed("oq-ended", _("Finished runs")), ended, order=ENDED),
            "waits": percentiles.lines(framed("oq-waits", _("Wait until started")), waits),
            "times": percentiles.lines(framed("oq-times", _("Time that runs took")), times),
        }

    def lines(self, found: Breakdown) -> dict[str, Any]:
        """Return some of the tasks, those that took most time first."""
        spent = sum(numbers.run_seconds for numbers in found.tasks.values())
        ended = [one for one in found.tasks.items() if one[1].total]
        ended.sort(key=lambda one: (-one[1].run_seconds, -one[1].total, one[0]))
        piece = pieces.cut(self, ended, name=lambda one: one[0])
        lines = [
            Line(
                task_id=task,
                numbers=numbers,
                address=self.to.of("metrics_change", task, period=self.period),
                runs=links.ended(self.to, numbers, _term(task)),
                failures=links.ended(self.to, numbers, _term(task), status="failed"),
                failed=wording.share(numbers.counts["failed"], numbers.total),
                share=wording.percent(numbers.run_seconds, spent),
                percent=100 * numbers.run_seconds / spent if spent else 0.0,
            )
            for task, numbers in piece.rows
        ]
        return {"lines": lines, **piece.context()}


class TaskMetricsPage(MetricsPage):
    """One task."""

    template = "task_metrics.html"
    parts = {"numbers": Part(template="parts/task_metrics.html", every="slow")}

    @property
    def task(self) -> str:  # type: ignore[override]  # of this page it is always one
        """Return which."""
        return str(self.kwargs["task"])

    def title(self) -> str:
        """Return its id."""
        return self.task

    def trail(self) -> list[tuple[str, str]]:
        """Lead to all tasks."""
        return [(self.to.of("metrics", period=self.period), str(self.where.title))]

    def part_numbers(self) -> dict[str, Any]:
        """Draw its numbers, and how its times are spread."""
        found = self.breakdown
        shown = super().part_numbers()
        if isinstance(found, str):
            return shown
        whole = found.series.whole
        frame = Frame(id="oq-spread", title=_("How long runs took"), since=whole.since, before=whole.before)
        more = _term(self.task)
        return {
            **shown,
            "spread": histogram.drawn(frame, histogram.bins(found.times, upto=series.upto)),
            "runs": links.ended(self.to, whole, more),
            "failures": links.ended(self.to, whole, more, status="failed"),
            "failed": wording.share(whole.counts["failed"], whole.total),
        }


def _point(numbers: Numbers, p50: float | None, p95: float | None, *, is_last: bool) -> Point:
    return Point(
        since=numbers.since, before=numbers.before, p50=p50, p95=p95, runs=numbers.total, is_running=is_last
    )


def _term(task: str) -> str:
    return written([Term("task", (task,))])
