"""Workers: who lives, who was lost, and what they are at."""

from __future__ import annotations

from typing import Any

from django.utils.functional import cached_property
from django.utils.translation import gettext as _

import openqueue
from openqueue.control import activity, releases, workers
from openqueue.control.callers import Right
from openqueue.control.workers import ListedWorker
from openqueue_workbench.frame.parts import Part
from openqueue_workbench.pages import pieces, worker_rows
from openqueue_workbench.pages.worker_acts import WorkerActs


class WorkersPage(WorkerActs):
    """All workers that have not signed off."""

    template = "workers.html"
    parts = {"workers": Part(template="parts/worker_table.html", every="tick")}

    def part_workers(self) -> dict[str, Any]:
        """Read every worker, and show some; those that live first."""
        found = sorted(self.fleet(), key=lambda one: not one.is_alive)
        newest = releases.newest(found)
        piece = pieces.cut(self, found, name=lambda one: str(one.id))
        alive = [one for one in found if one.is_alive]
        return {
            "lines": [worker_rows.row(self, one, newest=newest) for one in piece.rows],
            **piece.context(),
            "alive": len(alive),
            "lost": len(found) - len(alive),
            "busy": sum(one.claims for one in alive),
            "slots": sum(one.slots for one in alive),
            "others": sum(worker_rows.is_other_version(one) for one in found),
            "here": openqueue.__version__,
            "behind": sum(worker_rows.is_other_release(one, newest) for one in found),
            "is_full": len(found) >= workers.MOST,
            "most": workers.MOST,
            "sees_queues": self.caller.may(Right.QUEUES),
        }


class WorkerPage(WorkerActs):
    """One worker."""

    template = "worker.html"
    parts = {
        "worker": Part(template="parts/worker.html", every="tick"),
        "memory": Part(template="parts/worker_memory.html", every="slow"),
        "history": Part(template="parts/queue_history.html", every="slow"),
    }

    @cached_property
    def its_id(self) -> str:
        """Return which."""
        return str(self.kwargs["worker"])

    @cached_property
    def those(self) -> list[ListedWorker]:
        """Return the workers as they are, after an act where there was one."""
        return self.fleet()

    @cached_property
    def worker(self) -> ListedWorker:
        """Return it among them."""
        return self.found(self.its_id, among=self.those)

    @cached_property
    def name(self) -> str:
        """Return what it is called."""
        return worker_rows.name_of(self.worker)

    def title(self) -> str:
        """Return the heading."""
        return _("Worker %(name)s") % {"name": self.name}

    def trail(self) -> list[tuple[str, str]]:
        """Lead to all workers."""
        return [(self.to.of("worker"), str(self.where.title))]

    def part_worker(self) -> dict[str, Any]:
        """Read it with what it runs."""
        newest = releases.newest(self.those)
        line = worker_rows.row(self, self.worker, newest=newest, shown=workers.MOST_BODIES)
        return {
            "line": line,
            "one": line.worker,
            "here": openqueue.__version__,
            "sees_runs": self.caller.may(Right.READ),
            "sees_queues": self.caller.may(Right.QUEUES),
        }

    def part_memory(self) -> dict[str, Any]:
        """Read how much memory it took in its last hour."""
        return {"drawn": worker_rows.memory(workers.memories(self.worker.id), now=self.clock)}

    def part_history(self) -> dict[str, Any]:
        """Read what operators asked of it."""
        if not self.caller.may(Right.AUDIT):
            return {"hidden": True}
        found = activity.find(object=f"worker {self.its_id}", limit=10)
        return {"entries": found.entries, "address": self.to.of("activity", object=f"worker {self.its_id}")}
