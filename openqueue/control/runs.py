"""Runs: list them, look at one, retry and cancel."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import Final
from uuid import UUID

from openqueue.control import audit, run_facts
from openqueue.control.actor import Actor
from openqueue.control.audit import Act
from openqueue.control.run_facts import LogEntry, RunDetail, TimelineEntry
from openqueue.core import cancellation, transitions
from openqueue.core.post_commit import announce_on_commit
from openqueue.core.trigger import head_start
from openqueue.errors import UnclearRun
from openqueue.models import Run, RunEvent, RunLog
from openqueue.runtimes.base import Message
from openqueue.store import store

MOST_EVENTS: Final = 500
MOST_LOGS: Final = 1_000
REQUEUED, UNFINISHED, MISSING = "requeued", "unfinished", "missing"
ACTED: Final = frozenset({REQUEUED, cancellation.CANCELLED, cancellation.REQUESTED})
"""Answers that say that something was done."""


def show(run_id: UUID) -> RunDetail:
    """Return one run with its newest history and logs, in three statements.

    Raises:
        UnclearRun: there is no such run.
    """
    alias = store().alias
    run = Run.objects.using(alias).select_related(*run_facts.PLACES).filter(pk=run_id).first()
    if run is None:
        raise UnclearRun(f"There is no run {run_id}. It was never committed, or retention deleted it.")
    happened, more_happened = timeline(run)
    lines, more_lines = logs(run)
    return RunDetail.of(
        run,
        payload=run_facts.shown_payload(run),
        result=run.result,
        error=run.error,
        meta=run.meta or {},
        options=run.options or {},
        worker_id=run.worker_id,
        expires_at=run.expires_at,
        traceparent=run.traceparent,
        timeline=happened,
        timeline_left_off=more_happened,
        logs=lines,
        logs_left_off=more_lines,
    )


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


def retry(runs: Sequence[UUID], *, actor: Actor, reason: str = "") -> dict[UUID, str]:
    """Start a new cycle of finished runs; answer `requeued`, `unfinished` or `missing` per run."""
    return transitions.again(partial(_retry, runs, actor=actor, reason=reason))


def cancel(runs: Sequence[UUID], *, actor: Actor, reason: str = "") -> dict[UUID, str]:
    """Cancel runs wherever they are; answer `cancelled`, `requested`, `finished` or `missing` per run."""
    return transitions.again(partial(_cancel, runs, actor=actor, reason=reason))


def _retry(runs: Sequence[UUID], *, actor: Actor, reason: str) -> dict[UUID, str]:
    with store().atomic():
        rows = _labels(runs)
        by_runtime: dict[str, list[UUID]] = defaultdict(list)
        for pk, row in rows.items():
            if row.is_final:
                by_runtime[row.runtime].append(pk)
        answers = dict.fromkeys(runs, MISSING) | dict.fromkeys(rows, UNFINISHED)
        for runtime, ended in by_runtime.items():
            places = transitions.requeue(ended, actor=actor.name, head_start=head_start(runtime))
            announce_on_commit(
                runtime,
                [
                    Message(run, seq, rows[run].task_id, queue, priority=rows[run].priority)
                    for run, seq, queue, _ in places
                ],
            )
            answers |= {run: REQUEUED for run, *_ in places}
        _record("run.retry", answers, before=rows, actor=actor, reason=reason)
    return answers


def _cancel(runs: Sequence[UUID], *, actor: Actor, reason: str) -> dict[UUID, str]:
    with store().atomic():
        rows = _labels(runs)
        found = cancellation.cancel(runs, actor=actor.name)
        answers = {run: found[run] for run in runs}
        _record("run.cancel", answers, before=rows, actor=actor, reason=reason)
    return answers


def _labels(runs: Sequence[UUID]) -> dict[UUID, Run]:
    rows = Run.objects.using(store().alias).filter(pk__in=runs)
    return {row.pk: row for row in rows.only("task_id", "runtime", "priority", "status", "reason", "attempt")}


def _record(
    act: str, answers: dict[UUID, str], *, before: dict[UUID, Run], actor: Actor, reason: str
) -> None:
    audit.record(
        [
            Act(
                act,
                f"run {run}",
                before={
                    "status": before[run].status,
                    "reason": before[run].reason,
                    "attempt": before[run].attempt,
                },
                after={"answer": answer},
            )
            for run, answer in answers.items()
            if answer in ACTED
        ],
        actor=actor,
        reason=reason,
    )
