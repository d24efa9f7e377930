"""What operators can do to runs: set-wise, within the caller's transaction, with an answer for each; nothing on record.

Who asks for it, by ids or by a search, puts it on record.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from openqueue.conf import config
from openqueue.core import cancellation, disposal, precedence, reopening, transitions
from openqueue.core.cancellation import CANCELLED
from openqueue.core.cancellation import FINISHED as FINISHED
from openqueue.core.cancellation import MISSING as MISSING
from openqueue.core.cancellation import REQUESTED as REQUESTED
from openqueue.core.trigger import head_start
from openqueue.errors import PayloadInvalid
from openqueue.models import Run
from openqueue.options import HIGHEST, LOWEST, is_whole
from openqueue.states import FINAL, Status
from openqueue.store import store
from openqueue.wording import say as _

REQUEUED, PROMOTED, PRIORITISED, DISCARDED = "requeued", "promoted", "prioritised", "discarded"
ACTED: Final = frozenset({REQUEUED, CANCELLED, REQUESTED, PROMOTED, PRIORITISED, DISCARDED})
"""Answers that say that something was done."""
UNFINISHED, DUPLICATE, UNSUPPORTED = "unfinished", "duplicate", "unsupported"
DUE, UNCHANGED, NODE = "due", "unchanged", "in a flow"
LABELS: Final = ("status", "reason", "attempt", "dedupe_key", "queue", *reopening.COLUMNS)
Answers = dict[UUID, str]


def labels(runs: Sequence[UUID]) -> dict[UUID, Run]:
    """Read how runs stand: what their acts and the record of these need, in one statement."""
    rows = Run.objects.using(store().alias).filter(pk__in=runs)
    return {row.pk: row for row in rows.only(*LABELS)}


def checked_priority(priority: Any) -> int:
    """Return a priority that a run can have.

    Raises:
        PayloadInvalid: no run can.
    """
    if not is_whole(priority) or not LOWEST <= priority <= HIGHEST:
        raise PayloadInvalid(
            [
                (
                    "priority",
                    _("must be a whole number from {lowest} to {highest}", lowest=LOWEST, highest=HIGHEST),
                )
            ]
        )
    return int(priority)


def cancel(runs: Sequence[UUID], *, actor: str) -> Answers:
    """Cancel runs wherever they are: `cancelled`, `requested`, `finished` or `missing`.

    Raises:
        RunLocked: somebody else's transaction holds the row of one of them.
    """
    found = cancellation.cancel(runs, actor=actor)
    return {run: found[run] for run in runs}


def retry(runs: Sequence[UUID], *, actor: str, before: Mapping[UUID, Run]) -> Answers:
    """Start a new cycle of ended runs: `requeued`, `unfinished`, `missing`, `duplicate` or `unsupported`.

    `duplicate`: another run has its dedupe key by now, so that the two would be at work at the same time.
    `unsupported`: the settings do not name its runtime.

    before: as `labels` read them.
    """
    by_runtime: dict[str, list[UUID]] = defaultdict(list)
    answers = dict.fromkeys(runs, MISSING) | dict.fromkeys(before, UNFINISHED)
    for pk, row in before.items():
        if row.is_final:
            by_runtime[row.runtime].append(pk)
    for runtime, ended in by_runtime.items():
        if runtime not in config.runtimes:
            answers |= dict.fromkeys(ended, UNSUPPORTED)
            continue
        places = transitions.requeue(ended, actor=actor, head_start=head_start(runtime))
        reopening.announce(places, runs=before)
        answers |= {run: DUPLICATE for run in ended if before[run].dedupe_key}
        answers |= {run: REQUEUED for run, *_ in places}
    return answers


def promote(runs: Sequence[UUID], *, actor: str) -> Answers:
    """Make delayed runs due: `promoted`, `due`, `running`, `waiting` (for its flow), `finished` or `missing`."""
    done = precedence.promote(runs, actor=actor)
    return _answers(runs, done, PROMOTED, otherwise=lambda _: DUE)


def prioritise(runs: Sequence[UUID], *, priority: int, actor: str) -> Answers:
    """Give runs that wait a priority.

    `prioritised`, `unchanged`, `unsupported` (its runtime keeps none), `running`, `waiting` (for its flow),
    `finished` or `missing`.
    """
    done = precedence.prioritise(runs, priority=priority, actor=actor)
    return _answers(
        runs,
        done,
        PRIORITISED,
        otherwise=lambda run: UNCHANGED if precedence.keeps_priorities(run.runtime) else UNSUPPORTED,
    )


def discard(runs: Sequence[UUID]) -> Answers:
    """Delete ended runs with their events and logs: `discarded`, `unfinished`, `in a flow` or `missing`."""
    gone = disposal.discard(runs)
    answers = dict.fromkeys(runs, MISSING) | dict.fromkeys(gone, DISCARDED)
    left = [run for run, answer in answers.items() if answer == MISSING]
    if left:
        answers |= dict.fromkeys(labels(left), UNFINISHED) | dict.fromkeys(disposal.nodes(left), NODE)
    return answers


def unsupported(run: Run) -> str:
    """Say why a runtime does not allow what was asked of one of its runs."""
    if run.runtime not in config.runtimes:
        return _(
            "Run {run} is on the runtime {runtime!r}, which the settings do not name. Put it back into "
            "OPENQUEUE['RUNTIMES'].",
            run=run.pk,
            runtime=run.runtime,
        )
    return _(
        "Run {run} is in queue {queue!r} on {runtime!r}, which keeps no priorities. Move the queue to a runtime that "
        "has them: `openqueue_queues move`.",
        run=run.pk,
        queue=run.queue,
        runtime=run.runtime,
    )


def _answers(
    runs: Sequence[UUID], done: Sequence[UUID], word: str, *, otherwise: Callable[[Run], str]
) -> Answers:
    """Say for those that nothing was done to how they stand instead."""
    answers = dict.fromkeys(runs, MISSING) | dict.fromkeys(done, word)
    left = [run for run in runs if answers[run] != word]
    for run, row in (labels(left) if left else {}).items():
        if row.status in FINAL:
            answers[run] = FINISHED
        elif row.status in {Status.RUNNING, Status.WAITING}:
            answers[run] = str(row.status)
        else:
            answers[run] = otherwise(row)
    return answers
