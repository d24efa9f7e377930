"""Where a replay stands: its rows in runtime_offsets, one for each source that it reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from django.db import IntegrityError

from openqueue.control import audit
from openqueue.control.actor import Actor
from openqueue.control.audit import Act
from openqueue.control.replay.pages import Source
from openqueue.control.replay.report import Tally
from openqueue.control.replay.wanted import Wanted
from openqueue.models import AuditLog, RuntimeOffset
from openqueue.store import store

READER: Final = "replay"
BEGIN: Final = "replay.begin"


def unfinished(wanted: Wanted) -> list[RuntimeOffset]:
    """Return the places of a replay of the same that was interrupted, finished ones among them; none is none."""
    begun = list(places().filter(reader__startswith=f"{READER} {wanted.digest}-").order_by("pk"))
    standing = max((row.reader for row in begun if row.finished_at is None), default=None)
    return [row for row in begun if row.reader == standing]


def begin(
    settled: Wanted, sources: Sequence[Source], *, digest: str, actor: Actor, reason: str
) -> list[RuntimeOffset]:
    """Write down what is to be replayed, and that somebody accepted its side effects."""
    clock = store().clock(None)
    # Counted where nothing is deleted: histories of past runs name the replays that repeated them.
    begun = AuditLog.objects.using(store().alias).filter(act=BEGIN, object__startswith=f"{READER} {digest}-")
    reader = f"{READER} {digest}-{begun.count() + 1:06}"
    rows = [
        RuntimeOffset(
            reader=reader,
            source=source.name,
            position=source.first,
            until=source.until,
            plan=settled.to_json(),
            tally=Tally().to_json(),
            started_at=clock,
            moved_at=clock,
        )
        for source in sources
    ]
    try:
        with store().atomic():
            places().bulk_create(rows)
            audit.record([Act(BEGIN, reader, after=settled.to_json())], actor=actor, reason=reason)
    except IntegrityError:  # somebody began the same at this very moment: both go on with it
        pass
    return list(places().filter(reader=reader).order_by("pk"))


def take(row: RuntimeOffset) -> RuntimeOffset:
    """Lock a place within a transaction, and return it as it stands now."""
    places().filter(pk=row.pk).update(moved_at=store().clock(None))  # a write locks on every database
    taken: RuntimeOffset = places().get(pk=row.pk)
    return taken


def move(row: RuntimeOffset, position: str, *, tally: Tally, actor: Actor) -> None:
    """Go on to a position, in the transaction of what was made on the way."""
    so_far = Tally.from_json(row.tally)
    so_far.add(tally)
    row.position, row.tally = position, so_far.to_json()
    if position == row.until:
        row.finished_at = row.moved_at
    row.save(using=store().alias, update_fields=["position", "tally", "finished_at"])
    if row.finished_at is not None:
        after = {"source": row.source, **row.tally}
        audit.record([Act("replay.end", row.reader, after=after)], actor=actor)


def leave_off(rows: Sequence[RuntimeOffset], *, actor: Actor) -> None:
    """End an interrupted replay for good, where it stands."""
    with store().atomic():
        standing = places().filter(pk__in=[row.pk for row in rows], finished_at=None)
        if standing.update(finished_at=store().clock(None)):
            audit.record([Act("replay.leave_off", rows[0].reader, after=total(rows).to_json())], actor=actor)


def total(rows: Sequence[RuntimeOffset]) -> Tally:
    """Return the counts of all places together."""
    tally = Tally()
    for row in rows:
        tally.add(Tally.from_json(row.tally))
    return tally


def places() -> Any:
    return RuntimeOffset.objects.using(store().alias)
