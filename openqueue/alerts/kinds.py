"""The kinds of rules: what each looks at, in which unit, and what it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

FAILURE_RATE, FAILURES, ERROR_NEW, ERROR_RISING = "failure_rate", "failures", "error_new", "error_rising"
BACKLOG_AGE, BACKLOG_SIZE, NO_WORKER, OUTBOX_LAG = "backlog_age", "backlog_size", "no_worker", "outbox_lag"
SCHEDULE_LATE, RUNTIME_DOWN = "schedule_late", "runtime_down"
SEVERITIES: Final = ("critical", "warning", "info")
WINDOWS: Final = (60, 300, 900, 1_800, 3_600, 21_600, 86_400)
"""Seconds that a rule may count over. So few, that one statement counts over all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of rules."""

    name: str
    says: str
    unit: str
    """Of the threshold: %, runs, seconds; empty: it has none."""
    threshold: float
    """Unless the rule says otherwise."""
    most: float = 10_000_000.0
    window: int = 300
    """Seconds, unless the rule says otherwise."""
    subject: str = "queue"
    """What it opens one alert for each of: queue, task, error, runtime, schedule."""
    options: frozenset[str] = frozenset()
    """Of window, least, factor, queues and tasks, those that it heeds."""
    tells_end: bool = True


KINDS: Final[Mapping[str, Kind]] = {
    kind.name: kind
    for kind in (
        Kind(
            name=FAILURE_RATE,
            says="Of the runs of a task that completed or failed within the window, so many failed.",
            unit="%",
            threshold=10.0,
            most=100.0,
            subject="task",
            options=frozenset({"window", "least", "queues", "tasks"}),
        ),
        Kind(
            name=FAILURES,
            says="So many runs of a task failed for good within the window.",
            unit="runs",
            threshold=1.0,
            subject="task",
            options=frozenset({"window", "queues", "tasks"}),
        ),
        Kind(
            name=ERROR_NEW,
            says="An error appeared within the window that was never seen before, or that returned after it was "
            "resolved.",
            unit="",
            threshold=0.0,
            window=3_600,  # what appeared while nobody looked for longer is told of by no rule
            subject="error",
            options=frozenset({"window", "tasks"}),
            tells_end=False,
        ),
        Kind(
            name=ERROR_RISING,
            says="An error came so many times within the window, and `factor` times as often as in the window before.",
            unit="runs",
            threshold=10.0,
            subject="error",
            options=frozenset({"window", "factor", "tasks"}),
        ),
        Kind(
            name=BACKLOG_AGE,
            says="The oldest due run of a queue has waited so long. Paused queues are left out.",
            unit="seconds",
            threshold=300.0,
            options=frozenset({"queues"}),
        ),
        Kind(
            name=BACKLOG_SIZE,
            says="So many runs of a queue are due. Paused queues are left out.",
            unit="runs",
            threshold=1_000.0,
            options=frozenset({"queues"}),
        ),
        Kind(
            name=NO_WORKER,
            says="No live worker serves a queue whose oldest due run has waited so long.",
            unit="seconds",
            threshold=30.0,
            options=frozenset({"queues"}),
        ),
        Kind(
            name=OUTBOX_LAG,
            says="A broker was not told of a run that has been due for so long.",
            unit="seconds",
            threshold=60.0,
            subject="runtime",
            options=frozenset({"queues"}),
        ),
        Kind(
            name=SCHEDULE_LATE,
            says="A schedule has been due for so long, and no run was made.",
            unit="seconds",
            threshold=60.0,
            subject="schedule",
            options=frozenset({"tasks"}),
        ),
        Kind(
            name=RUNTIME_DOWN,
            says="A runtime does not answer.",
            unit="",
            threshold=0.0,
            subject="runtime",
        ),
    )
}


def is_system(queue: str) -> bool:
    """Tell the queues of OpenQueue's own work: what becomes of it raises no alert, or an alert could raise the next."""
    return queue == "openqueue" or queue.startswith("openqueue-")
