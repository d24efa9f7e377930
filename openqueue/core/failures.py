"""Counts failures by what makes them the same, minute by minute, with the roll-ups."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db.models import F, OuterRef, Subquery

from openqueue.core import returns
from openqueue.core.fingerprint import Failure, failure
from openqueue.models import ErrorCount, ErrorGroup, Run, Worker
from openqueue.states import Status
from openqueue.store import store
from openqueue.store.endings import floor

MINUTE: Final = 60
CHUNK: Final = 500


class Seen:
    """What was read of one group."""

    def __init__(self, found: Failure, run: UUID, at: datetime, release: str) -> None:
        self.minutes: Counter[tuple[datetime, str]] = Counter()
        """By release as well."""
        self.ends: dict[str, datetime] = {}
        """The last one by release."""
        self.first, self.last = at, at
        self.first_release, self.release = release, release
        self.found, self.run = found, run

    def add(self, found: Failure, run: UUID, at: datetime, release: str) -> None:
        """Take a failure; they come in the order of their ends."""
        self.minutes[floor(at), release] += 1
        self.ends[release] = at
        self.found, self.run, self.last, self.release = found, run, at, release


def count(since: datetime, before: datetime, *, any_failed: bool = True) -> None:
    """Count what failed in whole minutes, in place of what was counted there."""
    alias = store().alias
    seen = _read(since, before) if any_failed else {}
    groups = _groups(seen)
    counts = ErrorCount.objects.using(alias)
    counted = counts.filter(period=MINUTE, start__gte=since, start__lt=before)
    change: Counter[int] = Counter()
    for group, number in counted.values_list("group_id", "count"):
        change[group] -= number
    counted.delete()
    rows = []
    for fingerprint, one in seen.items():
        group = groups[fingerprint]
        change[group] += one.minutes.total()
        rows += [
            ErrorCount(group_id=group, period=MINUTE, start=start, release=release, count=number)
            for (start, release), number in sorted(one.minutes.items())
        ]
    counts.bulk_create(rows, batch_size=CHUNK)
    for group, number in sorted(change.items()):
        if number:
            ErrorGroup.objects.using(alias).filter(pk=group).update(count=F("count") + number)
    for fingerprint, one in sorted(seen.items()):
        _note(groups[fingerprint], one)
    returns.open_again({groups[fingerprint]: one.ends for fingerprint, one in seen.items()}, since=since)


def gather(fine: int, coarse: timedelta, since: datetime, before: datetime) -> None:
    """Make hours of minutes, or days of hours."""
    counts = ErrorCount.objects.using(store().alias)
    found: Counter[tuple[int, datetime, str]] = Counter()
    rows = counts.filter(period=fine, start__gte=since, start__lt=before)
    for group, start, release, number in rows.values_list("group_id", "start", "release", "count"):
        found[group, floor(start, coarse), release] += number
    period = int(coarse.total_seconds())
    counts.filter(period=period, start__gte=since, start__lt=before).delete()
    counts.bulk_create(
        [
            ErrorCount(group_id=group, period=period, start=start, release=release, count=number)
            for (group, start, release), number in sorted(found.items())
        ],
        batch_size=CHUNK,
    )


def prune(period: int, *, before: datetime, limit: int) -> int:
    """Delete a bounded chunk of counts past their time."""
    counts = ErrorCount.objects.using(store().alias)
    old = counts.filter(period=period, start__lt=before).order_by("start")
    ids = list(old.values_list("pk", flat=True)[:limit])
    counts.filter(pk__in=ids).delete()
    return len(ids)


def _read(since: datetime, before: datetime) -> dict[str, Seen]:
    failed = Run.objects.using(store().alias).filter(
        outcome=Status.FAILED, finished_at__gte=since, finished_at__lt=before
    )
    seen: dict[str, Seen] = {}
    worker = Worker.objects.filter(pk=OuterRef("worker_id"))
    told = failed.annotate(release=Subquery(worker.values("release")[:1])).order_by("finished_at", "pk")
    rows = told.values_list("pk", "task_id", "error", "finished_at", "release")
    at: Any  # never null: it is what was asked for
    for run, task_id, error, at, release in rows.iterator(chunk_size=CHUNK):
        found, release = failure(task_id, error), release or ""  # its worker may be forgotten by now
        first = Seen(found, run, at, release)
        seen.setdefault(found.fingerprint, first).add(found, run, at, release)
    return seen


def _groups(seen: dict[str, Seen]) -> dict[str, int]:
    """Return the groups by fingerprint; new ones are made, by one process or another."""
    groups = ErrorGroup.objects.using(store().alias)
    known = dict(groups.filter(fingerprint__in=list(seen)).values_list("fingerprint", "pk"))
    made = [
        ErrorGroup(
            **one.found._asdict(),
            first_seen=one.first,
            first_release=one.first_release,
            last_seen=one.last,
            last_release=one.release,
            last_run=one.run,
        )
        for fingerprint, one in seen.items()
        if fingerprint not in known
    ]
    if made:
        groups.bulk_create(made, ignore_conflicts=True)
        known = dict(groups.filter(fingerprint__in=list(seen)).values_list("fingerprint", "pk"))
    return known


def _note(group: int, one: Seen) -> None:
    """Keep first, last and newest."""
    groups = ErrorGroup.objects.using(store().alias).filter(pk=group)
    groups.filter(first_seen__gt=one.first).update(first_seen=one.first, first_release=one.first_release)
    groups.filter(last_seen__lt=one.last).update(
        last_seen=one.last, last_release=one.release, last_run=one.run, message=one.found.message
    )
