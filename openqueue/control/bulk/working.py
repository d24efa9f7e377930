"""Acting on many runs, batch after batch: a batch and the place behind it are one transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from functools import partial
from typing import Final
from uuid import UUID

from django.db import OperationalError

from openqueue import orders
from openqueue.control import audit
from openqueue.control.actor import Actor
from openqueue.control.audit import Act
from openqueue.control.bulk import facts, walk
from openqueue.control.bulk.acts import ACTS
from openqueue.control.bulk.facts import BulkFacts
from openqueue.control.bulk.walk import Position
from openqueue.control.verbs import ACTED
from openqueue.core import transitions
from openqueue.errors import RunLocked, WrongState
from openqueue.models import BulkOperation
from openqueue.store import store
from openqueue.store.refusals import is_locked
from openqueue.wording import say as _

BATCH: Final = 1_000
"""Runs of one transaction."""
TASK: Final = "openqueue.act_on_runs"
LOCKED: Final = "locked"
"""Why a run was skipped whose rows somebody else's transaction held."""


def begin(operation: UUID) -> UUID:
    """Have a run of its own do an operation, or what is left of it; return that run."""
    run = orders.trigger(TASK, {"operation": str(operation)}).id
    BulkOperation.objects.using(store().alias).filter(pk=operation).update(run_id=run)
    return run


def drive(operation: UUID, *, batch: int = BATCH) -> Iterator[BulkFacts]:
    """Go on with an operation until it is through or stopped, and tell after each batch how it stands.

    Several may drive the same one: they take turns.
    """
    while True:
        now = step(operation, batch=batch)
        yield now
        if now.finished_at is not None:
            return


def step(operation: UUID, *, batch: int = BATCH) -> BulkFacts:
    """Act on the next batch of an operation, all of it or nothing; return how it stands.

    Runs that somebody else's transaction holds for longer than two seconds are skipped.

    Raises:
        UnclearOperation: there is no such operation.
    """
    met: list[UUID] = []
    locked: set[UUID] = set()
    while True:
        try:
            row = transitions.again(partial(_step, operation, batch=batch, locked=locked, met=met))
        except (RunLocked, OperationalError) as error:
            if not (isinstance(error, RunLocked) or is_locked(error)) or store().connection.in_atomic_block:
                raise
            if not met:
                continue  # somebody else is at this operation
            more = store().locked_runs(met) - locked
            # Held may also be what belongs to a run: then it is found by smaller and smaller batches.
            locked |= more or (set(met) if len(met) == 1 else set())
            batch = batch if more else max(1, batch // 10)
        else:
            return facts.show(operation) if row is None else BulkFacts.of(row, is_driven=True)


def _step(operation: UUID, *, batch: int, locked: Collection[UUID], met: list[UUID]) -> BulkOperation | None:
    rows = BulkOperation.objects.using(store().alias).filter(pk=operation, finished_at=None)
    moment = store().clock(None)
    met.clear()
    with store().writing():
        # It locks the row: who stops it waits for the end of the batch, who else drives it for their turn.
        if not rows.update(moved_at=moment):
            return None
        row = rows.get()
        sought = walk.meant(
            row.search, asked_at=row.asked_at, queues=row.queues, sees_payloads=row.sees_payloads
        )
        found = walk.batch(sought, Position.read(row.position), size=batch)
        met[:] = found.runs
        free = [run for run in met if run not in locked]
        answers = ACTS[row.act].does(free, row.actor, row.arguments) if free else {}
        counts = Counter(answers.values()) + Counter([LOCKED] * (len(met) - len(free)))
        row.acted += sum(count for answer, count in counts.items() if answer in ACTED)
        row.skipped = dict(
            Counter(row.skipped)
            + Counter({answer: count for answer, count in counts.items() if answer not in ACTED})
        )
        row.looked_at += found.looked_at
        row.moved_at = moment
        if found.position is None:
            row.finished_at = moment
        else:
            row.position = found.position.written()
        row.save(
            using=store().alias,
            update_fields=["acted", "skipped", "looked_at", "position", "moved_at", "finished_at"],
        )
    return row


def stop(operation: UUID, *, actor: Actor, reason: str = "") -> BulkFacts:
    """End an operation behind the batch that it is at; what was done stays done.

    Raises:
        UnclearOperation: there is no such operation.
        WrongState: it is through already.
    """
    facts.show(operation)
    with store().atomic():
        moment = store().clock(None)
        rows = BulkOperation.objects.using(store().alias).filter(pk=operation, finished_at=None)
        stopped = rows.update(finished_at=moment, moved_at=moment, stopped_by=actor.name)
        if stopped:
            audit.record([Act("bulk.stop", f"bulk {operation}")], actor=actor, reason=reason)
    now = facts.show(operation)
    if not stopped:
        raise WrongState(_("It is through already: nothing is left to stop."), code="finished", now=now)
    return now


def resume(operation: UUID, *, actor: Actor, reason: str = "") -> BulkFacts:
    """Have a run of its own go on with an operation whose run ended before it was through.

    Raises:
        UnclearOperation: there is no such operation.
        WrongState: it is through, or somebody is at it.
    """
    now = facts.show(operation)
    if now.state not in {facts.INTERRUPTED, facts.WORKING} or (now.state == facts.WORKING and now.run_id):
        raise WrongState(
            _("It is {state}: there is nothing to resume.", state=now.state),
            code="nothing_to_resume",
            now=now,
        )
    with store().atomic():
        act = Act("bulk.resume", f"bulk {operation}", after={"run": str(begin(operation))})
        audit.record([act], actor=actor, reason=reason)
    return facts.show(operation)
