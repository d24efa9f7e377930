"""Messages on their way: taken by a committed lease, sent outside any transaction, marked, and tried again."""

from __future__ import annotations

import time
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.db.models import Exists, OuterRef

from openqueue.alerts import channels
from openqueue.alerts.channels import Sent
from openqueue.models import AlertDelivery
from openqueue.store import store

LEASE: Final = timedelta(seconds=60)
"""Longer than any try lasts: who took a delivery and says nothing for so long is taken for dead."""
PAUSES: Final = tuple(timedelta(seconds=some) for some in (10, 60, 300, 1_800, 7_200))
"""After each try that failed, until the next; the last try is one more."""
MOST_TRIES: Final = len(PAUSES) + 1
LONGEST_WISH: Final = 3_600.0
"""Seconds that a receiver may ask for by Retry-After."""
WAITING, SENT, FAILED, DROPPED = "waiting", "sent", "failed", "dropped"


class Taken(NamedTuple):
    """A delivery that this process is to send now."""

    id: UUID
    channel_id: int
    kind: str
    target: Any
    facts: Any
    tries: int


def any_due(*, now: datetime | None = None) -> bool:
    """Tell whether anything is to be sent, in one statement by an index."""
    rows = AlertDelivery.objects.using(store().alias).filter(due_at__lte=store().clock(now))
    return rows.exists()


def take(*, besides: Collection[int] = (), now: datetime | None = None) -> Taken | None:
    """Take the oldest delivery that is due, of a channel that is none of these; its lease is committed.

    What is later of the same alert and channel waits for what was earlier: nobody hears that it is over first.
    """
    alias = store().alias
    moment = store().clock(now)
    earlier = AlertDelivery.objects.using(alias).filter(
        alert=OuterRef("alert"), channel=OuterRef("channel"), due_at__isnull=False, pk__lt=OuterRef("pk")
    )
    with store().writing():
        rows = AlertDelivery.objects.using(alias).filter(~Exists(earlier), due_at__lte=moment)
        row = store().locked(rows.exclude(channel_id__in=list(besides))).order_by("due_at").first()
        if row is None:
            return None
        row.tries += 1
        row.due_at = moment + LEASE
        row.save(using=alias, update_fields=["tries", "due_at"])
        channel = row.channel
    if channel is None:  # it was deleted in between
        mark(
            Taken(row.pk, 0, "", {}, {}, MOST_TRIES),
            Sent(False, error="The channel was deleted."),
            milliseconds=0,
            now=now,
        )
        return take(besides=besides, now=now)
    return Taken(row.pk, channel.pk, channel.kind, channel.target, row.facts, row.tries)


def deliver(taken: Taken, *, now: datetime | None = None) -> bool:
    """Send what was taken, and write down how that ended; tell whether it was sent."""
    began = time.monotonic()
    sent = channels.send(taken.kind, taken.target, taken.facts, id=name(taken.id))
    mark(taken, sent, milliseconds=round(1_000 * (time.monotonic() - began)), now=now)
    return sent.ok


def name(delivery: UUID) -> str:
    """Return what receivers know a delivery by, however often it comes."""
    return f"msg_{delivery.hex}"


def mark(taken: Taken, sent: Sent, *, milliseconds: int, now: datetime | None = None) -> bool:
    """Write down one try; False when somebody else has taken the delivery meanwhile: the lease had ended."""
    alias = store().alias
    moment = store().clock(now)
    with store().writing():
        rows = AlertDelivery.objects.using(alias).filter(pk=taken.id, state=WAITING)
        if store().connection.features.has_select_for_update:
            rows = rows.select_for_update()
        row = rows.first()
        if row is None:
            return False
        row.log = [*row.log, _line(taken, sent, milliseconds, moment)][-MOST_TRIES:]
        if sent.ok:
            row.state, row.due_at, row.sent_at = SENT, None, moment
        elif row.tries == taken.tries:
            row.due_at = _again(taken.tries, sent, moment)
            row.state = FAILED if row.due_at is None else WAITING
        row.save(using=alias, update_fields=["log", "state", "due_at", "sent_at"])
    return True


def _line(taken: Taken, sent: Sent, milliseconds: int, moment: datetime) -> dict[str, Any]:
    return {
        "try": taken.tries,
        "at": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "milliseconds": milliseconds,
        "status": sent.status,
        "error": sent.error,
    }


def _again(tries: int, sent: Sent, moment: datetime) -> datetime | None:
    if tries >= MOST_TRIES:
        return None
    wish = timedelta(seconds=min(LONGEST_WISH, sent.retry_after or 0.0))
    return moment + max(PAUSES[tries - 1], wish)


def drop(channel: int) -> int:
    """Send nothing any more of what waits for a channel; call it in the transaction of the reason."""
    rows = AlertDelivery.objects.using(store().alias).filter(channel_id=channel, state=WAITING)
    return rows.update(state=DROPPED, due_at=None)
