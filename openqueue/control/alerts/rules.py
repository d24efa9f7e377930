"""Rules: made, listed, changed, paused, deleted, and asked what they would say now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db import IntegrityError
from django.db.models import QuerySet

from openqueue.alerts import kinds
from openqueue.alerts.judging import judge
from openqueue.alerts.pulses import Pulses
from openqueue.alerts.readings import read
from openqueue.control import audit
from openqueue.control.actor import Actor
from openqueue.control.alerts import definition
from openqueue.control.alerts.channels import ALREADY, OPEN, PAUSED, RESUMED
from openqueue.control.audit import Act
from openqueue.errors import AlertInvalid, UnclearAlert
from openqueue.models import Alert, AlertChannel, AlertRule
from openqueue.store import store
from openqueue.wording import say as _


@dataclass(frozen=True, slots=True, kw_only=True)
class KindFacts:
    """One kind of rules, for forms."""

    name: str
    says: str
    unit: str
    threshold: float
    """By default."""
    subject: str
    """What it opens one alert for each of."""
    options: Sequence[str]
    """Of window, least, factor, queues and tasks, those that it heeds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Concerned:
    """A channel that a rule sends to."""

    id: int
    name: str
    is_paused: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleFacts:
    """One rule. Durations are seconds."""

    id: int
    name: str
    kind: str
    says: str
    """What its kind looks at."""
    severity: str
    threshold: float
    unit: str
    least: int
    factor: float
    window: int
    hold: int
    cooldown: int
    queues: Sequence[str]
    tasks: Sequence[str]
    tells_end: bool
    channels: Sequence[Concerned]
    paused_at: datetime | None
    paused_by: str
    evaluated_at: datetime | None
    created_at: datetime
    created_by: str
    open_alerts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """One alert that a rule would have now."""

    subject: str
    value: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RulePreview:
    """What a rule would say now; hold and cooldown aside."""

    is_known: bool
    """False: what it is judged by is not known now, since roll-ups are behind."""
    until: datetime | None
    """The end of its window, of kinds that count over one."""
    alerts: Sequence[Foreseen]


def every_kind() -> list[KindFacts]:
    """Return the kinds that there are."""
    return [
        KindFacts(
            name=kind.name,
            says=kind.says,
            unit=kind.unit,
            threshold=kind.threshold,
            subject=kind.subject,
            options=sorted(kind.options),
        )
        for kind in kinds.KINDS.values()
    ]


def listing() -> list[RuleFacts]:
    """Return every rule in the order of their names, in three statements."""
    return _facts(_rows().order_by("name"))


def show(rule: int) -> RuleFacts:
    """Return one rule. This and the others raise UnclearAlert where there is none of this id."""
    found = _facts(_rows().filter(pk=rule))
    if not found:
        raise _unclear(rule)
    return found[0]


def create(given: Mapping[str, Any], *, channels: Iterable[int], actor: Actor, reason: str = "") -> RuleFacts:
    """Make a rule that sends to these channels.

    Raises:
        AlertInvalid: names each field that is wrong; nothing was written.
    """
    fields = definition.rule(given)
    with store().atomic():
        to = _channels(channels)
        row = AlertRule(**fields, created_at=store().clock(None), created_by=actor.name)
        _save(row, force_insert=True)
        row.channels.set(to)
        after = fields | {"channels": sorted(to)}
        audit.record([Act("alert_rule.create", _object(row), after=after)], actor=actor, reason=reason)
    return show(row.pk)


def change(
    rule: int,
    given: Mapping[str, Any],
    *,
    channels: Iterable[int] | None = None,
    actor: Actor,
    reason: str = "",
) -> RuleFacts:
    """Change what is named. What it has open stands as long as the new condition holds for it.

    Raises:
        AlertInvalid: names each field that is wrong; nothing was written.
    """
    with store().atomic():
        row = _locked(rule)
        if given.get("kind", row.kind) != row.kind:
            raise AlertInvalid([("kind", _("stays as it is: make another rule"))])
        was = {name: getattr(row, name) for name in definition.RULE_FIELDS}
        fields = definition.rule(was | dict(given))
        now_to = before_to = sorted(row.channels.using(store().alias).values_list("pk", flat=True))
        for name, value in fields.items():
            setattr(row, name, value)
        _save(row)
        if channels is not None:
            now_to = sorted(_channels(channels))
            row.channels.set(now_to)
        before, after = was | {"channels": before_to}, fields | {"channels": now_to}
        if changed := [name for name in after if after[name] != before[name]]:
            act = Act(
                "alert_rule.change",
                _object(row),
                {name: before[name] for name in changed},
                {name: after[name] for name in changed},
            )
            audit.record([act], actor=actor, reason=reason)
    return show(rule)


