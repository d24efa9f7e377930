"""History past its time: what retention would delete, and deleting it now."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from openqueue.conf import config
from openqueue.control import audit
from openqueue.control.actor import Actor
from openqueue.control.audit import Act
from openqueue.models import AuditLog, RunLog, ScheduleTick
from openqueue.states import Status
from openqueue.store import pruning, scheduling, store

CHUNK: Final = 1_000
COUNTED: Final = 100_000
"""What a plan counts of each kind; more are "100000 or more"."""
LOGS, TICKS, AUDIT = "logs", "ticks", "audit"
KINDS: Final = (
    *(s.value for s in (Status.COMPLETED, Status.FAILED, Status.CANCELLED, Status.EXPIRED)),
    LOGS,
    TICKS,
    AUDIT,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PastTime:
    """What retention says about one kind: finished runs of one status, log lines, ticks of schedules, or acts."""

    kind: str
    kept_days: float | None
    """None: for ever."""
    before: datetime | None
    """What ended, or was logged, before this moment goes."""
    count: int
    """How many that are; counted up to ``counted_to``."""
    counted_to: int = COUNTED


def plan() -> list[PastTime]:
    """Return what retention would delete, by kind, in a statement each that ends after COUNTED rows."""
    moment = store().clock(None)
    return [_past(kind, kept=config.retention[kind], moment=moment) for kind in KINDS]


def _past(kind: str, *, kept: timedelta | None, moment: datetime) -> PastTime:
    if kept is None:
        return PastTime(kind=kind, kept_days=None, before=None, count=0)
    before = last_moment(kind, kept=kept, moment=moment)
    if kind == TICKS:
        ticks = ScheduleTick.objects.using(store().alias).filter(at__lt=before)
        count = ticks.order_by("at")[:COUNTED].count()
    elif kind == AUDIT:
        acts = AuditLog.objects.using(store().alias).filter(at__lt=before)
        count = acts.order_by("at")[:COUNTED].count()
    elif kind == LOGS:
        logs = RunLog.objects.using(store().alias).filter(at__lt=before)
        count = logs.order_by("at")[:COUNTED].count()
    else:
        count = pruning.count(store(), kind, before=before, most=COUNTED)
    return PastTime(kind=kind, kept_days=kept / timedelta(days=1), before=before, count=count)


def last_moment(kind: str, *, kept: timedelta, moment: datetime) -> datetime:
    """Return before when rows of a kind go; ticks not as long as they may still be caught up with."""
    return scheduling.ticks_end(store(), now=moment, kept=kept) if kind == TICKS else moment - kept


def prune(*, actor: Actor, told: Callable[[str, int], None] = lambda *_: None) -> Mapping[str, int]:
    """Delete what is past its time, oldest first, in chunks of their own transactions; return how many by kind.

    Unfinished runs are never touched. ``told`` is called after each chunk with its kind and the number so far. What
    was deleted is on record also when this is interrupted.
    """
    moment = store().clock(None)
    deleted = dict.fromkeys(KINDS, 0)
    try:
        for kind in KINDS:
            if (kept := config.retention[kind]) is not None:
                for count in _chunks(kind, before=last_moment(kind, kept=kept, moment=moment)):
                    deleted[kind] += count
                    told(kind, deleted[kind])
    finally:
        if any(deleted.values()):
            audit.record([Act("history.prune", "history", after=deleted)], actor=actor)
    return deleted


def _chunks(kind: str, *, before: datetime) -> Iterator[int]:
    """Delete chunk after chunk until one is not full."""
    while True:
        if kind == TICKS:
            count = scheduling.prune_ticks(store(), before=before, limit=CHUNK)
        elif kind == AUDIT:
            count = pruning.prune_audit(store(), before=before, limit=CHUNK)
        elif kind == LOGS:
            count = store().prune_logs(before=before, limit=CHUNK)
        else:
            count = store().prune(Status(kind), before=before, limit=CHUNK)
        if count:
            yield count
        if count < CHUNK:
            return
