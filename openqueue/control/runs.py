"""Runs: look at one; retry, cancel, promote, prioritise and discard them by their ids, on record."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, Final
from uuid import UUID

from django.db import OperationalError
from django.db.models import QuerySet

from openqueue.control import audit, run_facts, verbs
from openqueue.control.actor import Actor
from openqueue.control.audit import Act
from openqueue.control.run_facts import LogEntry, RunDetail, TimelineEntry
from openqueue.control.verbs import ACTED, Answers
from openqueue.core import transitions
from openqueue.errors import RunLocked, UnclearRun, UnsupportedCapability
from openqueue.models import Run, RunEvent, RunLog
from openqueue.store import store
from openqueue.store.refusals import is_locked
from openqueue.wording import say as _

MOST_EVENTS: Final = 500
MOST_LOGS: Final = 1_000
Does = Callable[[Mapping[UUID, Run]], Answers]
"""Gets how the runs stand before."""


def show(run_id: UUID) -> RunDetail:
    """Return one run with its newest history and logs, in three statements.

    Raises:
        UnclearRun: there is no such run.
    """
    run = read(run_id)
    happened, more_happened = timeline(run)
    lines, more_lines = logs(run)
    return RunDetail.of(
        run, timeline=happened, timeline_left_off=more_happened, logs=lines, logs_left_off=more_lines
    )


def read(run_id: UUID, *, queues: Collection[str] | None = None) -> Run:
    """Return the row of one run with its places, in one statement; ``queues``: the only ones that exist.

    Raises:
        UnclearRun: there is no such run.
    """
    run = visible(queues).select_related(*run_facts.PLACES).filter(pk=run_id).first()
    if run is None:
        raise UnclearRun(
            _("There is no run {run_id}. It was never committed, or retention deleted it.", run_id=run_id)
        )
    return run


def visible(queues: Collection[str] | None) -> QuerySet[Run]:
    """Return the runs of these queues; None: all runs."""
    rows = Run.objects.using(store().alias).all()
    return rows if queues is None else rows.filter(queue__in=queues)


def timeline(run: Run) -> tuple[list[TimelineEntry], bool]:
    """Return a run's newest history, oldest first, and whether older lines are left off."""
    rows = RunEvent.objects.using(store().alias).filter(run_id=run.pk).order_by("-pk")[: MOST_EVENTS + 1]
    entries = [
        TimelineEntry(
            at=row.at,
            after=(row.at - run.created_at).total_seconds(),
            kind=row.kind,
            attempt=row.attempt,
            version=row.version,
            actor=row.actor,
            data=row.data,
        )
        for row in rows
    ]
    return entries[:MOST_EVENTS][::-1], len(entries) > MOST_EVENTS


def logs(run: Run) -> tuple[list[LogEntry], bool]:
    """Return what a run's code logged last, oldest first, and whether older lines are left off."""
    rows = RunLog.objects.using(store().alias).filter(run_id=run.pk).order_by("-pk")[: MOST_LOGS + 1]
    entries = [
        LogEntry(
            at=row.at,
            after=(row.at - run.created_at).total_seconds(),
            attempt=row.attempt,
            level=row.level,
            text=row.text,
        )
        for row in rows
    ]
    return entries[:MOST_LOGS][::-1], len(entries) > MOST_LOGS


def retry(runs: Sequence[UUID], *, actor: Actor, reason: str = "") -> Answers:
    """Start a new cycle of ended runs; see `verbs.retry` for the answers, by run.

    This and the other acts raise RunLocked where somebody else's transaction holds one of the runs, after two seconds
    on PostgreSQL and as long as the session waits elsewhere; nothing is done then.

    Raises:
        UnsupportedCapability: the settings do not name the runtime of one of them; none is retried.
    """

    def does(before: Mapping[UUID, Run]) -> Answers:
        return verbs.retry(runs, actor=actor.name, before=before)

    return _act("run.retry", runs, does, actor=actor, reason=reason)


def cancel(runs: Sequence[UUID], *, actor: Actor, reason: str = "") -> Answers:
    """Cancel runs wherever they are; see `verbs.cancel`."""
    return _act(
        "run.cancel", runs, lambda _: verbs.cancel(runs, actor=actor.name), actor=actor, reason=reason
    )


def promote(runs: Sequence[UUID], *, actor: Actor, reason: str = "") -> Answers:
    """Make delayed runs due; see `verbs.promote`."""
    return _act(
        "run.promote", runs, lambda _: verbs.promote(runs, actor=actor.name), actor=actor, reason=reason
    )


def prioritise(runs: Sequence[UUID], *, priority: int, actor: Actor, reason: str = "") -> Answers:
    """Give runs that wait a priority; see `verbs.prioritise`.

    Raises:
        PayloadInvalid: no run can have that priority.
        UnsupportedCapability: the runtime of one of them keeps none; none is changed.
    """
    wanted = verbs.checked_priority(priority)

    def does(_: Mapping[UUID, Run]) -> Answers:
        return verbs.prioritise(runs, priority=wanted, actor=actor.name)

    return _act("run.prioritise", runs, does, actor=actor, reason=reason, told={"priority": wanted})


def discard(runs: Sequence[UUID], *, actor: Actor, reason: str = "") -> Answers:
    """Delete ended runs with their events and logs; see `verbs.discard`. What they were is on record."""
    return _act("run.discard", runs, lambda _: verbs.discard(runs), actor=actor, reason=reason)


def _act(
    act: str,
    runs: Sequence[UUID],
    does: Does,
    *,
    actor: Actor,
    reason: str,
    told: Mapping[str, Any] | None = None,
) -> Answers:
    try:
        return transitions.again(
            partial(_acted, act, runs, does, actor=actor, reason=reason, told=told or {})
        )
    except OperationalError as error:
        if is_locked(error):
            raise RunLocked from error
        raise


def _acted(
    act: str, runs: Sequence[UUID], does: Does, *, actor: Actor, reason: str, told: Mapping[str, Any]
) -> Answers:
    is_callers = store().connection.in_atomic_block  # then it is the caller's patience, and a savepoint
    with store().atomic() if is_callers else store().writing():
        before = verbs.labels(runs)
        answers = does(before)
        for run, answer in answers.items():
            if answer == verbs.UNSUPPORTED:
                raise UnsupportedCapability(verbs.unsupported(before[run]))
        acts = [
            Act(act, f"run {run}", before=_facts(before[run]), after={"answer": answer, **told})
            for run, answer in answers.items()
            if answer in ACTED
        ]
        audit.record(acts, actor=actor, reason=reason)
    return answers


def _facts(run: Run) -> dict[str, Any]:
    """Return what the record keeps of a run; of one that is discarded nothing else will tell."""
    return {
        "task_id": run.task_id,
        "queue": run.queue,
        "status": run.status,
        "reason": run.reason,
        "attempt": run.attempt,
        "priority": run.priority,
    }
