"""The overview: is it working, what is stuck, since when, why, and what may be pressed."""

from __future__ import annotations

from typing import Any, Final

from django.utils.functional import cached_property
from django.utils.translation import gettext as _

from openqueue.control import recent, standing
from openqueue.control.callers import Right
from openqueue.control.queues import QueueFacts
from openqueue.control.recent import Recent
from openqueue.control.standing import Standing
from openqueue.states import Status
from openqueue_workbench import wording
from openqueue_workbench.drawing import bars, inline
from openqueue_workbench.drawing.frame import Frame
from openqueue_workbench.frame.parts import Part
from openqueue_workbench.pages import attention, links, queue_rows
from openqueue_workbench.pages.links import ENDED
from openqueue_workbench.pages.queue_acts import QueueActs

SHOWN: Final = 20
"""Queues; the others are on their own page."""


class OverviewPage(QueueActs):
    """The first page."""

    place = "overview"
    template = "overview.html"
    parts = {
        "cards": Part(template="parts/cards.html", every="tick"),
        "attention": Part(template="parts/attention.html", every="tick"),
        "chart": Part(template="parts/chart.html", every="slow"),
        "queues": Part(template="parts/queue_table.html", every="tick"),
    }

    @cached_property
    def standing(self) -> Standing:
        """Return how everything stands, read once."""
        return standing.read()

    @cached_property
    def recent(self) -> Recent:
        """Return what ended of late, read once."""
        return recent.read(now=self.standing.at, marks=self.standing.marks, queues=self.caller.queues)

    def part_cards(self) -> dict[str, Any]:
        """Read the numbers that come first."""
        hour = self.recent.hour
        minutes = [point.total for point in self.recent.minutes[-30:]]
        oldest = self.standing.oldest
        alive = sum(worker.is_alive for worker in self.standing.workers)
        return {
            "rate": wording.number(sum(minutes[:-1]) / (len(minutes) - 1), decimals=1),
            "sparkline": inline.sparkline(
                "oq-rate", minutes, title=_("Finished per minute, last 30 minutes"), is_running=True
            ),
            "failed": wording.percent(hour.counts[Status.FAILED], hour.total),
            "failed_base": wording.number(hour.counts[Status.FAILED]),
            "hour": hour,
            "failed_address": links.ended(self.to, hour, status=Status.FAILED),
            "running": self.standing.running,
            "running_address": self.to.runs(q=f"status:{Status.RUNNING}"),
            "slots": self.standing.slots,
            "workers": alive,
            "workers_address": self.to.of("worker") if self.caller.may(Right.FLEET) else "",
            "oldest": oldest,
            "oldest_address": self.to.queue(oldest.name) if oldest and self.caller.may(Right.QUEUES) else "",
            "dead": self.standing.dead,
            "dead_today": self.standing.dead_today,
            "dead_address": self.to.of("deadletter"),
            "counted_to": standing.COUNTED,
            "stopped": self.recent.stopped,
        }

    def part_attention(self) -> dict[str, Any]:
        """Read what needs attention."""
        rising = self.standing.rising if self.caller.may(Right.ERRORS) else []
        lines = attention.concerns(self, self.standing, rising)
        return {"lines": lines[: attention.SHOWN], "more": lines[attention.SHOWN :], "at": self.standing.at}

    def part_chart(self) -> dict[str, Any]:
        """Draw the last day."""
        hours = self.recent.hours
        frame = Frame(
            id="oq-day",
            title=_("Finished per hour, last 24 hours"),
            since=hours[0].since,
            before=hours[-1].before,
            empty=_("Nothing has ended in the last 24 hours."),
        )
        drawn = [
            bars.Bar(
                since=point.since,
                before=point.before,
                counts=point.counts,
                url=links.ended(self.to, point),
                is_running=point is hours[-1],
            )
            for point in hours
        ]
        return {
            "chart": bars.stacked(frame, drawn, order=ENDED),
            "heading": frame.title,
            "has_runs": self.has_runs,
        }

    def part_queues(self) -> dict[str, Any]:
        """Read the queues."""
        if not self.caller.may(Right.QUEUES):
            return {"lines": []}
        seen = [queue for queue in self.standing.queues if self.caller.sees(queue.name)]
        # Of many those in which something waits for longest; where they stand does not change with it.
        first = sorted(seen, key=_waits, reverse=True)[:SHOWN]
        shown = [queue for queue in seen if queue in first] if len(seen) > SHOWN else seen
        more = len(seen) - len(shown)
        return {
            "lines": queue_rows.rows(self, shown, self.standing.workers, self.recent),
            "heading": _("Queues"),
            "is_short": True,
            "all_address": self.to.of("queue") if more else "",
            "all_name": _("All %(number)s queues") % {"number": wording.number(len(seen))},
        }

    @property
    def has_runs(self) -> bool:
        """Tell whether anything ever came, as far as this page knows."""
        return any(point.total for point in self.recent.hours) or any(
            queue.due or queue.later or queue.running for queue in self.standing.queues
        )


def _waits(queue: QueueFacts) -> tuple[float, int, int]:
    """Return how much a queue has that somebody waits for."""
    return queue.oldest_due or 0.0, queue.due, queue.running
