"""Queues that change their runtime: what the ORM says well enough where a database has no better words for it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID

from django.db.models import BooleanField, Case, F, OuterRef, Subquery, Value, When
from django.db.models.functions import Greatest

from openqueue.models import Claim, Outbox, Run, RunEvent
from openqueue.models.fields import InstantField
from openqueue.states import CLAIMABLE, Kind

if TYPE_CHECKING:
    from openqueue.store.base import BaseStore

AT_ONCE: Final = 5_000
"""Rows that one statement names."""


def move(
    store: BaseStore, queue: str, *, runtime: str, actor: str, now: datetime | None = None
) -> tuple[int, int]:
    """Announce what waits in the queue anew on this runtime; running ones wait for their next attempt there."""
    moment = store.clock(now)
    with store.atomic():
        places = Outbox.objects.using(store.alias).filter(queue=queue).exclude(runtime=runtime)
        held = Claim.objects.using(store.alias).filter(queue=queue)
        if store.connection.features.has_select_for_update:
            places, held = places.select_for_update(), held.select_for_update()
        rows = list(places.order_by("run_id").values_list("run_id", "runtime"))
        running = list(held.order_by("run_id").values_list("run_id", flat=True))
        for at in range(0, len(rows), AT_ONCE):
            move_rows(store, dict(rows[at : at + AT_ONCE]), runtime=runtime, actor=actor, moment=moment)
        runs = Run.objects.using(store.alias).filter(pk__in=running).exclude(runtime=runtime)
        return len(rows), runs.update(runtime=runtime)


def move_rows(store: BaseStore, rows: dict[UUID, str], *, runtime: str, actor: str, moment: datetime) -> None:
    runs = Run.objects.using(store.alias).filter(pk__in=list(rows), status__in=CLAIMABLE)
    runs.update(runtime=runtime, version=F("version") + 1)
    RunEvent.objects.using(store.alias).bulk_create(
        [
            RunEvent(
                run_id=run,
                version=version,
                attempt=attempt,
                kind=Kind.MOVED,
                actor=actor,
                data={"from": rows[run], "to": runtime},
                at=moment,
            )
            for run, version, attempt in runs.order_by("pk").values_list("pk", "version", "attempt")
        ]
    )
    version = Run.objects.using(store.alias).filter(pk=OuterRef("pk")).values("version")[:1]
    Outbox.objects.using(store.alias).filter(pk__in=list(rows)).update(
        runtime=runtime,
        seq=Subquery(version),
        ready=Case(
            When(due_at__lte=moment, waits_for=None, then=True), default=False, output_field=BooleanField()
        ),
        announce_at=Greatest(F("due_at"), Value(moment, output_field=InstantField())),
        announced_at=None,
        broker_ref=None,
        tries=0,
        heard=0,
        last_error=None,
    )
