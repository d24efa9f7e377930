"""Queues: what waits in each, since when, and who works on it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from django.utils.functional import cached_property
from django.utils.translation import gettext as _

from openqueue.control import activity, insight, queue_access, recent, standing
from openqueue.control.callers import Right
from openqueue.control.queues import QueueFacts
from openqueue.control.recent import Recent
from openqueue.control.standing import Standing
from openqueue.errors import UnclearQueue
from openqueue.states import Status
from openqueue_workbench import wording
from openqueue_workbench.frame.parts import Part
from openqueue_workbench.pages import broker_rows, pieces, queue_charts, queue_rows
from openqueue_workbench.pages.queue_acts import QueueActs

DAY: Final = timedelta(days=1)
TOP: Final = 10


class QueueNumbers(QueueActs):
    """What the pages of queues read, once for a request."""

    place = "queue"

    @cached_property
    def standing(self) -> Standing:
        """Return how everything stands."""
        return standing.read()

    @cached_property
    def recent(self) -> Recent:
        """Return what ended of late."""
        return recent.read(now=self.standing.at, marks=self.standing.marks, queues=self.caller.queues)


class QueuesPage(QueueNumbers):
    """All queues."""

    template = "queues.html"
    parts = {
        "queues": Part(template="parts/queue_table.html", every="tick"),
        "brokers": Part(template="parts/broker_queues.html", every="slow", late=True),
    }

    def context(self) -> dict[str, Any]:
        """Say whether there are brokers to ask."""
        return {"has_brokers": broker_rows.are_any(self.standing.queues)}

    def part_queues(self) -> dict[str, Any]:
        """Read every queue, and show some."""
        found = self.standing
        seen = [queue for queue in found.queues if self.caller.sees(queue.name)]
        piece = pieces.cut(self, seen, name=lambda queue: f"{queue.runtime} {queue.name}")
        return {"lines": queue_rows.rows(self, piece.rows, found.workers, self.recent), **piece.context()}

    def part_brokers(self) -> dict[str, Any]:
        """Ask the brokers of the queues that the reader sees."""
        return broker_rows.table(self, [one for one in self.standing.queues if self.caller.sees(one.name)])


class QueuePage(QueueNumbers):
    """One queue."""

    template = "queue.html"
    parts = {
        "queue": Part(template="parts/queue_table.html", every="tick"),
        "tasks": Part(template="parts/queue_tasks.html", every="slow", late=True),
        "brokers": Part(template="parts/broker_queues.html", every="slow", late=True),
        "charts": Part(template="parts/queue_charts.html", every="slow", late=True),
        "depth": Part(template="parts/queue_depth.html", every="slow", late=True),
        "workers": Part(template="parts/queue_workers.html", every="tick"),
        "history": Part(template="parts/queue_history.html", every="slow"),
    }

    @property
    def name(self) -> str:
        """Return which."""
        return queue_access.checked(str(self.kwargs["name"]), caller=self.caller)

    def title(self) -> str:
        """Return the heading."""
        return _("Queue %(name)s") % {"name": self.name}

    def trail(self) -> list[tuple[str, str]]:
        """Lead to all queues."""
        return [(self.to.of("queue"), str(self.where.title))]

    def context(self) -> dict[str, Any]:
        """Say where its runs are, whether there is a broker to ask, and offer the periods of its charts."""
        return {
            "runs_address": self.to.runs(q=f"queue:{self.name}") if self.caller.may(Right.READ) else "",
            "has_brokers": broker_rows.are_any(self.mine),
            "choices": queue_charts.choices(self),
        }

    @cached_property
    def mine(self) -> list[QueueFacts]:
        """Return the queue, on each runtime that holds runs of it.

        Raises:
            UnclearQueue: nothing names it, and it holds no runs.
        """
        found = [queue for queue in self.standing.queues if queue.name == self.name]
        if not found:
            raise UnclearQueue(
                _("Nothing names a queue %(name)s, and it holds no runs.") % {"name": self.name}
            )
        return found

    def part_queue(self) -> dict[str, Any]:
        """Read it."""
        return {"lines": queue_rows.rows(self, self.mine, self.standing.workers, self.recent)}

    def part_brokers(self) -> dict[str, Any]:
        """Ask its broker, and show each partition of its log where it has one."""
        return broker_rows.table(self, self.mine) | {"is_one": True}

    def part_workers(self) -> dict[str, Any]:
        """Read who serves it."""
        if not self.caller.may(Right.FLEET):
            return {"hidden": True}
        serving = [
            worker
            for worker in self.standing.workers
            if any(worker.serves(queue.name, runtime=queue.runtime) for queue in self.mine)
        ]
        return {"workers": serving, "at": self.standing.at, "address": self.to.of("worker")}

    def part_tasks(self) -> dict[str, Any]:
        """Read which tasks it is busy with, by number and by time."""
        found = insight.by_task(DAY, queue=self.name, caller=self.caller).numbers
        tasks = sorted(found.items(), key=lambda one: -one[1].run_seconds)
        whole = sum(numbers.run_seconds for _task, numbers in tasks) or 1.0
        return {
            "tasks": [
                {
                    "id": task,
                    "numbers": numbers,
                    "share": wording.percent(numbers.run_seconds, whole),
                    "failed": wording.share(numbers.counts[Status.FAILED], numbers.total),
                    "address": self.to.runs(q=f"queue:{self.name} task:{task}", period="24h"),
                }
                for task, numbers in tasks[:TOP]
            ],
            "more": len(tasks) - TOP,
        }

    def part_charts(self) -> dict[str, Any]:
        """Draw what ended, and how long it had waited."""
        return queue_charts.ended(self, self.name)

    def part_depth(self) -> dict[str, Any]:
        """Draw how much stood here, and how long the oldest run had waited."""
        return queue_charts.depth(self, self.name)

    def part_history(self) -> dict[str, Any]:
        """Read what operators did to it."""
        if not self.caller.may(Right.AUDIT):
            return {"hidden": True}
        found = activity.find(object=f"queue {self.name}", limit=10)
        return {"entries": found.entries, "address": self.to.of("activity", object=f"queue {self.name}")}
