"""Faults that a test asks for: this attempt fails, times out, loses its worker, is cancelled."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any
from uuid import UUID


class Loss(Enum):
    """When a worker is lost."""

    BEFORE = "before"
    """It had claimed the run; the body never began."""
    AFTER = "after"
    """The body ran to its end, and its outcome comes too late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happens to one attempt in place of, or on top of, its body."""

    error: BaseException | type[BaseException] | None = None
    loss: Loss | None = None
    cancel: bool = False


@dataclass(slots=True)
class Faults:
    """Faults by task or run, and attempt."""

    planned: dict[tuple[str | UUID, int | None], Fault] = field(default_factory=dict)

    def plan(self, target: Any, fault: Fault, *, attempt: int | None) -> None:
        """Have a fault happen to this attempt of a run, or of every run of a task; None means every attempt."""
        if attempt is not None and attempt < 1:
            raise ValueError(f"attempt={attempt!r}: attempts count from 1")
        key = getattr(target, "id", None)
        if not isinstance(key, str | UUID):
            raise TypeError(f"{target!r} is neither a task nor a run")
        self.planned[key, attempt] = fault

    def of(self, *, task_id: str, run_id: UUID, attempt: int) -> Fault:
        """Return the fault of an attempt: a run's own before its task's, a number before every attempt."""
        for key in ((run_id, attempt), (run_id, None), (task_id, attempt), (task_id, None)):
            if key in self.planned:
                return self.planned[key]
        return Fault()
