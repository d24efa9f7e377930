"""What fired, and who was told: pages by key, one alert with its deliveries, and that somebody is on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from openqueue.control import audit
from openqueue.control.actor import Actor
from openqueue.control.audit import LONGEST_REASON, Act
from openqueue.errors import UnclearAlert
from openqueue.models import Alert, AlertDelivery
from openqueue.store import store
from openqueue.wording import say as _

OPEN, PENDING, OVER = "open", "pending", "over"
STATES: Final = (OPEN, PENDING, OVER)
"""It holds; it holds, and not for long enough yet; it held once."""
USUAL: Final = 50
ACKNOWLEDGED, ALREADY, ENDED = "acknowledged", "already acknowledged", "over"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertFacts:
    """One alert."""

    id: UUID
    state: str
    """One of STATES."""
    rule_id: int | None
    """None: the rule was deleted."""
    rule: str
    kind: str
    severity: str
    subject: str
    value: float
    """As it was seen last."""
    text: str
    began_at: datetime
    opened_at: datetime | None
    ended_at: datetime | None
    ended_by: str
    """Empty: the condition held no more; otherwise who paused or deleted the rule."""
    acknowledged_at: datetime | None
    acknowledged_by: str
    acknowledged_reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertPage:
    """Some alerts, newest first."""

    alerts: Sequence[AlertFacts]
    before: UUID | None
    """Give it as `before` to go on; None: these are the oldest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryFacts:
    """One message to one channel."""

    id: UUID
    alert_id: UUID | None
    """None: a test."""
    event: str
    """opened, ended or test."""
    channel_id: int | None
    """None: it was deleted."""
    channel: str
    subject: str
    text: str
    state: str
    """waiting, sent, failed or dropped."""
    tries: int
    due_at: datetime | None
    created_at: datetime
    sent_at: datetime | None
    log: Sequence[Mapping[str, Any]]
    """Of each try: try, at, milliseconds, status, error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryPage:
    """Some deliveries, newest first."""

    deliveries: Sequence[DeliveryFacts]
    before: UUID | None
    """Give it as `before` to go on; None: these are the oldest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownAlert:
    """One alert, and what was sent of it."""

    alert: AlertFacts
    deliveries: Sequence[DeliveryFacts]


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """What came of it, and the alert as it is now."""

    outcome: str
    alert: AlertFacts


def listing(
    *,
    state: str | None = None,
    severity: str | None = None,
    rule: int | None = None,
    before: UUID | None = None,
    limit: int = USUAL,
) -> AlertPage:
    """Return a page of alerts, newest first, in one statement; without a state: all that ever opened."""
    rows = Alert.objects.using(store().alias).order_by("-pk").filter(**CONDITIONS[state])
    named = {"severity": severity, "rule_id": rule, "pk__lt": before}
    rows = rows.filter(**{name: value for name, value in named.items() if value is not None})
    found = list(rows[: limit + 1])
    return AlertPage(
        alerts=[_facts(row) for row in found[:limit]],
        before=found[limit - 1].pk if len(found) > limit else None,
    )


def count_open() -> int:
    """Return how many alerts are open, in one statement by an index."""
    return Alert.objects.using(store().alias).filter(**CONDITIONS[OPEN]).count()


def show(alert: UUID) -> ShownAlert:
    """Return one alert with its deliveries.

    Raises:
        UnclearAlert: there is none of this id.
    """
    row = _row(alert)
    told = AlertDelivery.objects.using(store().alias).filter(alert_id=alert).order_by("pk")
    return ShownAlert(alert=_facts(row), deliveries=[_told(one) for one in told])


def deliveries(
    *,
    state: str | None = None,
    channel: int | None = None,
    before: UUID | None = None,
    limit: int = USUAL,
) -> DeliveryPage:
    """Return a page of deliveries, newest first, in one statement."""
    named = {"state": state, "channel_id": channel, "pk__lt": before}
    rows = AlertDelivery.objects.using(store().alias).order_by("-pk")
    rows = rows.filter(**{name: value for name, value in named.items() if value is not None})
    found = list(rows[: limit + 1])
    return DeliveryPage(
        deliveries=[_told(row) for row in found[:limit]],
        before=found[limit - 1].pk if len(found) > limit else None,
    )


def acknowledge(alert: UUID, *, actor: Actor, reason: str = "") -> Acknowledged:
    """Say that somebody is on it; the outcome is `acknowledged`, `already acknowledged` or `over`.

    Raises:
        UnclearAlert: there is none of this id.
    """
    with store().atomic():
        at = store().clock(None)
        open_ones = Alert.objects.using(store().alias).filter(
            pk=alert, acknowledged_at=None, **CONDITIONS[OPEN]
        )
        done = open_ones.update(
            acknowledged_at=at, acknowledged_by=actor.name, acknowledged_reason=reason[:LONGEST_REASON]
        )
        row = _row(alert)
        if done:
            after = {"rule": row.rule_name, "subject": row.subject}
            act = Act("alert.acknowledge", f"alert {alert}", after=after)
            audit.record([act], actor=actor, reason=reason)
    outcome = ACKNOWLEDGED if done else ALREADY if row.acknowledged_at else ENDED
    return Acknowledged(outcome=outcome, alert=_facts(row))


CONDITIONS: Final[Mapping[str | None, Mapping[str, Any]]] = {
    None: {"opened_at__isnull": False},
    OPEN: {"standing": 1, "opened_at__isnull": False},
    PENDING: {"standing": 1, "opened_at__isnull": True},
    OVER: {"standing__isnull": True},
}
SAME: Final = (
    "id", "rule_id", "kind", "severity", "subject", "value", "text", "began_at", "opened_at", "ended_at", "ended_by",
    "acknowledged_at", "acknowledged_by", "acknowledged_reason",
)  # fmt: skip


def _row(alert: UUID) -> Alert:
    row = Alert.objects.using(store().alias).filter(pk=alert).first()
    if row is None:
        raise UnclearAlert(_("There is no alert {alert}.", alert=alert))
    return row


def _facts(row: Alert) -> AlertFacts:
    state = OVER if row.standing is None else PENDING if row.opened_at is None else OPEN
    return AlertFacts(**{name: getattr(row, name) for name in SAME}, state=state, rule=row.rule_name)


def _told(row: AlertDelivery) -> DeliveryFacts:
    return DeliveryFacts(
        id=row.pk,
        alert_id=row.alert_id,
        event=row.event,
        channel_id=row.channel_id,
        channel=row.channel_name,
        subject=row.facts["subject"],
        text=row.facts["text"],
        state=row.state,
        tries=row.tries,
        due_at=row.due_at,
        created_at=row.created_at,
        sent_at=row.sent_at,
        log=row.log,
    )