def pause(rule: int, *, actor: Actor, reason: str = "") -> str:
    """Look at it no more; what it has open is over, and nobody is told. Answer `paused` or `already paused`."""
    with store().atomic():
        row = _locked(rule)
        if row.paused_at is not None:
            return ALREADY
        row.paused_at, row.paused_by = store().clock(None), actor.name
        _save(row)
        ended = _end(rule, by=actor.name)
        act = Act("alert_rule.pause", _object(row), after={"ended": ended})
        audit.record([act], actor=actor, reason=reason)
    return PAUSED


def resume(rule: int, *, actor: Actor, reason: str = "") -> str:
    """Look at it again; answer `resumed` or `not paused`."""
    with store().atomic():
        row = _locked(rule)
        if row.paused_at is None:
            return OPEN
        row.paused_at, row.paused_by = None, ""
        _save(row)
        audit.record([Act("alert_rule.resume", _object(row))], actor=actor, reason=reason)
    return RESUMED


def delete(rule: int, *, actor: Actor, reason: str = "") -> None:
    """Delete it; what it has open is over, what it ever had stays listed, and nobody is told."""
    with store().atomic():
        row = _locked(rule)
        _end(rule, by=actor.name)
        before = {name: getattr(row, name) for name in definition.RULE_FIELDS}
        audit.record([Act("alert_rule.delete", _object(row), before)], actor=actor, reason=reason)
        row.delete(using=store().alias)


def preview(rule: int) -> RulePreview:
    """Say what a rule would say now. It changes nothing."""
    row = _rows().filter(pk=rule).first()
    if row is None:
        raise _unclear(rule)
    return _preview(row)


def preview_of(given: Mapping[str, Any]) -> RulePreview:
    """Say what a rule would say now that nobody has saved.

    Raises:
        AlertInvalid: names each field that is wrong.
    """
    return _preview(AlertRule(**definition.rule(given)))


def _preview(row: AlertRule) -> RulePreview:
    found = read([row], at=store().clock(None), pulses=Pulses())
    faults = judge(row, found)
    return RulePreview(
        is_known=faults is not None,
        until=found.until,
        alerts=[
            Foreseen(subject=subject, value=fault.value, text=fault.text)
            for subject, fault in (faults or {}).items()
        ],
    )


def _end(rule: int, *, by: str) -> int:
    standing = Alert.objects.using(store().alias).filter(rule_id=rule, standing=1)
    standing.filter(opened_at=None).delete()
    return standing.update(standing=None, ended_at=store().clock(None), ended_by=by)


def _rows() -> QuerySet[AlertRule]:
    return AlertRule.objects.using(store().alias).all()


SAME: Final = (
    "id", "name", "kind", "severity", "threshold", "least", "factor", "window", "hold", "cooldown", "queues", "tasks",
    "tells_end", "paused_at", "paused_by", "evaluated_at", "created_at", "created_by",
)  # fmt: skip


def _facts(rows: QuerySet[AlertRule]) -> list[RuleFacts]:
    found = list(rows.prefetch_related("channels"))
    standing = Alert.objects.using(store().alias).filter(
        rule__in=[row.pk for row in found], standing=1, opened_at__isnull=False
    )
    opened: dict[int, int] = {}
    for rule in standing.values_list("rule_id", flat=True):
        opened[rule or 0] = opened.get(rule or 0, 0) + 1
    return [
        RuleFacts(
            **{name: getattr(row, name) for name in SAME},
            says=kinds.KINDS[row.kind].says,
            unit=kinds.KINDS[row.kind].unit,
            channels=[
                Concerned(id=to.pk, name=to.name, is_paused=to.paused_at is not None)
                for to in sorted(row.channels.all(), key=lambda one: one.name)
            ],
            open_alerts=opened.get(row.pk, 0),
        )
        for row in found
    ]


def _channels(given: Iterable[int]) -> list[int]:
    wanted = sorted(set(given))
    known = set(AlertChannel.objects.using(store().alias).filter(pk__in=wanted).values_list("pk", flat=True))
    if missing := [number for number in wanted if number not in known]:
        raise AlertInvalid([("channels", _("names channels that are not there: {missing}", missing=missing))])
    return wanted


def _locked(rule: int) -> AlertRule:
    rows = _rows().filter(pk=rule)
    row = (rows.select_for_update() if store().connection.features.has_select_for_update else rows).first()
    if row is None:
        raise _unclear(rule)
    return row


def _save(row: AlertRule, *, force_insert: bool = False) -> None:
    try:
        with store().atomic():
            row.save(using=store().alias, force_insert=force_insert)
    except IntegrityError as error:
        raise AlertInvalid([("name", _("is taken: there is a rule {name!r}", name=row.name))]) from error


def _object(row: AlertRule) -> str:
    return f"alert rule {row.pk}"


def _unclear(rule: int) -> UnclearAlert:
    return UnclearAlert(_("There is no alert rule {rule}.", rule=rule))
