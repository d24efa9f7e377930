"""What a process shows of itself to whoever looks after it: a probe, systemd, a supervisor, `ps`."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from openqueue.processes.notifier import Notifier
from openqueue.processes.tether import Tether

STALE: Final = 30.0
"""Seconds after its last touch at which a health file no longer counts."""


RESTING: Final = 0.5
"""Seconds for which the same is not shown again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """How a worker is, or a supervisor with all its workers."""

    sure: bool
    """It holds a lease."""
    busy: int = 0
    slots: int = 0
    note: str = ""
    """What is out of the ordinary: stopping, overloaded, stalled."""
    stalled: bool = False
    """A part makes no progress."""

    @property
    def is_healthy(self) -> bool:
        return self.sure and not self.stalled

    def __str__(self) -> str:
        said = f"{self.busy}/{self.slots} busy" if self.sure else "no lease"
        return f"{said}, {self.note}" if self.note else said


class Pulse:
    """`beat` is called about once a second from the main thread, as long as that lives."""

    def __init__(
        self, *, title: str = "", health_file: Path | None = None, tether: Tether | None = None
    ) -> None:
        self.title = title
        """What `ps` shows in front of the condition; empty: the process keeps the name it has."""
        self.health_file = health_file
        self.tether = tether
        self.notifier = Notifier()
        self.rename = renamer() if title else None
        self.last: Condition | None = None
        self.beaten_at = 0.0

    def introduce(self, worker_id: UUID) -> None:
        """Tell a supervisor which incarnation this process is about to be."""
        if self.tether is not None:
            self.tether.introduce(worker_id)

    def on_alone(self, act: Callable[[], None]) -> None:
        """Call ``act`` when the supervisor is gone."""
        if self.tether is not None:
            self.tether.watch(act)

    def beat(self, condition: Condition) -> None:
        """Show how things stand now, unless that was shown a moment ago."""
        moment = time.monotonic()
        if condition == self.last and moment - self.beaten_at < RESTING:
            return
        self.last, self.beaten_at = condition, moment
        if self.tether is not None:
            self.tether.mention(**asdict(condition))
        if self.health_file is not None and condition.is_healthy:
            with suppress(OSError):  # a full or read-only disk: the probe sees an old file
                self.health_file.touch()
        ready = {"READY": "1"} if condition.sure else {}
        self.notifier.tell(**ready, STATUS=str(condition))
        if self.rename is not None:
            self.rename(f"{self.title} {condition}")

    def stopping(self) -> None:
        """Show that the process is about to end."""
        self.notifier.tell(STOPPING="1")

    def end(self, *, through: bool = False, again: bool = False) -> None:
        """Leave nothing that looks alive, unless a fresh process goes on; ``through``: nobody need follow."""
        if self.tether is not None:
            self.tether.sign_off(through=through)
        if self.health_file is not None and not again:
            with suppress(OSError):
                self.health_file.unlink(missing_ok=True)


def is_fresh(health_file: Path) -> bool:
    """Tell whether a health file was touched lately."""
    try:
        return time.time() - health_file.stat().st_mtime < STALE
    except OSError:
        return False


def renamer() -> Callable[[str], Any] | None:
    """Return what changes the title of this process, where the package `setproctitle` is installed."""
    try:
        found: Callable[[str], Any] = importlib.import_module("setproctitle").setproctitle
    except ImportError:
        return None
    return found
