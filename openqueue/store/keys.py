"""Keys that runs have for themselves: what the ORM says well enough about them.

A key stands as long as its run does, which the run's own row tells; so nothing has to wait for a key's row, and a row
that somebody has locked when its run ends may stay.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol
from uuid import UUID

from django.db.models import Count, F, OuterRef, Q, Subquery
from django.db.models.expressions import RawSQL

from openqueue import codec, limits
from openqueue.models import DedupeKey, Outbox, Run, RunEvent
from openqueue.models.fields import InstantField
from openqueue.states import FINAL, Kind, Status
from openqueue.types import Debounce, Holder, Key

if TYPE_CHECKING:
    from openqueue.store import Store

AT_ONCE: Final = 1_000
"""Rows that one statement names."""
CLOCKS: Final = {"postgresql": "statement_timestamp()", "mysql": "UTC_TIMESTAMP(6)"}
WAITING: Final = (Status.SCHEDULED, Status.QUEUED)
"""A run that has not begun, and is in the outbox."""


class TakesKeys(Protocol):
    """The verb that each database says in its own SQL."""

    def take_keys(self, keys: Sequence[Key], *, now: datetime | None = None) -> int:
        """Take those of these keys, given in order of their ids, that nobody has; return how many.

        Waits for others who are about to take the same: who rolls back lets the next one through.
        """
        ...


def clock(store: Store, now: datetime | None) -> Any:
    """Return the moment to compare with: the database's clock in SQL; a test's; on SQLite this host's."""
    vendor = store.connection.vendor
    if now is not None or vendor not in CLOCKS:
        return now or datetime.now(UTC)
    return RawSQL(CLOCKS[vendor], [], output_field=InstantField())  # noqa: S611  # one of two constants


def holders(
    store: Store, keys: Collection[UUID], *, now: datetime | None = None
) -> tuple[list[Holder], datetime | None]:
    """Return who has these keys, and the database's moment; locks nothing."""
    run = Run.objects.filter(pk=OuterRef("run_id"))
    told = RunEvent.objects.filter(run_id=OuterRef("run_id"), kind=Kind.DUPLICATE).order_by()
    found: list[Holder] = []
    moment = clock(store, now)
    read = moment if isinstance(moment, RawSQL) else F("until")
    for some in portions(sorted(keys)):
        rows = (
            DedupeKey.objects.using(store.alias)
            .filter(pk__in=some)
            .annotate(
                task=Subquery(run.values("task_id")),
                queue=Subquery(run.values("queue")),
                status=Subquery(run.values("status")),
                attempt=Subquery(run.values("attempt")),
                told=Subquery(told.values("run_id").annotate(count=Count("pk")).values("count")),
                moment=read,
            )
        )
        for row in rows.values_list(
            "pk", "run_id", "task", "queue", "status", "attempt", "until", "told", "moment"
        ):
            key, run_id, task, queue, status, attempt, until, count, read_moment = row
            moment = moment if isinstance(moment, datetime) else read_moment
            found.append(
                Holder(
                    key,
                    run_id,
                    task or "",
                    queue or "",
                    Status(status) if status else None,
                    attempt or 0,
                    until > moment,
                    count or 0,
                )
            )
    return found, moment if isinstance(moment, datetime) else None


def give_up(store: Store, stale: Sequence[Holder]) -> None:
    """Delete keys that stand no more, in their order; who took one over meanwhile keeps it."""
    for some in portions(sorted(stale)):
        mine = Q(pk__in=[h.key_id for h in some], run_id__in=[h.run_id for h in some])
        rows = DedupeKey.objects.using(store.alias).filter(mine)
        if store.connection.features.has_select_for_update:
            rows = rows.select_for_update()
        found = list(rows.order_by("pk").values_list("pk", flat=True))
        DedupeKey.objects.using(store.alias).filter(pk__in=found)._raw_delete(store.alias)


def note_duplicates(store: Store, holders: Sequence[Holder], *, moment: datetime) -> None:
    """Tell in the history of these runs that they were triggered again."""
    RunEvent.objects.using(store.alias).bulk_create(
        [RunEvent(run_id=h.run_id, attempt=h.attempt, kind=Kind.DUPLICATE, at=moment) for h in holders]
    )


