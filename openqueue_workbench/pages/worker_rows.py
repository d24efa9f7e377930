"""Workers as rows of a table, and how each stands in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from django.template.defaultfilters import filesizeformat
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

import openqueue
from openqueue.conf import config
from openqueue.control import workers
from openqueue.control.callers import Right
from openqueue.control.workers import ListedWorker, WorkerFacts
from openqueue_workbench import wording
from openqueue_workbench.drawing import inline
from openqueue_workbench.drawing.markup import join, table, tag
from openqueue_workbench.wording import Mark

if TYPE_CHECKING:
    from openqueue_workbench.frame.page import Page

MINUTES: Final = 60
"""Of its memory that are drawn."""
SHOWN: Final = 3
"""Current runs of a worker that its row names."""
MARKS: Final = {
    workers.RUNNING: ("▶", gettext_lazy("Active"), "oq-c-completed"),
    workers.QUIET: ("‖", gettext_lazy("Quiet"), "oq-c-retrying"),
    workers.STOPPING: ("⊖", gettext_lazy("Stopping"), "oq-c-cancelled"),
    workers.LATE: ("†", gettext_lazy("Lost"), "oq-c-failed"),
    workers.LOST: ("†", gettext_lazy("Lost"), "oq-c-dead"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRow:
    """One worker as a row."""

    worker: ListedWorker
    name: str
    mark: Mark
    detail: str
    """More of how it stands: who wanted what of it, or when its runs return."""
    slots: SafeString
    bodies: Sequence[dict[str, Any]]
    """Empty: the reader may not see runs."""
    more: int
    """Runs that it holds beside those."""
    is_other_version: bool
    is_other_release: bool
    newest: str
    """The newest release of the workers in its language."""
    why_not: str
    """Why nothing can be asked of it; empty: something can."""
    why_not_stop: str
    is_quiet: bool
    """It was asked to be quiet, whether or not it has heard."""
    address: str


def row(page: Page, worker: ListedWorker, *, newest: Mapping[str, str], shown: int = SHOWN) -> WorkerRow:
    """Return a worker as a row; ``newest``: the fleet's release by language; ``shown``: how many runs are named."""
    bodies = worker.bodies[:shown] if page.caller.may(Right.READ) else ()
    is_stopping = worker.command == workers.STOP_COMMAND or worker.state == workers.STOPPING
    return WorkerRow(
        worker=worker,
        name=name_of(worker),
        mark=_mark(worker),
        detail=_detail(worker),
        slots=inline.slots(worker.claims, of=max(worker.slots, worker.claims)),
        bodies=[{"body": body, "address": page.to.run(body.run_id)} for body in bodies],
        more=worker.claims - len(bodies),
        is_other_version=is_other_version(worker),
        is_other_release=is_other_release(worker, newest),
        newest=newest.get(worker.language, ""),
        why_not="" if worker.is_alive else _("It is lost: nobody is there who could hear."),
        why_not_stop=_("It is stopping already.") if is_stopping and worker.is_alive else "",
        is_quiet=worker.command == workers.QUIET_COMMAND,
        address=page.to.of("worker_change", worker.id),
    )


def memory(told: Sequence[tuple[datetime, int]], *, now: datetime) -> SafeString:
    """Draw the last hour of what a worker told of its memory: a line, and the numbers behind it; nothing of nothing."""
    minutes = [
        now.replace(second=0, microsecond=0) - timedelta(minutes=ago) for ago in reversed(range(MINUTES))
    ]
    known = dict(told)
    values = [known.get(minute) for minute in minutes]
    there = [value for value in values if value is not None]
    if not there:
        return join([])
    window = wording.window(minutes[0], minutes[-1] + timedelta(minutes=1))
    title = _("Memory, most in each minute, %(window)s") % {"window": window}
    said = _("%(low)s to %(high)s, %(window)s") % {
        "low": filesizeformat(min(there)), "high": filesizeformat(max(there)), "window": window,
    }  # fmt: skip
    rows = [
        (wording.clock(minute), wording.NOTHING if value is None else filesizeformat(value))
        for minute, value in zip(minutes, values, strict=True)
    ]
    line = inline.sparkline("oq-memory", values, title=title, says=filesizeformat)
    return tag(
        "div",
        line,
        tag("p", said, class_="oq-under"),
        table(title, [_("Minute"), _("Memory")], rows),
        class_="oq-draw",
    )


def name_of(worker: WorkerFacts) -> str:
    """Return what a worker is called."""
    return f"{worker.host}:{worker.pid}"


def is_other_version(worker: WorkerFacts) -> bool:
    """Tell whether it is of another release than this process; workers in other languages have their own."""
    return worker.is_alive and worker.language == "python" and worker.version != openqueue.__version__


def is_other_release(worker: WorkerFacts, newest: Mapping[str, str]) -> bool:
    """Tell whether it is of another release of the project than the newest of its language."""
    wanted = newest.get(worker.language, "")
    return worker.is_alive and bool(wanted) and worker.release != wanted


def _mark(worker: WorkerFacts) -> Mark:
    state = worker.state
    if state == workers.RUNNING and worker.command:  # it was told, and hears of it within a second
        state = workers.QUIET if worker.command == workers.QUIET_COMMAND else workers.STOPPING
    glyph, word, css = MARKS.get(state, ("?", state.capitalize(), "oq-c-queued"))
    return Mark(glyph=glyph, word=str(word), css=css)


def _detail(worker: WorkerFacts) -> str:
    if not worker.is_alive:
        return _lost(worker)
    said = []
    if worker.command and worker.command_by:
        ago = "" if worker.command_age is None else wording.span(worker.command_age)
        said.append(_("by %(who)s, %(span)s ago") % {"who": worker.command_by, "span": ago})
    if worker.heartbeat_age > 2 * config.heartbeat.total_seconds() and worker.claims:
        said.append(_silent(worker))
    if worker.lag:
        said.append(_("overloaded: starts %(span)s late") % {"span": wording.duration(worker.lag)})
    return "; ".join(said)


def _silent(worker: WorkerFacts) -> str:
    return ngettext(
        "no heartbeat for %(age)s: without one its run returns to its queue in %(left)s",
        "no heartbeat for %(age)s: without one its %(count)s runs return to their queues in %(left)s",
        worker.claims,
    ) % {
        "age": wording.span(worker.heartbeat_age),
        "left": wording.span(worker.lease_left),
        "count": wording.number(worker.claims),
    }


def _lost(worker: WorkerFacts) -> str:
    since = wording.span(-worker.lease_left)
    if not worker.claims:
        return _("%(since)s ago; it holds no runs") % {"since": since}
    return ngettext(
        "%(since)s ago with %(count)s run; it returns to its queue within %(reap)s",
        "%(since)s ago with %(count)s runs; they return to their queues within %(reap)s",
        worker.claims,
    ) % {
        "since": since,
        "count": wording.number(worker.claims),
        "reap": wording.span(config.reap_every.total_seconds() * 1.1),
    }
