"""What was counted, for a caller from outside: numbers of ended runs, and groups of errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from openqueue.control import depths, errors, series
from openqueue.control.callers import Caller, Right
from openqueue.control.depths import DepthSeries
from openqueue.control.errors import ErrorDetail, ErrorFacts
from openqueue.control.queue_access import checked
from openqueue.control.series import Breakdown, Numbers, Series

UNCHANGED: Final = "unchanged"
"""The outcome of an act on a group that was so already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NumbersBy:
    """The numbers of one window, by task or by queue."""

    numbers: Mapping[str, Numbers]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorList:
    """Groups of errors, seen last first."""

    errors: Sequence[ErrorFacts]
    data_hidden: bool
    """The caller may not see what errors say: messages are empty here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorAnswer:
    """What came of an act, and the group as it is now."""

    outcome: str
    error: ErrorFacts


def over_time(
    period: timedelta,
    *,
    step: timedelta,
    task_id: str | None,
    queue: str | None,
    caller: Caller,
    counts_only: bool = False,
) -> Series:
    """Return how runs ended, step by step; of the queues that the caller sees. ``counts_only``: without their times.

    Raises:
        UnclearQueue: the caller does not see this queue.
        ValueError: a window or a step that cannot be told.
    """
    _see(queue, caller)
    return series.of(
        period, step=step, task_id=task_id, queue=queue, queues=caller.queues, counts_only=counts_only
    )


def depth_over_time(period: timedelta, *, step: timedelta, queue: str, caller: Caller) -> DepthSeries:
    """Return how much stood in a queue, and how long its oldest run had waited. Raises as ``over_time`` does."""
    _see(queue, caller)
    return depths.of(period, step=step, queue=queue)


def breakdown(period: timedelta, *, step: timedelta, task_id: str | None, caller: Caller) -> Breakdown:
    """Return how runs ended, step by step and by task, read once for both. Raises as ``over_time`` does.

    Raises:
        NotAllowed: the caller may not look at runs.
    """
    caller.needs(Right.READ)
    return series.breakdown(period, step=step, task_id=task_id, queues=caller.queues)


def by_task(period: timedelta, *, queue: str | None, caller: Caller) -> NumbersBy:
    """Return the numbers of a window by task. Raises as ``over_time`` does."""
    _see(queue, caller)
    return NumbersBy(numbers=series.by_task(period, queue=queue, queues=caller.queues))


def by_queue(period: timedelta, *, task_id: str | None, caller: Caller) -> NumbersBy:
    """Return the numbers of a window by queue. Raises as ``over_time`` does."""
    return NumbersBy(numbers=series.by_queue(period, task_id=task_id, queues=caller.queues))


def groups(*, state: str | None, task_id: str | None, limit: int, caller: Caller) -> ErrorList:
    """Return groups of errors, seen last first, in three statements."""
    found = errors.listing(state=state, task_id=task_id, limit=limit)
    return ErrorList(
        errors=[_shown(facts, caller) for facts in found], data_hidden=not caller.may(Right.DATA)
    )


def group(number: int, *, caller: Caller) -> ErrorDetail:
    """Return one group with the runs that failed so last.

    Raises:
        UnclearErrorGroup: there is no such group.
    """
    found = errors.show(number)
    return found if caller.may(Right.DATA) else replace(found, message="", error=None)


def resolve(number: int, *, release: str = "", caller: Caller, reason: str = "") -> ErrorAnswer:
    """Say that it is mended, perhaps in a release (see `errors.resolve`); the outcome is `resolved`, or `unchanged`.

    Raises:
        ValueError: no release can be called that.
    """
    changed = errors.resolve([number], release=release, actor=caller.actor, reason=reason)
    return _answer("resolved", changed, number, caller)


def ignore(
    number: int, *, until: datetime | None, above: int | None = None, caller: Caller, reason: str = ""
) -> ErrorAnswer:
    """Ignore it: for ever, until a moment, or until it fails too often; the outcome is `ignored`, or `unchanged`.

    Raises:
        ValueError: the moment is past, or the number cannot be.
    """
    changed = errors.ignore([number], until=until, above=above, actor=caller.actor, reason=reason)
    return _answer("ignored", changed, number, caller)


def reopen(number: int, *, caller: Caller, reason: str = "") -> ErrorAnswer:
    """Open it again; the outcome is `reopened`, or `unchanged`."""
    return _answer("reopened", errors.reopen([number], actor=caller.actor, reason=reason), number, caller)


def _answer(outcome: str, changed: Sequence[int], number: int, caller: Caller) -> ErrorAnswer:
    found = errors.facts_of(errors.row_of(number))
    return ErrorAnswer(outcome=outcome if changed else UNCHANGED, error=_shown(found, caller))


def _shown(facts: ErrorFacts, caller: Caller) -> ErrorFacts:
    return facts if caller.may(Right.DATA) else replace(facts, message="")


def _see(queue: str | None, caller: Caller) -> None:
    if queue is not None:
        checked(queue, caller=caller)
