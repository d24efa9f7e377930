"""Channels: made, listed, changed, paused, tested, deleted. Their secrets go in and never come out again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db import IntegrityError
from django.db.models import Count, OuterRef, Subquery

from openqueue import secrets
from openqueue.alerts import channels as kinds
from openqueue.alerts import deliveries, messages, signing
from openqueue.control import audit
from openqueue.control.actor import Actor
from openqueue.control.alerts import definition
from openqueue.control.audit import Act
from openqueue.control.run_ids import earliest_at
from openqueue.errors import AlertInvalid, UnclearAlert
from openqueue.models import AlertChannel, AlertDelivery
from openqueue.store import store
from openqueue.wording import say as _

RECENT: Final = timedelta(days=1)
PAUSED, ALREADY, RESUMED, OPEN = "paused", "already paused", "resumed", "not paused"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelFacts:
    """One channel as lists show it."""

    id: int
    name: str
    kind: str
    """email, webhook or slack."""
    shown: str
    """The addresses; or the host and the last characters of a URL, which is a secret as a whole."""
    paused_at: datetime | None
    paused_by: str
    created_at: datetime
    created_by: str
    rules: int
    """That send to it."""
    last_sent_at: datetime | None
    waiting: int
    """Deliveries that are to be sent, or sent again."""
    failed: int
    """Of the last day, those that were given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeChannel:
    """A channel, and the secret that its messages are signed with: it is shown this once."""

    channel: ChannelFacts
    secret: str | None
    """None: messages of this kind are not signed."""


def listing() -> list[ChannelFacts]:
    """Return every channel in the order of their names, in three statements."""
    return _facts(AlertChannel.objects.using(store().alias).order_by("name"))


def show(channel: int) -> ChannelFacts:
    """Return one channel. This and the others raise UnclearAlert where there is none of this id."""
    found = _facts(AlertChannel.objects.using(store().alias).filter(pk=channel))
    if not found:
        raise _unclear(channel)
    return found[0]


def create(
    name: str,
    *,
    kind: str,
    url: str | None = None,
    recipients: Sequence[str] | None = None,
    actor: Actor,
    reason: str = "",
) -> MadeChannel:
    """Make a channel.

    Raises:
        AlertInvalid: names each field that is wrong; nothing was written.
        SecretsUnavailable: URLs are kept encrypted, and `cryptography` is not installed.
    """
    if not definition.is_name(name):
        raise AlertInvalid([("name", definition.FITS["name"][1])])
    if kind not in kinds.CHANNELS:
        raise AlertInvalid([("kind", _("must be one of {names}", names=", ".join(kinds.CHANNELS)))])
    definition.for_kind(kind, has_url=url is not None, has_recipients=recipients is not None)
    target, shown = _target(kind, url=url, recipients=recipients)
    secret = signing.make_secret() if kind == kinds.WEBHOOK else None
    row = AlertChannel(
        name=name,
        kind=kind,
        shown=shown,
        target=kinds.sealed(target if secret is None else target | {"secret": secret}),
        created_at=store().clock(None),
        created_by=actor.name,
    )
    with store().atomic():
        _save(row, force_insert=True)
        after = {"name": name, "kind": kind, "shown": shown}
        audit.record([Act("alert_channel.create", _object(row), after=after)], actor=actor, reason=reason)
    return MadeChannel(channel=show(row.pk), secret=secret)


def change(
    channel: int,
    *,
    name: str | None = None,
    url: str | None = None,
    recipients: Sequence[str] | None = None,
    actor: Actor,
    reason: str = "",
) -> ChannelFacts:
    """Change what is named; a URL that is not named stays. What waits to be sent goes to the new place.

    Raises:
        AlertInvalid: names each field that is wrong; nothing was written.
    """
    with store().atomic():
        row = _locked(channel)
        before = {"name": row.name, "shown": row.shown}
        definition.for_kind(row.kind, has_url=url is not None, has_recipients=recipients is not None)
        if name is not None:
            if not definition.is_name(name):
                raise AlertInvalid([("name", definition.FITS["name"][1])])
            row.name = name
        if url is not None or recipients is not None:
            target, row.shown = _target(row.kind, url=url, recipients=recipients)
            row.target = {**row.target, **kinds.sealed(target)} if url is not None else target
        _save(row)
        after = {"name": row.name, "shown": row.shown}
        is_moved = url is not None  # the end of it may look as before
        if after != before or is_moved:
            act = Act(
                "alert_channel.change",
                _object(row),
                before,
                after | ({"url": secrets.MASK} if is_moved else {}),
            )
            audit.record([act], actor=actor, reason=reason)
    return show(channel)


def rotate(channel: int, *, actor: Actor, reason: str = "") -> MadeChannel:
    """Give a webhook another signing secret, at once.

    Raises:
        AlertInvalid: messages of its kind are not signed.
    """
    secret = signing.make_secret()
    with store().atomic():
        row = _locked(channel)
        if row.kind != kinds.WEBHOOK:
            raise AlertInvalid([("kind", _("is {kind}: only webhooks are signed", kind=row.kind))])
        row.target = {**row.target, **secrets.seal({"secret": secret}, fields=["secret"])}
        _save(row)
        audit.record([Act("alert_channel.rotate", _object(row))], actor=actor, reason=reason)
    return MadeChannel(channel=show(channel), secret=secret)


