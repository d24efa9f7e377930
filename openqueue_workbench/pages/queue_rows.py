"""Queues as rows of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from openqueue.control import queue_access
from openqueue.control.queues import QueueFacts
from openqueue.control.recent import Recent
from openqueue.control.series import Numbers
from openqueue.control.workers import WorkerFacts
from openqueue.states import Status
from openqueue_workbench.drawing import inline
from openqueue_workbench.pages import links
from openqueue_workbench.pages.queue_states import State, slots_of, state_of

if TYPE_CHECKING:
    from openqueue_workbench.frame.page import Page


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRow:
    """One queue as a row."""

    queue: QueueFacts
    state: State
    slots: SafeString
    last_hour: Numbers | None
    sparkline: SafeString
    address: str
    addresses: dict[str, str]
    """Of the runs behind each number."""
    is_configured: bool

    @property
    def failed(self) -> int:
        """Return how many runs failed in the last hour."""
        return self.last_hour.counts[Status.FAILED] if self.last_hour else 0

    @property
    def ready(self) -> int:
        """Return how many can be started at once."""
        return 0 if self.queue.paused else self.queue.due

    @property
    def held(self) -> int:
        """Return how many are due and kept from starting: by a pause, a limit or an order."""
        return self.queue.waiting + (self.queue.due if self.queue.paused else 0)

    @property
    def is_paused(self) -> bool:
        """Tell whether somebody paused it."""
        return self.queue.paused and self.queue.paused_for is not None


def rows(
    page: Page, queues: Sequence[QueueFacts], fleet: Sequence[WorkerFacts], recent: Recent
) -> list[QueueRow]:
    """Return the queues that the reader sees, as rows; what ended is that of the last hour."""
    known = set(queue_access.names(page.caller))
    return [
        _row(page, queue, slots=slots_of(queue, fleet), recent=recent, is_configured=queue.name in known)
        for queue in queues
        if page.caller.sees(queue.name)
    ]


def _row(page: Page, queue: QueueFacts, *, slots: int, recent: Recent, is_configured: bool) -> QueueRow:
    minutes = recent.minutes_by_queue.get(queue.name, [0] * 60)[-30:]
    here = f"queue:{queue.name}"
    return QueueRow(
        queue=queue,
        state=state_of(queue, slots=slots),
        slots=inline.slots(queue.running, of=max(slots, queue.running)),
        last_hour=recent.by_queue.get(queue.name),
        sparkline=inline.sparkline(
            f"oq-rate-{queue.runtime}-{queue.name}",
            minutes,
            title=_("Finished per minute in %(queue)s, last 30 minutes") % {"queue": queue.name},
            is_running=True,
        ),
        address=page.to.queue(queue.name),
        addresses={
            "due": page.to.runs(q=f"{here} status:{Status.QUEUED}"),
            "later": page.to.runs(q=f"{here} status:{Status.SCHEDULED},{Status.RETRYING}"),
            "running": page.to.runs(q=f"{here} status:{Status.RUNNING}"),
            "failed": links.ended(page.to, recent.hour, here, status=Status.FAILED),
        },
        is_configured=is_configured,
    )
