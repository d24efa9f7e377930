"""Permits of fleet-wide limits: counted under the lock of the limit's row, given to whoever is next (decision 0031).

Locks are taken here in the order limits, then outbox, in a transaction that takes no others: who has locked rows of
the outbox never waits for a limit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from django.db.models import Case, Count, Exists, F, Min, OuterRef, Q, Subquery, Value, When

from openqueue.limits import ORDER, Allowance
from openqueue.models import Claim, Limit, Outbox, Permit, Run
from openqueue.models.fields import InstantField
from openqueue.states import Status
from openqueue.store.ending import text
from openqueue.types import HEAD_START, Announcement

if TYPE_CHECKING:
    from openqueue.store import Store

AT_ONCE: Final = 100
"""Rows of one limit that one look takes into view."""
WITHDRAWN: Final = frozenset({Status.CANCELLED, Status.EXPIRED, Status.FAILED})
NEXT: Final = """
    SELECT * FROM (
        SELECT run_id, task_id, waits_for FROM openqueue_outbox {index}
        WHERE waits_for = %s AND due_at <= %s AND (expires_at IS NULL OR expires_at > %s)
        ORDER BY turn, due_at, run_id LIMIT %s
    ) AS line
"""
FORCED: Final = "FORCE INDEX (openqueue_outbox_waits)"
WALK: Final = """
    WITH RECURSIVE walk (name) AS (
        SELECT min(waits_for) FROM openqueue_outbox WHERE waits_for > %s
        UNION ALL
        SELECT (SELECT min(waits_for) FROM openqueue_outbox WHERE waits_for > walk.name)
        FROM walk WHERE walk.name IS NOT NULL
    )
    SELECT name FROM walk WHERE name IS NOT NULL LIMIT %s
