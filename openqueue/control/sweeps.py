"""When each kind of sweep last ran, anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from openqueue.conf import config
from openqueue.models import Sweep
from openqueue.store import store

USUAL: Final[Mapping[str, float]] = {
    "flows": 10,
    "rollups": 15,
    "depths": 20,
    "alerts": 15,
    "deliveries": 5,
    "retention": 60,
    "payloads": 60,
}
"""Seconds between two turns of those that write them down, beside the reaper, which has a setting."""
UNWRITTEN: Final = ("due", "permits", "announce", "schedules", "expiry")
"""Those that run more often than is written down, in each process that sweeps."""
PATIENCE: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepFacts:
    """One kind of sweep that takes turns among processes."""

    name: str
    last_at: datetime
    age: float
    """Seconds since it last ran, anywhere."""


def read(clock: datetime) -> list[SweepFacts]:
    """Return them by name, in one statement; one that never ran is not among them."""
    rows = Sweep.objects.using(store().alias).order_by("name")
    return [SweepFacts(name=r.name, last_at=r.last_at, age=(clock - r.last_at).total_seconds()) for r in rows]


def patience() -> dict[str, float]:
    """Return by kind after how many seconds without a turn something is wrong."""
    usual = {"reap": config.reap_every.total_seconds(), **USUAL}
    return {name: max(PATIENCE, 5 * seconds) for name, seconds in usual.items()}