def pause(channel: int, *, actor: Actor, reason: str = "") -> str:
    """Send nothing to it, also not what waits; answer `paused` or `already paused`."""
    with store().atomic():
        row = _locked(channel)
        if row.paused_at is not None:
            return ALREADY
        row.paused_at, row.paused_by = store().clock(None), actor.name
        _save(row)
        dropped = deliveries.drop(channel)
        act = Act("alert_channel.pause", _object(row), after={"dropped": dropped})
        audit.record([act], actor=actor, reason=reason)
    return PAUSED


def resume(channel: int, *, actor: Actor, reason: str = "") -> str:
    """Send to it from now on; answer `resumed` or `not paused`."""
    with store().atomic():
        row = _locked(channel)
        if row.paused_at is None:
            return OPEN
        row.paused_at, row.paused_by = None, ""
        _save(row)
        audit.record([Act("alert_channel.resume", _object(row))], actor=actor, reason=reason)
    return RESUMED


def try_out(channel: int, *, actor: Actor, reason: str = "") -> UUID:
    """Have a test sent, as an alert would be; return the delivery, whose log tells what became of it.

    Raises:
        AlertInvalid: it is paused.
    """
    with store().atomic():
        row = _locked(channel)
        if row.paused_at is not None:
            raise AlertInvalid([("channel", _("is paused: resume it first"))])
        at = store().clock(None)
        told = messages.of_test(row.name, at=at, asked_by=actor.name)
        delivery = AlertDelivery(
            channel=row,
            channel_name=row.name,
            event=messages.TEST,
            facts=told,
            due_at=at,
            created_at=at,
            log=[],
        )
        delivery.save(using=store().alias, force_insert=True)
        audit.record([Act("alert_channel.test", _object(row))], actor=actor, reason=reason)
    return delivery.pk


def delete(channel: int, *, actor: Actor, reason: str = "") -> None:
    """Delete it; rules that sent to it send to their others, and what waited is not sent."""
    with store().atomic():
        row = _locked(channel)
        deliveries.drop(channel)
        before = {"name": row.name, "kind": row.kind, "shown": row.shown}
        audit.record([Act("alert_channel.delete", _object(row), before)], actor=actor, reason=reason)
        row.delete(using=store().alias)


def _target(kind: str, *, url: str | None, recipients: Sequence[str] | None) -> tuple[dict[str, Any], str]:
    """Return a target, and what is shown of it."""
    if kind == kinds.EMAIL:
        addresses = definition.recipients(recipients)
        shown = ", ".join(addresses)
        return {"recipients": addresses}, shown if len(shown) <= 300 else f"{shown[:290]} and more"
    target = definition.url(url)
    return {"url": target.url}, target.masked[:300]


def _facts(rows: Any) -> list[ChannelFacts]:
    told = AlertDelivery.objects.using(store().alias)
    # By the ids, which are of their time: what is looked at ends soon, however much was sent before.
    of_each = told.filter(channel=OuterRef("pk"))
    sent = of_each.filter(sent_at__isnull=False).order_by("-pk").values("sent_at")[:1]
    since = store().clock(None) - RECENT
    recent = of_each.filter(pk__gte=earliest_at(since), created_at__gte=since, state=deliveries.FAILED)
    failed = recent.order_by().values("channel").annotate(number=Count("pk")).values("number")
    found: list[Any] = list(rows.annotate(used=Count("rules"), last=Subquery(sent), failed=Subquery(failed)))
    standing = told.filter(channel__in=[row.pk for row in found], due_at__isnull=False)
    waiting: dict[int, int] = dict(
        standing.filter(state=deliveries.WAITING).order_by().values_list("channel_id").annotate(Count("pk"))
    )
    return [
        ChannelFacts(
            **{name: getattr(row, name) for name in SAME},
            rules=row.used,
            last_sent_at=row.last,
            waiting=waiting.get(row.pk, 0),
            failed=row.failed or 0,
        )
        for row in found
    ]


SAME: Final = ("id", "name", "kind", "shown", "paused_at", "paused_by", "created_at", "created_by")


def _locked(channel: int) -> AlertChannel:
    rows = AlertChannel.objects.using(store().alias).filter(pk=channel)
    row = (rows.select_for_update() if store().connection.features.has_select_for_update else rows).first()
    if row is None:
        raise _unclear(channel)
    return row


def _save(row: AlertChannel, *, force_insert: bool = False) -> None:
    try:
        with store().atomic():
            row.save(using=store().alias, force_insert=force_insert)
    except IntegrityError as error:
        raise AlertInvalid([("name", _("is taken: there is a channel {name!r}", name=row.name))]) from error


def _object(row: AlertChannel) -> str:
    return f"alert channel {row.pk}"


def _unclear(channel: int) -> UnclearAlert:
    return UnclearAlert(_("There is no alert channel {channel}.", channel=channel))