def postpone(
    store: Store, given: Mapping[UUID, Debounce], *, now: datetime | None = None
) -> dict[UUID, Status]:
    """Put off runs that wait, with a new payload; return how they stand. What has started is left alone."""
    places = Outbox.objects.using(store.alias).filter(pk__in=list(given), attempt=1)
    if store.connection.features.has_select_for_update:
        places = places.select_for_update()
    waiting = {place.pk: place for place in places.order_by("pk")}
    runs = list(
        Run.objects.using(store.alias).filter(pk__in=list(waiting), status__in=WAITING).order_by("pk")
    )
    if not runs:
        return {}
    moment = store.clock(now)
    events = []
    for run in runs:
        change, place = given[run.pk], waiting[run.pk]
        due = moment + timedelta(seconds=change.delay)
        if change.most is not None:
            due = max(moment, min(due, run.created_at + timedelta(seconds=change.most)))
        run.payload, run.meta, run.tags = (
            None if text is None else codec.decode(text)
            for text in (change.payload, change.meta, change.tags)
        )
        run.status = Status.SCHEDULED if due > moment else Status.QUEUED
        run.version += 1
        run.scheduled_for = place.due_at = due
        run.expires_at = place.expires_at = change.ttl and due + timedelta(seconds=change.ttl)
        place.waits_for, turn = limits.first(run.concurrency_key, run.ordering_key, priority=run.priority)
        place.turn = None if place.waits_for is None else turn
        place.seq, place.ready = run.version, due <= moment and place.waits_for is None
        place.tries = place.heard = 0
        place.announce_at = due + timedelta(seconds=change.head_start)
        place.announced_at = place.broker_ref = place.last_error = None
        events.append(
            RunEvent(run_id=run.pk, version=run.version, kind=Kind.DEBOUNCED, data={"due_at": due.isoformat()},
                     at=moment)
        )  # fmt: skip
    Run.objects.using(store.alias).bulk_update(
        runs, ["payload", "meta", "tags", "status", "version", "scheduled_for", "expires_at"], batch_size=500
    )
    Outbox.objects.using(store.alias).bulk_update(
        [waiting[run.pk] for run in runs],
        ["seq", "due_at", "ready", "waits_for", "turn", "expires_at", "announce_at", "announced_at", "broker_ref",
         "tries", "heard", "last_error"],
        batch_size=500,
    )  # fmt: skip
    RunEvent.objects.using(store.alias).bulk_create(events)
    return {run.pk: Status(run.status) for run in runs}


def free(store: Store, ended: Mapping[UUID, Status], *, now: datetime | None = None) -> None:
    """Delete the keys of runs that ended, but those of completed ones whose window is not over."""
    unhappy = [run for run, status in ended.items() if status != Status.COMPLETED]
    for some in portions(sorted(ended)):
        rows = DedupeKey.objects.using(store.alias).filter(run_id__in=some)
        rows = rows.filter(Q(until__lte=clock(store, now)) | Q(run_id__in=unhappy))
        found = list(store.locked(rows).values_list("pk", flat=True))
        if found:
            DedupeKey.objects.using(store.alias).filter(pk__in=found)._raw_delete(store.alias)


def prune(store: Store, *, limit: int, now: datetime | None = None) -> int:
    """Delete keys whose window is over and whose run has ended, or is gone."""
    live = Run.objects.filter(pk=OuterRef("run_id")).exclude(status__in=FINAL)
    over = DedupeKey.objects.using(store.alias).filter(until__lte=clock(store, now))
    found = [
        (key, run)
        for key, run, status in over.annotate(status=Subquery(live.values("status")))
        .filter(status=None)
        .order_by("until")
        .values_list("pk", "run_id", "status")[:limit]
    ]
    rows = DedupeKey.objects.using(store.alias).filter(
        pk__in=[key for key, _ in found], run_id__in=[run for _, run in found]
    )
    return rows._raw_delete(store.alias) or 0


def portions(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (rows[at : at + AT_ONCE] for at in range(0, len(rows), AT_ONCE))
