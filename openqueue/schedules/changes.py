"""What people and code change about schedules. Each holds the row, so that no tick is made of the old rule after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

from django.db import IntegrityError

from openqueue import codec, registry
from openqueue.core import rehearsal
from openqueue.core import trigger as core
from openqueue.errors import ScheduleInvalid
from openqueue.handle import RunHandle
from openqueue.models import RunEvent, Schedule, ScheduleTick
from openqueue.orders import Order, handle
from openqueue.schedules.page import origin
from openqueue.schedules.rule import NAMES, TIMES, Rule
from openqueue.schedules.runs import Makers, kept_options, options_of, refuse_what_no_runtime_keeps
from openqueue.states import Kind, TickOutcome
from openqueue.store import store
from openqueue.wording import say as _

LONGEST_KEY: Final = 200
WHOLE: Final = ("payload", "options")
"""What is replaced as a whole."""


def create(
    task: Any,
    *,
    key: str,
    payload: Mapping[str, Any] | None,
    rule: Mapping[str, Any],
    options: Mapping[str, Any],
) -> tuple[Schedule, bool]:
    """Write a schedule, or make the one of this key what is given; return it and whether it is new.

    Raises:
        ScheduleInvalid: names each option that is wrong.
        PayloadInvalid: the payload does not fit the task's signature.
        TriggerNotAtomic: the open transaction is of another database.
    """
    name: Any = key  # what a user typed may be anything
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_KEY or not name.isprintable():
        raise ScheduleInvalid(
            [
                (
                    "key",
                    _(
                        "({key!r}) must be 1 to {longest_key} printable characters",
                        key=key,
                        longest_key=LONGEST_KEY,
                    ),
                )
            ]
        )
    wanted = Rule.checked(rule)
    kept = kept_options(task, options)
    text = encode(task, kept, payload or {})
    core.refuse_other_transaction()
    with store().atomic():
        clock = store().clock(rehearsal.moment())
        row = locked(task_id=task.id, key=key)
        if row is None:
            row = Schedule(
                task_id=task.id, key=key, payload=text, options=kept, created_at=clock, updated_at=clock
            )
            obey(row, wanted)
            set_next(row, clock)
            try:
                with store().atomic():
                    row.save(using=store().alias, force_insert=True)
            except IntegrityError:  # another was faster: its row is there now
                row = locked(task_id=task.id, key=key)
                if row is None:
                    raise
            else:
                return row, True
        change_row(row, rule=wanted, payload=text, options=kept, clock=clock)
    return row, False


def change(row: Schedule, given: Mapping[str, Any]) -> Schedule:
    """Change some options, the payload, or both; what is not given stays. ``options`` takes the place of all options.

    Raises:
        ScheduleInvalid: names each option that is wrong; nothing was written.
        PayloadInvalid: the payload does not fit the task's signature.
        Schedule.DoesNotExist: it was deleted.
    """
    task = registry.get(row.task_id)
    with store().atomic():
        row = held(row.pk)
        rule_given = {name: value for name, value in given.items() if name in NAMES}
        options_given = {name: value for name, value in given.items() if name not in {*NAMES, *WHOLE}}
        merged = {name: value for name, value in asdict(Rule.of(row)).items() if value not in (None, "")}
        for other, one in (("cron", "every"), ("every", "cron")):
            if rule_given.get(one) is not None:
                merged.pop(other, None)
        rule = Rule.checked(merged | rule_given) if rule_given else Rule.of(row)
        kept = row.options
        if "options" in given:
            kept = kept_options(task, given["options"] or {})
        if options_given:
            kept = (kept or {}) | (kept_options(task, options_given) or {})
            refuse_what_no_runtime_keeps(task, options_of(task, kept))
        payload = encode(task, kept, given["payload"] or {}) if "payload" in given else row.payload
        change_row(row, rule=rule, payload=payload, options=kept, clock=store().clock(rehearsal.moment()))
    return row


def change_row(row: Schedule, *, rule: Rule, payload: Any, options: Any, clock: datetime) -> None:
    """Write what differs; a rule that is the same keeps its next tick, and a pause stands."""
    before = Rule.of(row)
    if (before, row.payload, row.options) == (rule, payload, options):
        return
    obey(row, rule)
    row.payload, row.options, row.updated_at = payload, options, clock
    if any(getattr(before, name) != getattr(rule, name) for name in TIMES):
        set_next(row, clock)
    row.error, row.error_at, row.failures = "", None, 0
    row.save(using=store().alias)


def pause(row: Schedule, *, actor: str = "") -> tuple[Schedule, bool]:
    """Make no runs of it until it is resumed; return it and whether that is new."""
    with store().atomic():
        row = held(row.pk)
        if row.paused_at is not None:
            return row, False
        row.paused_at, row.paused_by = store().clock(rehearsal.moment()), actor
        drop_waiting(row, row.paused_at)
        row.next_tick = row.next_at = None
        row.save(using=store().alias)
    return row, True


def resume(row: Schedule) -> tuple[Schedule, bool]:
    """Go on with its next tick from now; what it was due meanwhile is not made up for."""
    with store().atomic():
        row = held(row.pk)
        if row.paused_at is None:
            return row, False
        row.paused_at, row.paused_by = None, ""
        set_next(row, store().clock(rehearsal.moment()))
        row.save(using=store().alias)
    return row, True


def delete(row: Schedule) -> None:
    """Delete it; its runs and the history of its ticks stay until retention takes them.

    Raises:
        ScheduleInvalid: code declares it, so that the next start would bring it back.
    """
    with store().atomic():
        row = held(row.pk)
        if row.is_declared and row.retired_at is None:
            declared = _("is declared by @task(...): remove cron= or every= there, or pause the schedule")
            raise ScheduleInvalid([("key", declared)])
        row.delete(using=store().alias)


def trigger_now(row: Schedule, *, actor: str = "") -> RunHandle[Any]:
    """Create a run beside the rule: the next tick stays as it is, and a paused schedule stays paused.

    Raises:
        PayloadInvalid: the payload does not fit the task's signature any more.
    """
    core.refuse_other_transaction()
    with store().atomic():
        row = held(row.pk)
        run = Makers().run(row, tick=None)
        clock = store().clock(rehearsal.moment())
        core.trigger([run], now=clock)
        RunEvent.objects.using(store().alias).create(
            run_id=run.id, kind=Kind.TICK, actor=actor, data=codec.decode(origin(row, None)), at=clock
        )
        row.manual_run_id = run.id
        row.save(using=store().alias, update_fields=["manual_run_id"])
    return handle(run)


# --- one row, in memory --------------------------------------------------------------------------------------


def obey(row: Schedule, rule: Rule) -> None:
    """Give a row its rule."""
    started = row.starts_at
    for name in NAMES:
        setattr(row, name, getattr(rule, name))
    if row.anchor is None or started != rule.starts_at:
        set_anchor(row)


def set_anchor(row: Schedule) -> None:
    row.anchor = row.starts_at or row.created_at.replace(microsecond=0)


def set_next(row: Schedule, clock: datetime) -> None:
    """Work out when it is due next: later than now, and than whatever it was run for before."""
    row.error, row.error_at, row.failures = "", None, 0
    row.next_tick = row.next_at = None
    if row.paused_at is not None or row.retired_at is not None:
        return
    after = clock if row.last_tick is None else max(clock, row.last_tick)
    rule = Rule.of(row)
    row.next_tick = rule.next_after(after, anchor=row.anchor)
    if row.next_tick is not None:
        row.next_at = row.next_tick + rule.delay_of(row.next_tick, of=str(row))


def retire(row: Schedule, clock: datetime) -> None:
    """Its code is gone: it stays to be seen, and is due no more."""
    drop_waiting(row, clock)
    row.retired_at, row.next_tick, row.next_at = clock, None, None


def drop_waiting(row: Schedule, clock: datetime) -> None:
    if row.waiting_tick is None:
        return
    ticks = ScheduleTick.objects.using(store().alias).filter(schedule_id=row.pk, tick=row.waiting_tick)
    ticks.update(outcome=TickOutcome.PAUSED, at=clock)
    row.waiting_tick = None


def encode(task: Any, kept: Mapping[str, Any] | None, payload: Mapping[str, Any]) -> Any:
    """Return a payload as the schedule keeps it: checked, secret fields sealed."""
    return codec.decode(Order(task, options_of(task, kept)).encode((), payload))


def locked(**which: Any) -> Schedule | None:
    rows = Schedule.objects.using(store().alias).filter(**which)
    if store().connection.features.has_select_for_update:
        rows = rows.select_for_update()
    return rows.first()


def held(pk: int) -> Schedule:
    row = locked(pk=pk)
    if row is None:
        raise Schedule.DoesNotExist(f"Schedule {pk} was deleted.")
    return row
