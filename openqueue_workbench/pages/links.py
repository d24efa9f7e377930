"""Where exactly the runs are listed that a number counts."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from openqueue.control.series import Numbers
from openqueue.states import Status
from openqueue_workbench.frame.addresses import Addresses

ENDED: Final = (Status.COMPLETED, Status.CANCELLED, Status.EXPIRED, Status.FAILED)
"""As bars stack them from below: what failed is on top, where it is seen."""


def ended(to: Addresses, numbers: Numbers, more: str = "", *, status: str = "") -> str:
    """Return the list of the runs that ended so in a window; ``more``: further terms of the search."""
    wanted = status or ",".join(ENDED)
    search = f"status:{wanted} since:{stamp(numbers.since)} before:{stamp(numbers.before)}"
    return to.runs(q=f"{search} {more}".strip())


def stamp(moment: datetime) -> str:
    """Return a moment as a search says it."""
    return moment.isoformat().replace("+00:00", "Z")
