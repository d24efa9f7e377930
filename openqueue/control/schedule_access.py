"""Schedules, for a caller from outside: within the queues that the caller sees, answered as they are now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from django.db.models import Q, QuerySet

from openqueue import registry
from openqueue.control import audit, schedules, tasks
from openqueue.control.audit import Act
from openqueue.control.callers import Caller, Right
from openqueue.control.run_acts import RunAnswer
from openqueue.control.run_facts import RunFacts
from openqueue.control.runs import read as read_run
from openqueue.control.schedules import ScheduleFacts, Tick, Wanted
from openqueue.control.search.conditions import Argument
from openqueue.control.tasks import Wish
from openqueue.errors import (
    NotAllowed,
    PayloadInvalid,
    ScheduleInvalid,
    TaskDeclarationError,
    UnclearSchedule,
)
from openqueue.models import Schedule
from openqueue.schedules import changes
from openqueue.schedules.rule import NAMES
from openqueue.store import store
from openqueue.wording import say as _

HIDDEN: Final[Mapping[str, Any]] = {}
UPCOMING: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulePage:
    """Some schedules, in the order of their ids."""

    schedules: Sequence[ScheduleFacts]
    next: int | None
    """Give it as `after` to go on; null: these are the last."""
    data_hidden: bool
    """The caller may not see payloads and options: they are empty here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSchedule:
    """One schedule and when it is due next, without its jitter."""

    schedule: ScheduleFacts
    upcoming: Sequence[datetime]
    data_hidden: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleAnswer:
    """What came of an act, and the schedule as it is now."""

    outcome: str
    schedule: ScheduleFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticks:
    """What became of the moments of a schedule, the newest first."""

    ticks: Sequence[Tick]
    before: datetime | None
    """Give it as `before` to go on; null: these are the oldest."""


def listing(wanted: Wanted, *, caller: Caller) -> SchedulePage:
    """Return a page of schedules, in one statement."""
    found = schedules.find(replace(wanted, limit=wanted.limit + 1), among=_visible(caller))
    page = found[: wanted.limit]
    return SchedulePage(
        schedules=[_shown(facts, caller) for facts in page],
        next=page[-1].id if len(found) > wanted.limit else None,
        data_hidden=not caller.may(Right.DATA),
    )


def one(schedule: int, *, caller: Caller) -> ShownSchedule:
    """Return one schedule. This and the others raise UnclearSchedule for one that the caller does not see."""
    row = _row(schedule, caller)
    return ShownSchedule(
        schedule=_shown(ScheduleFacts.of(row), caller),
        upcoming=schedules.upcoming_of(row, count=UPCOMING),
        data_hidden=not caller.may(Right.DATA),
    )


def ticks(schedule: int, *, before: datetime | None, limit: int, caller: Caller) -> Ticks:
    """Return what became of its moments."""
    _row(schedule, caller)
    found = schedules.history(schedule, before=before, limit=limit + 1)
    return Ticks(ticks=found[:limit], before=found[limit - 1].tick if len(found) > limit else None)


def exists(task_id: str, *, key: str, caller: Caller) -> bool:
    """Tell whether the caller sees a schedule of this task and key."""
    return _visible(caller).filter(task_id=task_id, key=key).exists()


def create(
    task_id: str,
    *,
    key: str,
    rule: Mapping[str, Any],
    payload: Mapping[str, Any],
    options: Mapping[str, Any],
    caller: Caller,
    reason: str = "",
) -> ScheduleAnswer:
    """Create a schedule, or make the one of this key what is given; the outcome is `created` or `changed`.

    Raises:
        UnknownTask: no such task exists for the caller.
        NotAllowed: the caller may not trigger it there: a schedule is a trigger for later.
        ScheduleInvalid: names each option that is wrong; nothing was written.
        PayloadInvalid: the payload does not fit the task's signature; nothing was written.
    """
    task = tasks.occasion(caller, Wish(task_id=task_id, payload=payload, options=options)).task
    with store().atomic():
        before = changes.locked(task_id=task_id, key=key)
        if before is not None and not _visible(caller).filter(pk=before.pk).exists():
            raise NotAllowed(
                _("{name} may not change the schedule of key {key!r}.", name=caller.actor.name, key=key)
            )
        was = None if before is None else schedules.comparable(before)
        with _faults_in_the_request():
            row, created = changes.create(task, key=key, payload=payload, rule=rule, options=options)
        now = schedules.comparable(row)
        if now != was:
            facts = {"task_id": row.task_id, "key": row.key} | now
            act = Act("schedule.create" if created else "schedule.edit", f"schedule {row.pk}", was, facts)
            audit.record([act], actor=caller.actor, reason=reason)
    return _answer("created" if created else "changed", row.pk, caller)


