"""Judges a rule by what was read: which subjects its condition holds for. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, Protocol

from openqueue.alerts import kinds
from openqueue.alerts.readings import Readings

MOST_SUBJECTS: Final = 25
"""That one rule has alerts for at a time; the worst ones, where there are more."""


class Fault(NamedTuple):
    """A condition holds for a subject."""

    value: float
    text: str


class Rule(Protocol):
    """What is judged; a row of rules, or one that nobody has saved."""

    kind: str
    threshold: float
    least: int
    factor: float
    window: int
    queues: Any
    tasks: Any


Faults = Mapping[str, Fault]


def judge(rule: Rule, found: Readings) -> Faults | None:
    """Return the subjects that the condition holds for, the worst first; None: what it needs is not known now."""
    judged = JUDGES[rule.kind](rule, found)
    if judged is None:
        return None
    worst = sorted(judged, key=lambda one: (-one[1].value, one[0]))
    return dict(worst[:MOST_SUBJECTS])


Judged = Iterator[tuple[str, Fault]] | None


def _failure_rate(rule: Rule, found: Readings) -> Judged:
    return None if found.ends is None else _rates(rule, found)


def _rates(rule: Rule, found: Readings) -> Iterator[tuple[str, Fault]]:
    for task, (completed, failed) in _by_task(rule, found).items():
        total = completed + failed
        rate = 100.0 * failed / total
        if failed and total >= rule.least and rate >= rule.threshold:
            text = f"{failed} of {total} runs of {task} failed within {span(rule.window)} ({rate:.1f} %)."
            yield f"task {task}", Fault(rate, text)


def _failures(rule: Rule, found: Readings) -> Judged:
    return None if found.ends is None else _failed(rule, found)


def _failed(rule: Rule, found: Readings) -> Iterator[tuple[str, Fault]]:
    for task, (_, failed) in _by_task(rule, found).items():
        if failed and failed >= rule.threshold:
            runs = "run" if failed == 1 else "runs"
            yield (
                f"task {task}",
                Fault(failed, f"{failed} {runs} of {task} failed within {span(rule.window)}."),
            )


def _by_task(rule: Rule, found: Readings) -> dict[str, tuple[int, int]]:
    counts: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for ends in (found.ends or {}).get(rule.window, ()):
        if _within(rule.queues, ends.queue) and _within(rule.tasks, ends.task_id):
            completed, failed = counts[ends.task_id]
            counts[ends.task_id] = completed + ends.completed, failed + ends.failed
    return counts


def _error_new(rule: Rule, found: Readings) -> Judged:
    return None if found.groups is None or found.until is None else _new(rule, found, found.until)


def _new(rule: Rule, found: Readings, until: datetime) -> Iterator[tuple[str, Fault]]:
    since = until - timedelta(seconds=rule.window)
    for group in (found.groups or {}).get(rule.window, ()):
        if group.appeared_at >= since and group.now and _within(rule.tasks, group.task_id):
            text = f"{group.type} in {group.task_id}: not seen before. {group.now} so far."
            yield f"error {group.id}", Fault(group.now, text)


def _error_rising(rule: Rule, found: Readings) -> Judged:
    return None if found.groups is None else _rising(rule, found)


def _rising(rule: Rule, found: Readings) -> Iterator[tuple[str, Fault]]:
    for group in (found.groups or {}).get(rule.window, ()):
        rose = group.now >= rule.threshold and group.now >= rule.factor * group.before
        if rose and group.now and _within(rule.tasks, group.task_id):
            text = (
                f"{group.type} in {group.task_id}: {group.before} to {group.now} within {span(rule.window)}."
            )
            yield f"error {group.id}", Fault(group.now, text)


def _backlog_age(rule: Rule, found: Readings) -> Judged:
    if found.lines is None:
        return None
    return (
        (
            f"queue {line.queue}",
            Fault(
                line.oldest,
                f"The oldest due run of {line.queue} has waited {span(line.oldest)}; {line.due} are due.",
            ),
        )
        for line in found.lines
        if not line.is_paused and line.oldest >= rule.threshold and _within(rule.queues, line.queue)
    )


def _backlog_size(rule: Rule, found: Readings) -> Judged:
    if found.lines is None:
        return None
    return (
        (
            f"queue {line.queue}",
            Fault(
                line.due, f"{line.due} runs of {line.queue} are due, the oldest since {span(line.oldest)}."
            ),
        )
        for line in found.lines
        if not line.is_paused and line.due >= rule.threshold and _within(rule.queues, line.queue)
    )


def _no_worker(rule: Rule, found: Readings) -> Judged:
    if found.lines is None:
        return None
    return (
        (
            f"queue {line.queue}",
            Fault(
                line.due,
                f"No live worker serves {line.queue}: {line.due} due, the oldest since {span(line.oldest)}.",
            ),
        )
        for line in found.lines
        if not line.is_paused
        and not line.workers
        and line.oldest >= rule.threshold
        and _within(rule.queues, line.queue)
    )


def _outbox_lag(rule: Rule, found: Readings) -> Judged:
    if found.lines is None:
        return None
    oldest: dict[str, float] = {}
    for line in found.lines:
        if line.unannounced is not None and _within(rule.queues, line.queue):
            oldest[line.runtime] = max(oldest.get(line.runtime, 0.0), line.unannounced)
    return (
        (
            f"runtime {alias}",
            Fault(age, f"The runtime {alias} was not told of a run that has been due for {span(age)}."),
        )
        for alias, age in oldest.items()
        if age >= rule.threshold
    )


def _schedule_late(rule: Rule, found: Readings) -> Judged:
    if found.late is None:
        return None
    return (
        (
            f"schedule {late.id}",
            Fault(late.seconds, f"The schedule {late.key} of {late.task_id} is {span(late.seconds)} late."),
        )
        for late in found.late
        if late.seconds >= rule.threshold and _within(rule.tasks, late.task_id)
    )


def _runtime_down(rule: Rule, found: Readings) -> Judged:
    return (
        (f"runtime {alias}", Fault(1.0, f"The runtime {alias} does not answer: {fault}"))
        for alias, fault in found.down.items()
        if fault is not None
    )


JUDGES: Final[Mapping[str, Callable[[Rule, Readings], Judged]]] = {
    kinds.FAILURE_RATE: _failure_rate,
    kinds.FAILURES: _failures,
    kinds.ERROR_NEW: _error_new,
    kinds.ERROR_RISING: _error_rising,
    kinds.BACKLOG_AGE: _backlog_age,
    kinds.BACKLOG_SIZE: _backlog_size,
    kinds.NO_WORKER: _no_worker,
    kinds.OUTBOX_LAG: _outbox_lag,
    kinds.SCHEDULE_LATE: _schedule_late,
    kinds.RUNTIME_DOWN: _runtime_down,
}


def _within(only: Any, name: str) -> bool:
    return not only or name in only


def span(seconds: float) -> str:
    """Return a length of time in one unit or two: 90 s, 5 min, 2 h 10 min."""
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    hours, minutes = divmod(round(whole / 60), 60)
    if not hours:
        return f"{minutes} min"
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
