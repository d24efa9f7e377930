"""One run, for a caller from outside: looked at and acted on within what the caller sees; answered as it is now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

from openqueue import registry
from openqueue.control import attempts, repeats, run_logs, runs, verbs
from openqueue.control.attempts import Attempt
from openqueue.control.callers import Caller, Right
from openqueue.control.run_facts import RunFacts, RunState, TimelineEntry
from openqueue.control.run_logs import LogLine
from openqueue.core.cancellation import FINISHED, MISSING
from openqueue.errors import NotAllowed, WrongState
from openqueue.wording import say as _


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownRun(RunState):
    """One run with what it carries."""

    data_hidden: bool
    """The caller may not see payload, result, error, meta and options: they are empty here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunAnswer:
    """What came of an act, and the run as it is now."""

    outcome: str
    run: RunFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """A run's history, oldest first."""

    events: list[TimelineEntry]
    left_off: bool
    """Older ones are on record."""
    data_hidden: bool
    """The caller may not see what the events carry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Logs:
    """What a run's code logged, oldest first."""

    logs: list[LogLine]
    left_off: bool
    """More are on record: older ones, or newer ones where `after` was given."""
    last: int
    """The place of the newest of these lines: give it as `after` to follow a run that goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    """The attempts of a run, oldest first."""

    attempts: list[Attempt]
    left_off: bool
    """Older ones are on record."""
    data_hidden: bool
    """The caller may not see the errors."""


def show(run_id: UUID, *, caller: Caller) -> ShownRun:
    """Return one run, in one statement. This and the others raise UnclearRun for one that the caller does not see."""
    hidden = not caller.may(Right.DATA)
    run = ShownRun.of(runs.read(run_id, queues=caller.queues), data_hidden=hidden)
    return replace(run, payload={}, result=None, error=None, meta={}, options={}) if hidden else run


def events(run_id: UUID, *, caller: Caller) -> Events:
    """Return its history, in two statements."""
    hidden = not caller.may(Right.DATA)
    entries, more = runs.timeline(runs.read(run_id, queues=caller.queues))
    entries = [replace(entry, data=None) for entry in entries] if hidden else entries
    return Events(events=entries, left_off=more, data_hidden=hidden)


def logs(
    run_id: UUID,
    *,
    caller: Caller,
    attempt: int | None = None,
    level: int | None = None,
    text: str | None = None,
    after: int | None = None,
    limit: int = run_logs.MOST,
) -> Logs:
    """Return its newest lines, or those after a place, in two statements; see `run_logs.find`."""
    wanted: Any = {"attempt": attempt, "level": level, "text": text, "limit": limit, "queues": caller.queues}
    if after is None:
        lines, more = run_logs.newest(run_id, **wanted)
        return Logs(logs=lines, left_off=more, last=lines[-1].id if lines else 0)
    page = run_logs.find(run_id, after=after, **wanted)
    return Logs(logs=list(page.lines), left_off=page.next is not None, last=page.last)


def tries(run_id: UUID, *, caller: Caller) -> Attempts:
    """Return its attempts, in two statements."""
    hidden = not caller.may(Right.DATA)
    run = runs.read(run_id, queues=caller.queues)
    entries, more = runs.timeline(run)
    folded = attempts.fold(entries, cycle=run.cycle)
    folded = [replace(attempt, error=None) for attempt in folded] if hidden else folded
    return Attempts(attempts=folded, left_off=more, data_hidden=hidden)


def cancel(run_id: UUID, *, caller: Caller, reason: str = "") -> RunAnswer:
    """Cancel it; the outcome is `cancelled` or `requested`.

    This and the other acts tell three refusals apart, beside UnclearRun for a run that the caller does not see.

    Raises:
        NotAllowed: the caller lacks the right.
        WrongState: it has ended already.
        RunLocked: somebody else's transaction holds its row.
    """
    caller.needs(Right.CANCEL)
    runs.read(run_id, queues=caller.queues)
    outcome = runs.cancel([run_id], actor=caller.actor, reason=reason)[run_id]
    # What is in no place and not final is between two: it was not cancelled.
    return _answer(run_id, outcome, caller)


def retry(run_id: UUID, *, caller: Caller, reason: str = "") -> RunAnswer:
    """Start a new cycle of it; the outcome is `requeued`.

    Raises:
        NotAllowed: the caller lacks the right.
        UnsupportedCapability: the settings do not name its runtime.
        WrongState: it has not ended, or another run has its dedupe key by now.
    """
    caller.needs(Right.RETRY)
    runs.read(run_id, queues=caller.queues)
    outcome = runs.retry([run_id], actor=caller.actor, reason=reason)[run_id]
    return _answer(run_id, outcome, caller)


def promote(run_id: UUID, *, caller: Caller, reason: str = "") -> RunAnswer:
    """Make it due before its time; the outcome is `promoted`.

    Raises:
        NotAllowed: the caller lacks the right.
        WrongState: it does not wait for a later moment.
    """
    caller.needs(Right.PROMOTE)
    runs.read(run_id, queues=caller.queues)
    outcome = runs.promote([run_id], actor=caller.actor, reason=reason)[run_id]
    return _answer(run_id, outcome, caller)


def prioritise(run_id: UUID, *, priority: int, caller: Caller, reason: str = "") -> RunAnswer:
    """Give it another priority while it waits; the outcome is `prioritised` or `unchanged`.

    Raises:
        NotAllowed: the caller lacks the right.
        PayloadInvalid: no run can have that priority.
        UnsupportedCapability: its runtime keeps no priorities.
        WrongState: it does not wait in its queue.
    """
    caller.needs(Right.PROMOTE)
    runs.read(run_id, queues=caller.queues)
    outcome = runs.prioritise([run_id], priority=priority, actor=caller.actor, reason=reason)[run_id]
    return _answer(run_id, outcome, caller)


def discard(run_id: UUID, *, caller: Caller, reason: str = "") -> RunAnswer:
    """Delete it with its events and logs; the outcome is `discarded`, and the run as it was.

    Raises:
        NotAllowed: the caller lacks the right.
        WrongState: it has not ended, or it is a node of a flow, with which it goes.
    """
    caller.needs(Right.DISCARD)
    before = RunFacts.of(runs.read(run_id, queues=caller.queues))
    outcome = runs.discard([run_id], actor=caller.actor, reason=reason)[run_id]
    if outcome == verbs.DISCARDED:
        return RunAnswer(outcome=outcome, run=before)
    return _answer(run_id, outcome, caller)


def replay(
    run_id: UUID, *, payload: Mapping[str, Any] | None = None, caller: Caller, reason: str = ""
) -> RunAnswer:
    """Repeat it by a new run, with the same arguments or with these; the outcome is `triggered`, and the new run.

    Raises:
        NotAllowed: the caller lacks the rights to trigger runs and to see payloads, or may not trigger this task there.
        UnknownTask: its task is not registered here any more.
        PayloadInvalid: the arguments do not fit the task; nothing was written.
        UnsupportedCapability: it has a priority, and the runtime of its queue keeps none.
        WrongState: it has not ended.
    """
    caller.needs(Right.TRIGGER, Right.DATA)
    before = runs.read(run_id, queues=caller.queues)
    if not caller.may_trigger(before.task_id, queue=before.queue):
        raise NotAllowed(
            _(
                "{name} may not trigger {task_id} in queue {queue!r}.",
                name=caller.actor.name,
                task_id=before.task_id,
                queue=before.queue,
            )
        )
    task = registry.index().get(before.task_id)
    if task is not None and not getattr(task, "api_enqueueable", True) and not caller.is_operator:
        raise NotAllowed(
            _(
                "{task_id} is declared with api_enqueueable=False: only code may trigger it.",
                task_id=before.task_id,
            )
        )
    new = repeats.repeat(run_id, payload=payload, actor=caller.actor, reason=reason)
    if new is None:
        return _answer(run_id, verbs.UNFINISHED, caller)
    return RunAnswer(outcome="triggered", run=RunFacts.of(runs.read(new)))


REFUSALS: Final = {
    FINISHED: ("already_finished", _("The run has ended already.")),
    verbs.UNFINISHED: ("not_finished", _("Only a run that has ended allows that.")),
    verbs.DUPLICATE: (
        "duplicate",
        _("Another run has its dedupe key by now: both would be at work at a time."),
    ),
    verbs.DUE: ("already_due", _("The run is due already: a worker takes it when it has room.")),
    verbs.NODE: ("in_a_flow", _("The run is a node of a flow, and goes with it.")),
    "running": ("running", _("The run is running.")),
    "waiting": ("waiting", _("The run waits for other nodes of its flow.")),
}
"""Answers that are refusals, as programs know them and as people read them."""


def _answer(run_id: UUID, outcome: str, caller: Caller) -> RunAnswer:
    now = RunFacts.of(runs.read(run_id, queues=caller.queues))
    if outcome == MISSING:  # it was there a moment ago: it is between two places, or it was one that is gone
        outcome = FINISHED
    if outcome in REFUSALS:
        code, message = REFUSALS[outcome]
        raise WrongState(
            _("{message} It is {status} now.", message=message, status=now.status), code=code, now=now
        )
    return RunAnswer(outcome=outcome, run=now)
