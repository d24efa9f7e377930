"""Schedules, as operators see and change them; each act is on record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self
from uuid import UUID

from django.db.models import QuerySet

from openqueue import registry, secrets
from openqueue.conf import config
from openqueue.control import audit
from openqueue.control.actor import Actor
from openqueue.control.audit import Act
from openqueue.control.repeats import edited
from openqueue.errors import UnknownTask
from openqueue.handle import RunHandle
from openqueue.models import Schedule, ScheduleTick
from openqueue.schedules import changes
from openqueue.schedules.handle import ScheduleHandle
from openqueue.schedules.rule import Rule
from openqueue.store import store

STATUSES: Final = ("active", "failing", "paused", "retired", "ended")
PAUSED, ALREADY, RESUMED, OPEN = "paused", "already paused", "resumed", "not paused"
TICKS: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleFacts:
    """One schedule as people see it. Durations are seconds."""

    id: int
    task_id: str
    key: str
    kind: str
    """declared or dynamic."""
    status: str
    cron: str
    every: float | None
    timezone: str
    misfire: str
    catchup_window: float | None
    overlap: str
    jitter: float
    starts_at: datetime | None
    ends_at: datetime | None
    payload: Any
    """Secret arguments masked."""
    options: Mapping[str, Any]
    next_at: datetime | None
    last_tick: datetime | None
    last_run_at: datetime | None
    last_run_id: UUID | None
    error: str
    failures: int
    paused_at: datetime | None
    paused_by: str

    @classmethod
    def of(cls, row: Schedule) -> Self:
        """Read a row."""
        rule = Rule.of(row).to_json() | {"starts_at": row.starts_at, "ends_at": row.ends_at}
        same = (
            "next_at",
            "last_tick",
            "last_run_at",
            "last_run_id",
            "error",
            "failures",
            "paused_at",
            "paused_by",
        )
        return cls(
            id=row.pk,
            task_id=row.task_id,
            key=row.key,
            kind="declared" if row.is_declared else "dynamic",
            status=row.status,
            payload=shown_payload(row),
            options=row.options or {},
            **rule,
            **{name: getattr(row, name) for name in same},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """What became of one moment, or of all from `tick` until `until`."""

    tick: datetime
    until: datetime | None
    outcome: str
    run_id: UUID | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which schedules to list."""

    task_id: str | None = None
    status: str | None = None
    """One of STATUSES."""
    key: str | None = None
    """Only those whose key begins like this."""
    after: int = 0
    """The id that the page before ended with."""
    limit: int = 50


def find(wanted: Wanted, *, among: QuerySet[Schedule] | None = None) -> list[ScheduleFacts]:
    """Return one page of schedules in the order of their ids, in two statements at most.

    among: the only ones that exist.
    """
    rows = Schedule.objects.using(store().alias).all() if among is None else among
    rows = rows.filter(pk__gt=wanted.after).order_by("pk")
    if wanted.task_id is not None:
        rows = rows.filter(task_id=wanted.task_id)
    if wanted.key is not None:
        rows = rows.filter(key__startswith=wanted.key)
    if wanted.status is not None:
        rows = rows.filter(**having(wanted.status))
    with registry.remembering():
        return [ScheduleFacts.of(row) for row in rows[: wanted.limit]]


def having(status: str) -> dict[str, Any]:
    """Return the columns that make a status, as `Schedule.status` reads them."""
    if status == "retired":
        return {"retired_at__isnull": False}
    shown: dict[str, Any] = {"retired_at__isnull": True, "paused_at__isnull": status != "paused"}
    if status == "failing":
        return shown | {"error__gt": ""}
    if status in {"active", "ended"}:
        return shown | {"error": "", "next_at__isnull": status == "ended"}
    return shown


def read(schedule: int) -> ScheduleFacts:
    """Return one schedule.

    Raises:
        Schedule.DoesNotExist: there is none of this id.
    """
    return ScheduleFacts.of(row_of(schedule))


def missing(schedules: Sequence[int]) -> list[int]:
    """Return those of these ids that no schedule has."""
    known = Schedule.objects.using(store().alias).filter(pk__in=schedules).values_list("pk", flat=True)
    return sorted(set(schedules) - set(known))


def upcoming(schedule: int, *, count: int = 5) -> list[datetime]:
    """Return the next moments at which it is due, without their jitter."""
    return upcoming_of(row_of(schedule), count=count)


def upcoming_of(row: Schedule, *, count: int) -> list[datetime]:
    rule, tick = Rule.of(row), row.next_tick
    found: list[datetime] = []
    while tick is not None and len(found) < count:
        found.append(tick)
        tick = rule.next_after(tick, anchor=row.anchor)
    return found


def history(schedule: int, *, before: datetime | None = None, limit: int = TICKS) -> list[Tick]:
    """Return what became of its moments, the newest first; ``before`` is the last one of the page before."""
    rows = ScheduleTick.objects.using(store().alias).filter(schedule_id=schedule).order_by("-tick")
    if before is not None:
        rows = rows.filter(tick__lt=before)
    names = ("tick", "until", "outcome", "run_id", "reason")
    return [Tick(**facts) for facts in rows.values(*names)[:limit]]


