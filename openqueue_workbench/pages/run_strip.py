"""How runs ended over the chosen period, as bars that each lead to what they count."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from openqueue.control import insight
from openqueue.control.callers import Caller
from openqueue.states import Status
from openqueue_workbench import wording
from openqueue_workbench.drawing.activity import strip
from openqueue_workbench.drawing.bars import Bar
from openqueue_workbench.drawing.frame import Frame
from openqueue_workbench.frame.addresses import Addresses
from openqueue_workbench.pages.run_filter import Filter

BARS: Final = 60
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
STEPS: Final = {
    "15m": (timedelta(minutes=15), MINUTE),
    "1h": (HOUR, MINUTE),
    "24h": (DAY, timedelta(minutes=24)),
    "7d": (7 * DAY, 3 * HOUR),
    "all": (30 * DAY, DAY),
}
"""How far back the bars go, and how long each is: whole minutes, for a week whole hours, beyond it whole days of UTC:
the coarser the bars, the coarser the roll-ups that are read, and the longer these are kept."""
ORDER: Final = (Status.COMPLETED, Status.CANCELLED, Status.EXPIRED, Status.FAILED)


def drawn(wanted: Filter, *, caller: Caller, to: Addresses, now: datetime) -> SafeString:
    """Return the bars: of the chosen queue and task, whatever else is searched for.

    A period of its own has those of the last day: they lead to another.
    """
    length, step = STEPS.get(wanted.chosen, STEPS["24h"])
    found = insight.over_time(
        length,
        step=step,
        task_id=wanted.task or None,
        queue=wanted.queue or None,
        caller=caller,
        counts_only=True,
    )
    bars = [
        Bar(
            since=point.since,
            before=point.before,
            counts=point.counts,
            url=to.runs(
                **wanted.query(
                    period="own", since=point.since.isoformat(), before=(point.since + step).isoformat()
                )
            ),
            is_running=point is found.points[-1],
        )
        for point in found.points[-BARS - 1 :]
    ]
    title = _("Ended runs, by %(span)s") % {"span": wording.span(step.total_seconds())}
    frame = Frame(id="oq-activity", title=title, since=bars[0].since, before=now)
    return strip(frame, bars, order=ORDER)
