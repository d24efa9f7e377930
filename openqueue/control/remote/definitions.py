"""Definitions of tasks whose bodies are not Python: registered over HTTP, by who may work on their queue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db import IntegrityError

from openqueue import registry
from openqueue.control import audit
from openqueue.control.audit import Act
from openqueue.control.callers import Caller
from openqueue.definitions.defined import DefinedTask
from openqueue.errors import (
    DeclaredInCode,
    DefinitionInvalid,
    NotAllowed,
    PayloadInvalid,
    ScheduleInvalid,
    UnknownTask,
)
from openqueue.models import Schedule, TaskDefinition
from openqueue.schedules import changes
from openqueue.store import store

CREATED, CHANGED, UNCHANGED = "created", "changed", "unchanged"
SCHEDULE: Final = "definition"
"""The key of the schedule that a definition brings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DefinitionFacts:
    """A task that is defined over HTTP."""

    id: str
    queue: str
    declaration: Mapping[str, Any]
    created_at: datetime
    updated_at: datetime
    updated_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DefinitionAnswer:
    """What became of a definition."""

    outcome: str
    """created, changed or unchanged."""
    definition: DefinitionFacts


def define(task_id: str, *, queue: str, declaration: Mapping[str, Any], caller: Caller) -> DefinitionAnswer:
    """Write a definition, or make the one of this id what is given; the same again changes nothing.

    Raises:
        DefinitionInvalid: names each field that is wrong; nothing was written.
        DeclaredInCode: a Python function has this id.
        NotAllowed: the caller may not work on the queue, or on the one that it was defined for.
    """
    if task_id in registry.index():
        raise DeclaredInCode(task_id)
    task = DefinedTask.checked(task_id, queue=queue, declaration=declaration)
    _allow(caller, queue)
    with store().atomic():
        at = store().clock(None)
        row = _locked(task_id)
        if row is None:
            row = TaskDefinition(task_id=task_id, queue=queue, declaration=dict(declaration))
            row.created_at = row.updated_at = at
            row.updated_by = caller.actor.name
            try:
                with store().atomic():
                    row.save(using=store().alias, force_insert=True)
            except IntegrityError:  # another was faster: its row is there now
                row = _locked(task_id)
                if row is None:
                    raise
            else:
                _arrange(task)
                _record(CREATED, row, before=None, caller=caller)
                return DefinitionAnswer(outcome=CREATED, definition=_facts(row))
        _allow(caller, row.queue)
        before = {"queue": row.queue} | row.declaration
        if before == {"queue": queue} | dict(declaration):
            return DefinitionAnswer(outcome=UNCHANGED, definition=_facts(row))
        row.queue, row.declaration = queue, dict(declaration)
        row.updated_at, row.updated_by = at, caller.actor.name
        row.save(using=store().alias)
        _arrange(task)
        _record(CHANGED, row, before=before, caller=caller)
    return DefinitionAnswer(outcome=CHANGED, definition=_facts(row))


def withdraw(task_id: str, *, caller: Caller) -> DefinitionFacts:
    """Delete a definition and its schedule; its runs stay, and those that wait end as those of unknown tasks do.

    Raises:
        UnknownTask: there is none for the caller.
        NotAllowed: the caller may not work on its queue.
    """
    with store().atomic():
        row = _locked(task_id)
        if row is None or not caller.sees(row.queue):
            raise UnknownTask(task_id)
        _allow(caller, row.queue)
        facts = _facts(row)
        row.delete(using=store().alias)
        Schedule.objects.using(store().alias).filter(task_id=task_id, key=SCHEDULE).delete()
        audit.record(
            [
                Act(
                    "task.withdraw",
                    f"task {task_id}",
                    before={"queue": facts.queue} | dict(facts.declaration),
                )
            ],
            actor=caller.actor,
        )
    return facts


def one(task_id: str, *, caller: Caller) -> DefinitionFacts:
    """Return a definition.

    Raises:
        UnknownTask: there is none for the caller.
    """
    row = TaskDefinition.objects.using(store().alias).filter(pk=task_id).first()
    if row is None or not caller.sees(row.queue):
        raise UnknownTask(task_id)
    return _facts(row)


def _arrange(task: DefinedTask) -> None:
    """Bring the schedule of a definition in line with it: the same rule keeps its next tick, and a pause stands."""
    rule = dict(task.declaration.get("schedule") or {})
    if not rule:
        Schedule.objects.using(store().alias).filter(task_id=task.id, key=SCHEDULE).delete()
        return
    payload = rule.pop("payload", {})
    try:
        changes.create(task, key=SCHEDULE, payload=payload, rule=rule, options={})
    except PayloadInvalid as error:
        raise DefinitionInvalid(
            [(_below("schedule.payload", e.path), e.reason) for e in error.errors]
        ) from error
    except ScheduleInvalid as error:
        raise DefinitionInvalid([(f"schedule.{e.path}", e.reason) for e in error.errors]) from error


def _below(path: str, inner: str) -> str:
    return path if inner == "payload" else f"{path}.{inner}"


def _allow(caller: Caller, queue: str) -> None:
    if not caller.may_work(queue):
        raise NotAllowed(f"{caller.actor.name} may not work on queue {queue!r}.")


def _record(act: str, row: TaskDefinition, *, before: Any, caller: Caller) -> None:
    after = {"queue": row.queue} | row.declaration
    verb = "task.define" if act == CREATED else "task.redefine"
    audit.record([Act(verb, f"task {row.task_id}", before=before, after=after)], actor=caller.actor)


def _locked(task_id: str) -> TaskDefinition | None:
    rows = TaskDefinition.objects.using(store().alias).filter(pk=task_id)
    if store().connection.features.has_select_for_update:
        rows = rows.select_for_update()
    return rows.first()


def _facts(row: TaskDefinition) -> DefinitionFacts:
    return DefinitionFacts(
        id=row.task_id,
        queue=row.queue,
        declaration=row.declaration,
        created_at=row.created_at,
        updated_at=row.updated_at,
        updated_by=row.updated_by,
    )