def pause(schedules: Sequence[int], *, actor: Actor, reason: str = "") -> dict[int, str]:
    """Make no runs of these; answer `paused` or `already paused` for each.

    Raises:
        Schedule.DoesNotExist: there is none of one of these ids; nothing was done.
    """

    def act(row: Schedule) -> bool:
        return changes.pause(row, actor=actor.name)[1]

    return set_paused(schedules, act, "schedule.pause", (PAUSED, ALREADY), actor=actor, reason=reason)


def resume(schedules: Sequence[int], *, actor: Actor, reason: str = "") -> dict[int, str]:
    """Go on with these from now; answer `resumed` or `not paused` for each.

    Raises:
        Schedule.DoesNotExist: there is none of one of these ids; nothing was done.
    """

    def act(row: Schedule) -> bool:
        return changes.resume(row)[1]

    return set_paused(schedules, act, "schedule.resume", (RESUMED, OPEN), actor=actor, reason=reason)


def set_paused(
    schedules: Sequence[int],
    change: Callable[[Schedule], bool],
    name: str,
    answers: tuple[str, str],
    *,
    actor: Actor,
    reason: str,
) -> dict[int, str]:
    answered, acts = {}, []
    with store().atomic():
        for schedule in sorted(set(schedules)):
            row = row_of(schedule)
            changed = change(row)
            answered[schedule] = answers[0] if changed else answers[1]
            if changed:
                acts.append(Act(name, f"schedule {schedule}", after={"task_id": row.task_id, "key": row.key}))
        audit.record(acts, actor=actor, reason=reason)
    return answered


def trigger_now(schedule: int, *, actor: Actor, reason: str = "") -> RunHandle[Any]:
    """Create a run beside the rule; the next tick stays as it is.

    Raises:
        Schedule.DoesNotExist: there is none of this id.
        UnknownTask: no task of its id is registered here.
        PayloadInvalid: its payload does not fit the task any more.
    """
    with store().atomic():
        run = changes.trigger_now(row_of(schedule), actor=actor.name)
        act = Act("schedule.trigger", f"schedule {schedule}", after={"run": str(run.id)})
        audit.record([act], actor=actor, reason=reason)
    return run


def edit(schedule: int, changed: Mapping[str, Any], *, actor: Actor, reason: str = "") -> ScheduleFacts:
    """Change what is named, as `ScheduleHandle.update` does. No run of the old definition is made after it.

    Raises:
        Schedule.DoesNotExist: there is none of this id.
        ScheduleInvalid: names each option that is wrong; nothing was written.
        PayloadInvalid: the payload does not fit the task's signature; nothing was written.
    """
    with store().atomic():
        row = row_of(schedule)
        before = comparable(row)
        row = changes.change(row, _restored(changed, row))
        after = comparable(row)
        differing = [name for name in after if before[name] != after[name]]
        if differing:
            was, now = ({name: facts[name] for name in differing} for facts in (before, after))
            audit.record([Act("schedule.edit", f"schedule {schedule}", was, now)], actor=actor, reason=reason)
    return ScheduleFacts.of(row)


def delete(schedule: int, *, actor: Actor, reason: str = "") -> None:
    """Delete it; its runs stay.

    Raises:
        Schedule.DoesNotExist: there is none of this id.
        ScheduleInvalid: code declares it: pause it instead.
    """
    with store().atomic():
        row = row_of(schedule)
        before = {"task_id": row.task_id, "key": row.key} | comparable(row)
        changes.delete(row)
        audit.record([Act("schedule.delete", f"schedule {schedule}", before)], actor=actor, reason=reason)


def comparable(row: Schedule) -> dict[str, Any]:
    """Return what an edit may change, as the record shows it: secret arguments masked."""
    return Rule.of(row).to_json() | {"payload": shown_payload(row), "options": row.options}


def shown_payload(row: Schedule) -> Any:
    """Return the arguments, secret ones masked; those of a task that is unknown here, whose secrets are, are hidden."""
    try:
        registry.get(row.task_id)
    except UnknownTask:
        return dict.fromkeys(row.payload, "[unknown task]")
    return secrets.veil(ScheduleHandle(row).payload, names=config.mask_names)


def _restored(changed: Mapping[str, Any], row: Schedule) -> Mapping[str, Any]:
    """Return what is changed with what the masks hid that were left in the payload."""
    if not isinstance(changed.get("payload"), Mapping):
        return changed
    task = registry.get(row.task_id)
    old = secrets.unseal(row.payload, fields=task.secret) if task.secret else row.payload
    return {**changed, "payload": edited(changed["payload"], old=old, task=task)}


def row_of(schedule: int) -> Schedule:
    return Schedule.objects.using(store().alias).get(pk=schedule)