"""
"""A loose walk of the index: one look a limit, however many rows wait for it. MySQL walks so by itself."""
DISTINCT: Final = f"SELECT DISTINCT waits_for FROM openqueue_outbox {FORCED} WHERE waits_for > %s LIMIT %s"


@dataclass(slots=True)
class Usage:
    """Who was let through a limit."""

    waiting: int = 0
    """Ready to be claimed."""
    claimed: list[datetime] = field(default_factory=list)
    counted: int = 0
    """Starts within the window of a rate, whose permits came back."""
    next_at: datetime | None = None
    """When the first of these is counted no more."""

    @property
    def held(self) -> int:
        return self.waiting + len(self.claimed)

    def has_room(self, allowance: Allowance, *, moment: datetime) -> bool:
        """Tell whether one more may be let through: a rate counts also who is ready, and may start any time."""
        at_once, rate = allowance
        if at_once is not None and self.held >= at_once:
            return False
        if rate is None:
            return True
        since = moment - timedelta(seconds=rate.seconds)
        return self.waiting + self.counted + sum(at > since for at in self.claimed) < rate.starts


def admit(
    store: Store,
    names: Sequence[str],
    *,
    allowance: Callable[[str, str], Allowance],
    carriers: Sequence[str],
    patient: bool,
    now: datetime | None,
) -> tuple[list[Announcement], list[str]]:
    """Let through whoever is next at these limits and has room; return them, and the limits to look at once more.

    allowance: of a task at a limit.
    carriers: aliases of runtimes that carry messages.
    """
    with store.writing() as cursor:
        locked = lock(store, names, patient=patient, now=now)
        if not locked:
            return [], []
        moment = store.clock(now)
        usage = count(store, locked, moment=moment)
        chosen: dict[UUID, str] = {}
        windows: dict[UUID, float] = {}
        shut: set[str] = set()
        for run, task, name in line(store, cursor, usage, moment=moment):
            if name in shut:
                continue
            allowed = Allowance(at_once=1) if name.startswith(ORDER) else allowance(task, name)
            if not usage[name].has_room(allowed, moment=moment):
                shut.add(name)  # nobody overtakes
                continue
            usage[name].waiting += 1
            chosen[run] = name
            if allowed.rate is not None:
                windows[run] = allowed.rate.seconds
        rows = take(store, chosen, windows, carriers=carriers, moment=moment)
    ready = [
        Announcement(
            r.run_id, r.seq, r.tries, r.attempt, r.task_id, r.runtime, r.queue, r.priority, r.ordering_key
        )
        for r in rows
        if not goes_on(r, chosen[r.run_id])
    ]
    further = {r.concurrency_key for r in rows if goes_on(r, chosen[r.run_id])}
    taken = Counter(chosen[r.run_id] for r in rows)
    return ready, sorted({*filter(None, further), *(name for name in taken if taken[name] == AT_ONCE)})


def lock(store: Store, names: Iterable[str], *, patient: bool, now: datetime | None) -> list[str]:
    """Lock the rows of these limits, in order; make those that are missing."""
    wanted = sorted(set(names))
    limits = Limit.objects.using(store.alias).filter(key__in=wanted)
    missing = set(wanted) - set(limits.values_list("key", flat=True))
    if missing:
        moment = store.clock(now)
        made = [Limit(key=name, used_at=moment) for name in sorted(missing)]
        Limit.objects.using(store.alias).bulk_create(made, ignore_conflicts=True)
    if store.connection.features.has_select_for_update:
        skips = not patient and store.connection.features.has_select_for_update_skip_locked
        limits = limits.select_for_update(skip_locked=skips)
    return list(limits.order_by("key").values_list("key", flat=True))


def count(store: Store, names: Sequence[str], *, moment: datetime) -> dict[str, Usage]:
    """Count what holds a permit of each, by the places that the runs are in; forget what holds none."""
    usage = {name: Usage() for name in names}
    permits = Permit.objects.using(store.alias).filter(key__in=names)
    place = Outbox.objects.using(store.alias).filter(run_id=OuterRef("run_id"))
    claim = Claim.objects.using(store.alias).filter(run_id=OuterRef("run_id"))
    run = Run.objects.using(store.alias).filter(pk=OuterRef("run_id"))
    # One statement, so that a run on its way from the outbox to a claim is seen in one of the two.
    live = permits.filter(forget_at=None).annotate(
        claimed_at=Subquery(claim.values("claimed_at")[:1]),
        is_out=Exists(place),
        waits_for=Subquery(place.values("waits_for")[:1]),
        started_at=Subquery(run.values("started_at")[:1]),
        reached=Subquery(run.values("attempt")[:1]),
        outcome=Subquery(run.values("outcome")[:1]),
    )
    over: list[int] = []
    begun: list[Permit] = []
    for permit in live:
        holder = usage[permit.key]
        waits = permit.waits_for
        if permit.claimed_at is not None:
            holder.claimed.append(permit.claimed_at)
        elif permit.is_out and (waits is None or (permit.key.startswith(ORDER) and waits != permit.key)):
            holder.waiting += 1
        elif permit.window is None or (permit.outcome in WITHDRAWN and permit.reached < permit.attempt):
            over.append(permit.pk)  # no rate, or it was taken out of the outbox before it began
        else:
            began_at = min(moment, max(permit.given_at, permit.started_at or moment))
            permit.forget_at = began_at + timedelta(seconds=permit.window)
            begun.append(permit)
    if over:
        permits.filter(pk__in=over).delete()
    if begun:
        Permit.objects.using(store.alias).bulk_update(begun, ["forget_at"])
    rated = permits.exclude(forget_at=None).values_list("key")
    past = Count("pk", filter=Q(forget_at__lte=moment))
    still = Q(forget_at__gt=moment)
    for name, old, some, next_at in rated.annotate(
        past=past, some=Count("pk", filter=still), next_at=Min("forget_at", filter=still)
    ):
        usage[name].counted, usage[name].next_at = some, next_at
        if old:
            permits.filter(key=name, forget_at__lte=moment).delete()
    return usage


def line(
    store: Store, cursor: Any, usage: dict[str, Usage], *, moment: datetime
) -> list[tuple[UUID, str, str]]:
    """Return who is next at each of these limits: run, task, limit; of an order the head alone."""
    rooms = {
        name: AT_ONCE if not name.startswith(ORDER) else 1
        for name, used in usage.items()
        if not name.startswith(ORDER) or not used.held
    }
    if not rooms:
        return []
    vendor = store.connection.vendor
    at = moment if vendor == "postgresql" else text(moment)
    branch = NEXT.format(index=FORCED if vendor == "mysql" else "")
    parameters = [part for name, room in rooms.items() for part in (name, at, at, room)]
    cursor.execute(" UNION ALL ".join([branch] * len(rooms)), parameters)
    return [(UUID(str(run)), task, name) for run, task, name in cursor.fetchall()]


def take(
    store: Store,
    chosen: dict[UUID, str],
    windows: dict[UUID, float],
    *,
    carriers: Sequence[str],
    moment: datetime,
) -> list[Outbox]:
    """Give these a permit, those of them that nobody has cancelled or locked meanwhile."""
    if not chosen:
        return []
    outbox = Outbox.objects.using(store.alias)
    rows = outbox.filter(pk__in=chosen, waits_for__isnull=False)
    if store.connection.features.has_select_for_update:
        skips = store.connection.features.has_select_for_update_skip_locked
        rows = rows.select_for_update(skip_locked=skips)
    found = [row for row in rows.order_by("run_id") if row.waits_for == chosen[row.run_id]]
    if not found:
        return []
    onward = [row.run_id for row in found if goes_on(row, chosen[row.run_id])]
    ready = [row.run_id for row in found if not goes_on(row, chosen[row.run_id])]
    if onward:
        outbox.filter(pk__in=onward).update(waits_for=F("concurrency_key"), turn=-F("priority"))
    if ready:
        told = When(
            runtime__in=carriers,
            then=Value(moment + timedelta(seconds=HEAD_START), output_field=InstantField()),
        )
        announce_at = Case(
            told, default=Value(moment, output_field=InstantField()), output_field=InstantField()
        )
        outbox.filter(pk__in=ready).update(waits_for=None, turn=None, ready=True, announce_at=announce_at)
    names = {run: chosen[run] for run in (*onward, *ready)}
    Permit.objects.using(store.alias).bulk_create(
        [
            Permit(
                key=names[row.run_id],
                run_id=row.run_id,
                attempt=row.attempt,
                given_at=moment,
                window=windows.get(row.run_id),
            )
            for row in found
        ]
    )
    Limit.objects.using(store.alias).filter(key__in=set(names.values())).update(used_at=moment)
    return found


def goes_on(row: Outbox, name: str) -> bool:
    """Tell whether a row that its order lets through has another limit before it."""
    return name.startswith(ORDER) and row.concurrency_key is not None


def waited_for(store: Store, *, after: str = "", limit: int) -> list[str]:
    """Return names of limits that rows wait for, in order, from behind ``after`` on."""
    with store.connection.cursor() as cursor:
        cursor.execute(DISTINCT if store.connection.vendor == "mysql" else WALK, [after, limit])
        return [row[0] for row in cursor.fetchall()]


def next_at(store: Store, *, now: datetime) -> datetime | None:
    """Return when the first start that a rate still counts is counted no more, of the limits that rows wait for."""
    names = waited_for(store, limit=AT_ONCE)
    return min((u.next_at for u in count(store, names, moment=now).values() if u.next_at), default=None)


def forget_unused(store: Store, *, before: datetime, limit: int, now: datetime | None = None) -> int:
    """Delete limits that nobody was let through since ``before``, holds or waits for; return how many."""
    with store.writing():
        rows = Limit.objects.using(store.alias).filter(used_at__lt=before)
        if store.connection.features.has_select_for_update:
            rows = rows.select_for_update(
                skip_locked=store.connection.features.has_select_for_update_skip_locked
            )
        names = list(rows.order_by("key").values_list("key", flat=True)[:limit])
        if not names:
            return 0
        count(store, names, moment=store.clock(now))
        used = set(Permit.objects.using(store.alias).filter(key__in=names).values_list("key", flat=True))
        waiting = Outbox.objects.using(store.alias).filter(waits_for__in=names)
        used |= {name for name in waiting.values_list("waits_for", flat=True) if name is not None}
        unused = sorted(set(names) - used)
        Limit.objects.using(store.alias).filter(key__in=unused).delete()
    return len(unused)
