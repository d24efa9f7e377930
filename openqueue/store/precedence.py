"""When a run that waits is due, and before which others it comes: rare changes of operators, said with the ORM.

Each change takes a new seq, so that what was announced of the row before is `gone` for whoever receives it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

from django.db.models import BooleanField, Case, F, OuterRef, Q, QuerySet, Subquery, Value, When

from openqueue.limits import ORDER
from openqueue.models import Outbox, Run, RunEvent
from openqueue.models.fields import InstantField
from openqueue.states import CLAIMABLE, Kind, Status
from openqueue.types import HEAD_START

if TYPE_CHECKING:
    from openqueue.store import Store

AT_ONCE: Final = 500
"""Rows that one statement gives values of their own."""


class Place(NamedTuple):
    """A row of the outbox as it stands after a change."""

    run_id: UUID
    seq: int
    attempt: int
    task_id: str
    runtime: str
    queue: str
    priority: int
    wait: float
    """Seconds until it is due; 0 or less: it is."""
    concurrency_key: str | None
    ordering_key: str | None
    waits_for: str | None
    """The limit that has to let it through."""
    traceparent: str | None


def promote(
    store: Store, runs: Sequence[UUID], *, actor: str, carriers: Sequence[str], now: datetime | None
) -> list[Place]:
    """Make those of these runs due that wait for a later moment; return them.

    What was left of a time to live is left from now on. The label of a delayed run becomes `queued`; one between two
    attempts stays `retrying`, as it does when its time comes.

    carriers: runtimes whose publisher has a head start before the announcing sweep.
    """
    moment = store.clock(now)
    rows = locked(store, Outbox.objects.using(store.alias).filter(pk__in=runs, due_at__gt=moment))
    if not rows:
        return []
    mine = Run.objects.using(store.alias).filter(pk__in=list(rows), status__in=CLAIMABLE)
    delayed = When(status=Status.SCHEDULED, then=Value(Status.QUEUED.value))
    at = When(status=Status.SCHEDULED, then=Value(moment, output_field=InstantField()))
    # In this order: MySQL reads what an assignment before it has written.
    mine.update(
        scheduled_for=Case(at, default=F("scheduled_for"), output_field=InstantField()),
        status=Case(delayed, default=F("status")),
        version=F("version") + 1,
    )
    changed = read(mine)
    note(
        store,
        changed,
        kind=Kind.PROMOTED,
        actor=actor,
        moment=moment,
        facts={pk: {"due_at": rows[pk].due_at.isoformat()} for pk in changed},
    )
    outbox = Outbox.objects.using(store.alias).filter(pk__in=list(changed))
    outbox.update(due_at=moment, **unannounced(carriers, due=Q(), moment=moment))
    keep_time_to_live(store, [rows[pk] for pk in changed], moment=moment)
    return [place(rows[pk], run, wait=0.0) for pk, run in changed.items()]


def keep_time_to_live(store: Store, rows: Sequence[Outbox], *, moment: datetime) -> None:
    """Have these rows, given as they were, expire as much earlier as they are due earlier."""
    mortal = [row for row in rows if row.expires_at is not None]
    if not mortal:
        return
    runs = []
    for row in mortal:
        expires_at = moment + (row.expires_at - row.due_at)
        row.expires_at = expires_at
        runs.append(Run(pk=row.pk, expires_at=expires_at))
    Outbox.objects.using(store.alias).bulk_update(mortal, ["expires_at"], batch_size=AT_ONCE)
    Run.objects.using(store.alias).bulk_update(runs, ["expires_at"], batch_size=AT_ONCE)


def prioritise(
    store: Store,
    runs: Sequence[UUID],
    *,
    priority: int,
    actor: str,
    able: Collection[str],
    carriers: Sequence[str],
    now: datetime | None,
) -> list[Place]:
    """Give those of these runs that wait another priority; return those that had another one before.

    able: runtimes that keep priorities; the rows of others are left as they are.
    """
    moment = store.clock(now)
    places = Outbox.objects.using(store.alias).filter(pk__in=runs, runtime__in=able)
    rows = locked(store, places.exclude(priority=priority))
    if not rows:
        return []
    mine = Run.objects.using(store.alias).filter(pk__in=list(rows), status__in=CLAIMABLE)
    mine.update(priority=priority, version=F("version") + 1)
    changed = read(mine)
    facts = {pk: {"from": rows[pk].priority, "to": priority} for pk in changed}
    note(store, changed, kind=Kind.PRIORITISED, actor=actor, moment=moment, facts=facts)
    in_order = When(Q(waits_for=None) | Q(waits_for__startswith=ORDER), then=F("turn"))
    outbox = Outbox.objects.using(store.alias).filter(pk__in=list(changed))
    outbox.update(
        priority=priority,
        turn=Case(in_order, default=Value(-priority)),
        **unannounced(carriers, due=Q(due_at__lte=moment), moment=moment),
    )
    waits = {pk: (rows[pk].due_at - moment).total_seconds() for pk in changed}
    return [place(rows[pk], run, wait=waits[pk], priority=priority) for pk, run in changed.items()]


def locked(store: Store, places: QuerySet[Outbox]) -> dict[UUID, Outbox]:
    """Lock rows of the outbox in order of their runs."""
    if store.connection.features.has_select_for_update:
        places = places.select_for_update()
    return {row.pk: row for row in places.order_by("pk")}


def read(runs: QuerySet[Run]) -> dict[UUID, Run]:
    return {run.pk: run for run in runs.order_by("pk").only("version", "attempt", "traceparent")}


def note(
    store: Store,
    runs: dict[UUID, Run],
    *,
    kind: Kind,
    actor: str,
    moment: datetime,
    facts: dict[UUID, dict[str, Any]],
) -> None:
    RunEvent.objects.using(store.alias).bulk_create(
        [
            RunEvent(
                run_id=pk,
                version=run.version,
                attempt=run.attempt,
                kind=kind,
                actor=actor,
                data=facts[pk],
                at=moment,
            )
            for pk, run in runs.items()
        ]
    )


def unannounced(carriers: Sequence[str], *, due: Q, moment: datetime) -> dict[str, Any]:
    """Return what a row has when it is to be announced anew: a new seq, and nothing of the announcement before.

    due: tells which rows are due; empty for all. Not by a column that the same statement writes: MySQL reads it new.
    """
    version = Run.objects.filter(pk=OuterRef("pk")).values("version")[:1]
    at_once = Value(moment, output_field=InstantField())
    head_start = Value(moment + timedelta(seconds=HEAD_START), output_field=InstantField())
    told = When(Q(runtime__in=[*carriers]) & due, then=head_start)
    announce_at = Case(told, default=at_once, output_field=InstantField())
    if due:
        announce_at = Case(told, When(due, then=at_once), default=F("due_at"), output_field=InstantField())
    return {
        "seq": Subquery(version),
        "announce_at": announce_at,
        "announced_at": None,
        "broker_ref": None,
        "tries": 0,
        "heard": 0,
        "last_error": None,
        "ready": Case(When(Q(waits_for=None) & due, then=True), default=False, output_field=BooleanField()),
    }


def place(row: Outbox, run: Run, *, wait: float, priority: int | None = None) -> Place:
    return Place(
        run_id=row.pk,
        seq=run.version,
        attempt=row.attempt,
        task_id=row.task_id,
        runtime=row.runtime,
        queue=row.queue,
        priority=row.priority if priority is None else priority,
        wait=wait,
        concurrency_key=row.concurrency_key,
        ordering_key=row.ordering_key,
        waits_for=row.waits_for,
        traceparent=run.traceparent,
    )
