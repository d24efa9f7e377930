"""The tasks of this process, by id."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, Protocol

from openqueue.errors import DuplicateTask, UnknownTask


class Registered(Protocol):
    """What the registry asks of a task."""

    @property
    def id(self) -> str: ...

    @property
    def function(self) -> Any: ...


_declared: dict[tuple[str, str, str | None], Registered] = {}
_by_id: dict[str, Registered] = {}
_indexed = 0
_lock = threading.Lock()


def add(task: Registered, *, given_id: str | None) -> None:
    """Register a task. The same function declared again (a module loaded twice) takes the place of its former self."""
    global _indexed
    with _lock:
        _declared[task.function.__module__, task.function.__qualname__, given_id] = task
        _indexed = 0


def remove(task: Registered) -> None:
    """Forget a task (tests that declare their own)."""
    global _indexed
    with _lock:
        for key in [key for key, value in _declared.items() if value is task]:
            del _declared[key]
        _indexed = 0


def index() -> dict[str, Registered]:
    """Return all tasks by id; ids are resolved here, when the apps are ready."""
    global _by_id, _indexed
    if _indexed != len(_declared) or not _declared:
        with _lock:
            found: dict[str, Registered] = {}
            for task in _declared.values():
                if task.id in found:
                    raise DuplicateTask(
                        f"{task.id}: {task.function} and {found[task.id].function}. {DuplicateTask.__doc__}"
                    )
                found[task.id] = task
            _by_id, _indexed = found, len(_declared)
    return _by_id


def get(task_id: str) -> Any:
    """Return the task of an id.

    Raises:
        UnknownTask: no task of this id is registered here.
    """
    try:
        return index()[task_id]
    except KeyError:
        raise UnknownTask(task_id) from None


def every() -> Iterator[Any]:
    """Walk all tasks, also those that share an id."""
    return iter(list(_declared.values()))
