"""What the search box offers while somebody types, without asking the server."""

from __future__ import annotations

import time
from typing import Final

from openqueue import registry
from openqueue.control import insight, queue_access
from openqueue.control.callers import Caller, Right
from openqueue.control.search import KNOWN, Term, written
from openqueue.states import Status

KEPT: Final = 300.0
"""Seconds for which the classes of errors are not asked for again."""
MOST_ERRORS: Final = 50
_errors: tuple[float, tuple[str, ...]] = (0.0, ())


def of(caller: Caller) -> list[str]:
    """Return fields, and values of fields that are known without asking the database."""
    found = [f"{name}:" for name in KNOWN if "<" not in name]
    found += [f"status:{status.value}" for status in Status]
    found += [written([Term("queue", (name,))]) for name in queue_access.names(caller)]
    tasks = registry.every()
    found += [written([Term("task", (task.id.rpartition(".")[2],))]) for task in tasks]
    found += [
        written([Term("tag", (tag,))]) for tag in sorted({tag for task in tasks for tag in task.options.tags})
    ]
    if _sees(caller):
        found += [written([Term("error", (kind,))]) for kind in _errors[1]]
    return found


def refresh(caller: Caller) -> None:
    """Ask for the classes of the errors that came last, unless that was done minutes ago."""
    global _errors  # one value for the process
    if _sees(caller) and (time.monotonic() - _errors[0] > KEPT or not _errors[1]):
        groups = insight.groups(state=None, task_id=None, limit=MOST_ERRORS, caller=caller).errors
        _errors = time.monotonic(), tuple(dict.fromkeys(group.type for group in groups))


def _sees(caller: Caller) -> bool:
    return caller.may(Right.ERRORS) and caller.may(Right.DATA)
