"""The tasks of this process, by id."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

from openqueue.errors import DuplicateTask, UnknownTask


class Registered(Protocol):
    """What the registry asks of a task."""

    @property
    def id(self) -> str: ...

    @property
    def function(self) -> Any: ...


class Elsewhere(Protocol):
    """Knows the tasks whose bodies are not in this code."""

    def one(self, task_id: str) -> Any: ...

    def every(self) -> dict[str, Any]: ...


_elsewhere: Elsewhere | None = None
_memory: ContextVar[dict[str, Any] | None] = ContextVar("openqueue_tasks_elsewhere", default=None)
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


def look_elsewhere(rows: Elsewhere) -> None:
    """Have ids that no code here has looked up there."""
    global _elsewhere
    _elsewhere = rows


def get(task_id: str) -> Any:
    """Return the task of an id: of this code, else one that is defined for workers in other languages.

    Raises:
        UnknownTask: there is neither.
    """
    found = find(task_id)
    if found is None:
        raise UnknownTask(task_id)
    return found


def find(task_id: str) -> Any:
    """Return the task of an id, or None."""
    found = index().get(task_id)
    if found is not None or _elsewhere is None:
        return found
    memory = _memory.get()
    if memory is None:
        return _elsewhere.one(task_id)
    if "" not in memory:  # no task has this id: it says that they were read
        memory.update(_elsewhere.every(), **{"": None})
    return memory.get(task_id)


def everywhere() -> dict[str, Any]:
    """Return all tasks by id, those that are defined for workers in other languages among them: one statement."""
    return (_elsewhere.every() if _elsewhere is not None else {}) | index()


@contextmanager
def remembering() -> Iterator[None]:
    """Within it, tasks that no code here has are read once, and only if one is asked for: for batches."""
    mark = _memory.set({})
    try:
        yield
    finally:
        _memory.reset(mark)


def every() -> Iterator[Any]:
    """Walk all tasks, also those that share an id."""
    return iter(list(_declared.values()))
