"""Schedules that code declares, brought in line with the table: what operators did to them stays."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from openqueue import registry
from openqueue.errors import OpenQueueError
from openqueue.models import Schedule
from openqueue.schedules import changes
from openqueue.schedules.rule import NAMES, TIMES, Rule
from openqueue.store import store

logger = logging.getLogger("openqueue")

KEY: Final = ""
"""Of the one schedule that a task declares."""
Declared = Mapping[str, Rule]


def declarations() -> dict[str, Rule]:
    """Return the rule of each task that declares one; a wrong one is logged and left out (its check says why)."""
    found = {}
    for task in registry.every():
        if not task.declared_rule:
            continue
        try:
            rule = Rule.checked(task.declared_rule)
            task.signature.load({})
            found[task.id] = rule
        except OpenQueueError as error:
            logger.error("a declared schedule is not valid", extra={"task": repr(task), "error": str(error)})
    return found


def synchronise(*, now: datetime | None = None) -> None:
    """Create what code declares anew, change what it declares differently, retire what it declares no more.

    A field is only written when the code's own value of it changed, and a pause stands. When nothing changed, this is
    one statement. Safe in any number of processes.
    """
    wanted, there = declarations(), list(rows())
    if all(is_current(row, wanted) for row in there) and wanted.keys() <= {row.task_id for row in there}:
        return
    with store().atomic():
        clock = store().clock(now)
        found = {row.task_id: row for row in store().locked(rows().order_by("pk"))}
        new = [made(task_id, rule, clock) for task_id, rule in wanted.items() if task_id not in found]
        Schedule.objects.using(store().alias).bulk_create(new, ignore_conflicts=True)
        changed = [row for row in found.values() if not is_current(row, wanted)]
        served = store().served_tasks() if changed else set()
        for row in changed:
            adopt(row, wanted.get(row.task_id), served=served, clock=clock)
        Schedule.objects.using(store().alias).bulk_update(changed, WRITTEN)


def rows() -> Any:
    return Schedule.objects.using(store().alias).filter(key=KEY)


def is_current(row: Schedule, wanted: Declared) -> bool:
    rule = wanted.get(row.task_id)
    if rule is None:
        return row.retired_at is not None
    return row.retired_at is None and row.declaration == rule.to_json()


def made(task_id: str, rule: Rule, clock: datetime) -> Schedule:
    row = Schedule(
        task_id=task_id, key=KEY, payload={}, declaration=rule.to_json(), created_at=clock, updated_at=clock
    )
    changes.obey(row, rule)
    changes.set_next(row, clock)
    return row


def adopt(row: Schedule, rule: Rule | None, *, served: set[str], clock: datetime) -> None:
    """Bring one row in line with the code."""
    if rule is None:
        # A task that is not known here at all may live in code that other workers run.
        if row.task_id in registry.index() or row.task_id not in served:
            changes.retire(row, clock)
        return
    before, after = row.declaration or {}, rule.to_json()
    differing = [name for name in NAMES if before.get(name) != after[name]]
    for name in differing:
        setattr(row, name, getattr(rule, name))
    was_retired, row.retired_at, row.declaration = row.retired_at is not None, None, after
    if differing:
        row.updated_at = clock
    if "starts_at" in differing:
        changes.set_anchor(row)
    if was_retired or TIMES & set(differing):
        changes.set_next(row, clock)


WRITTEN: Final = [
    *NAMES, "anchor", "declaration", "retired_at", "next_tick", "next_at", "waiting_tick", "error", "error_at",
    "failures", "updated_at",
]  # fmt: skip
