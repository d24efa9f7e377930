"""For tests: of projects that use OpenQueue, and of runtimes that carry it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openqueue.testing.case import QueuedRunsMixin
    from openqueue.testing.queued_runs import QueuedRuns
    from openqueue.testing.stage import Execution
    from openqueue.testing.triggered import Triggered

__all__ = ["Execution", "QueuedRuns", "QueuedRunsMixin", "Triggered"]

LATE = {
    "Execution": "stage",
    "QueuedRuns": "queued_runs",
    "QueuedRunsMixin": "case",
    "Triggered": "triggered",
}
"""Names that need Django set up, which pytest does after it has loaded the plugin beside this."""


def __getattr__(name: str) -> Any:
    if name not in LATE:
        raise AttributeError(f"module 'openqueue.testing' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"openqueue.testing.{LATE[name]}"), name)
    return value
