"""What bodies over HTTP say while they run: their newest progress, and log lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from django.db.models import Count, Max

from openqueue import codec
from openqueue.control.remote import holding
from openqueue.control.remote.endings import LOST
from openqueue.control.remote.holding import Holding
from openqueue.control.remote.leases import Lease
from openqueue.models import RunEvent, RunLog
from openqueue.states import Kind
from openqueue.store import store
from openqueue.types import LogLine, Progress

EVERY: Final = timedelta(seconds=1)
"""Between events of progress of one attempt."""
LINES: Final = 1_000
"""Of one attempt."""
LINE_LIMIT: Final = 8_192
"""Bytes."""
MESSAGE_LIMIT: Final = 1_000
OMITTED: Final = f"more than {LINES} lines: the rest was left out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """What became of what was said of one attempt."""

    run: UUID
    attempt: int
    accepted: bool
    """False: the attempt is not held any more."""
    kept: bool
    """False: too much came; say the newest progress again in a second, and no more lines."""
    code: str
    """lease_lost, where it was not accepted."""


def progress(leases: Sequence[Lease], said: Sequence[tuple[float | None, str]]) -> list[Noted]:
    """Keep progress, once a second for each attempt at most."""
    held = holding.held(leases)
    lately = _lately(held)
    due = [
        Progress(lease.run_id, lease.attempt, _encoded(held[lease[:2]], percent, message))
        for lease, (percent, message) in zip(leases, said, strict=True)
        if lease[:2] in held and (lease.run_id, lease.attempt) not in lately
    ]
    if due:
        store().note(progress=due, logs=[])
    kept = {(one.run_id, one.attempt) for one in due}
    return [_noted(lease, held, kept=(lease.run_id, lease.attempt) in kept) for lease in leases]


def log(leases: Sequence[Lease], said: Sequence[Sequence[tuple[int, str, float]]]) -> list[Noted]:
    """Keep log lines: level, text, and seconds since each; 8 KiB each and 1,000 an attempt."""
    held = holding.held(leases)
    counts = _counts(held)
    lines: list[LogLine] = []
    full: set[tuple[UUID, int]] = set()
    for lease, some in zip(leases, said, strict=True):
        place = lease.run_id, lease.attempt
        for level, text, age in some if lease[:2] in held else ():
            if counts[place] > LINES:
                full.add(place)
                break
            kept = OMITTED if counts[place] == LINES else str(held[lease[:2]].mask(text))
            lines.append(LogLine(*place, level, codec.clip(kept, limit=LINE_LIMIT), age))
            counts[place] += 1
    if lines:
        store().note(progress=[], logs=lines)
    return [_noted(lease, held, kept=(lease.run_id, lease.attempt) not in full) for lease in leases]


def _encoded(one: Holding, percent: float | None, message: str) -> str:
    told: dict[str, Any] = {
        "percent": percent,
        "message": codec.clip(str(one.mask(message)), limit=MESSAGE_LIMIT),
    }
    return codec.encode(told, what="progress", limit=10_000)


def _lately(held: dict[tuple[UUID, UUID], Holding]) -> set[tuple[UUID, int]]:
    """Return the attempts whose last progress is less than a second old."""
    runs = [run for run, _ in held]
    events = RunEvent.objects.using(store().alias).filter(run_id__in=runs, kind=Kind.PROGRESS).order_by()
    last = events.values_list("run_id", "attempt").annotate(Max("at"))
    since = store().clock(None) - EVERY
    return {(run, attempt) for run, attempt, at in last if at > since}


def _counts(held: dict[tuple[UUID, UUID], Holding]) -> Counter[tuple[UUID, int]]:
    logs = RunLog.objects.using(store().alias).filter(run_id__in=[run for run, _ in held]).order_by()
    counted = logs.values_list("run_id", "attempt").annotate(Count("pk"))
    return Counter({(run, attempt): count for run, attempt, count in counted})


def _noted(lease: Lease, held: dict[tuple[UUID, UUID], Holding], *, kept: bool) -> Noted:
    accepted = lease[:2] in held
    return Noted(
        run=lease.run_id,
        attempt=lease.attempt,
        accepted=accepted,
        kept=accepted and kept,
        code="" if accepted else LOST,
    )