def edit(schedule: int, changed: Mapping[str, Any], *, caller: Caller, reason: str = "") -> ScheduleAnswer:
    """Change what is named; no run of the old definition is made after it.

    Raises:
        NotAllowed: its runs would go to a queue that the caller does not see.
        ScheduleInvalid: names each option that is wrong; nothing was written.
        PayloadInvalid: the payload does not fit the task's signature; nothing was written.
    """
    with store().atomic():
        _row(schedule, caller)
        with _faults_in_the_request():
            schedules.edit(schedule, changed, actor=caller.actor, reason=reason)
        try:
            _row(schedule, caller)
        except UnclearSchedule:
            raise NotAllowed(
                _("{name} sees some queues only, and not this one.", name=caller.actor.name)
            ) from None
    return _answer("changed", schedule, caller)


def pause(schedule: int, *, caller: Caller, reason: str = "") -> ScheduleAnswer:
    """Make no runs of it; the outcome is `paused` or `already paused`."""
    _row(schedule, caller)
    outcome = schedules.pause([schedule], actor=caller.actor, reason=reason)[schedule]
    return _answer(outcome, schedule, caller)


def resume(schedule: int, *, caller: Caller, reason: str = "") -> ScheduleAnswer:
    """Go on with it from now; the outcome is `resumed` or `not paused`."""
    _row(schedule, caller)
    outcome = schedules.resume([schedule], actor=caller.actor, reason=reason)[schedule]
    return _answer(outcome, schedule, caller)


def trigger_now(schedule: int, *, caller: Caller, reason: str = "") -> RunAnswer:
    """Create a run beside the rule.

    Raises:
        UnknownTask: no task of its id is registered here.
        PayloadInvalid: its payload does not fit the task any more.
    """
    _row(schedule, caller)
    run = schedules.trigger_now(schedule, actor=caller.actor, reason=reason)
    return RunAnswer(outcome="triggered", run=RunFacts.of(read_run(run.id, queues=caller.queues)))


def delete(schedule: int, *, caller: Caller, reason: str = "") -> None:
    """Delete it; its runs stay.

    Raises:
        ScheduleInvalid: code declares it: pause it instead.
    """
    _row(schedule, caller)
    schedules.delete(schedule, actor=caller.actor, reason=reason)


@contextmanager
def _faults_in_the_request() -> Iterator[None]:
    """Say where in the request a fault is: what is not of the rule lies in the payload or the options."""
    try:
        yield
    except PayloadInvalid as error:
        raise PayloadInvalid(
            [(tasks.below("payload", path), reason) for path, reason in error.errors]
        ) from error
    except ScheduleInvalid as error:
        own = {*NAMES, "key"}
        faults = [(path if path in own else f"options.{path}", reason) for path, reason in error.errors]
        raise ScheduleInvalid(faults) from error
    except TaskDeclarationError as error:
        raise PayloadInvalid([("options", error.args[0] if error.args else str(error))]) from error


def _visible(caller: Caller) -> QuerySet[Schedule]:
    """Return the schedules whose runs go to a queue that the caller sees."""
    rows = Schedule.objects.using(store().alias).all()
    if caller.queues is None:
        return rows
    its = [task.id for task in registry.every() if caller.sees(task.options.queue)]
    rows = rows.alias(into=Argument("options", path=("queue",)))
    return rows.filter(Q(into__in=sorted(caller.queues)) | Q(into__isnull=True, task_id__in=its))


def _row(schedule: int, caller: Caller) -> Schedule:
    row = _visible(caller).filter(pk=schedule).first()
    if row is None:
        raise UnclearSchedule(_("There is no schedule {schedule}.", schedule=schedule))
    return row


def _shown(facts: ScheduleFacts, caller: Caller) -> ScheduleFacts:
    return facts if caller.may(Right.DATA) else replace(facts, payload=HIDDEN, options=HIDDEN)


def _answer(outcome: str, schedule: int, caller: Caller) -> ScheduleAnswer:
    return ScheduleAnswer(outcome=outcome, schedule=_shown(ScheduleFacts.of(_row(schedule, caller)), caller))
