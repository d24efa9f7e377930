"""Asking for an act on many runs: how many they are, and the order to begin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from openqueue.control import audit
from openqueue.control.actor import Actor
from openqueue.control.audit import LONGEST_REASON, Act
from openqueue.control.bulk import facts, working
from openqueue.control.bulk.acts import checked
from openqueue.control.bulk.facts import BulkFacts
from openqueue.control.bulk.walk import meant
from openqueue.control.search import Counted, count
from openqueue.models import BulkOperation
from openqueue.store import store

INLINE: Final = 1_000
"""So many runs are acted upon while the asker waits; more are the work of a run of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What an act on many runs would come to."""

    act: str
    search: str
    """As it was understood."""
    number: int | None
    """How many runs the search finds; None: the database took too long to count them."""
    or_more: bool
    """There are more than were counted."""
    inline: bool
    """They are few enough to be acted upon while the asker waits."""
    asked_at: datetime


def preview(
    act: str,
    search: str,
    *,
    arguments: Mapping[str, Any] | None = None,
    queues: Sequence[str] | None = None,
    sees_payloads: bool = False,
) -> Preview:
    """Count what an act would come to; nothing is changed.

    Args:
        act: one of ACTS.
        search: as people write it; any fault in it is refused, since to leave a part out would mean more runs.
        arguments: of the act, such as {"priority": 9}.
        queues: the only ones that exist for whoever asks.
        sees_payloads: whoever asks may search by arguments.

    Raises:
        PayloadInvalid: no such act, or other arguments than it takes.
        UnclearSearch: the search has faults, or says nothing.
    """
    checked(act, arguments or {})
    asked_at = store().clock(None)
    sought = meant(search, asked_at=asked_at, queues=queues, sees_payloads=sees_payloads)
    counted = count(sought)
    number, or_more = counted.number, counted.or_more or not counted.searched_all
    return Preview(
        act=act,
        search=sought.text,
        number=number,
        or_more=or_more,
        inline=number is not None and number <= INLINE and not or_more,
        asked_at=asked_at,
    )


def ask(
    act: str,
    search: str,
    *,
    actor: Actor,
    reason: str = "",
    arguments: Mapping[str, Any] | None = None,
    queues: Sequence[str] | None = None,
    sees_payloads: bool = False,
    drives: bool = False,
) -> BulkFacts:
    """Have an act done to all runs that a search finds now; return how that stands.

    Up to INLINE runs are acted upon before this returns, in one transaction. More are left to a run of the task
    `openqueue.act_on_runs` in the queue `openqueue`, unless ``drives``: then the caller goes on with `drive`.
    One line of the record tells of the asking; the operation itself tells what became of it.

    Raises:
        PayloadInvalid, UnclearSearch: as `preview`.
    """
    seen = preview(act, search, arguments=arguments, queues=queues, sees_payloads=sees_payloads)
    with store().atomic():
        row = BulkOperation(
            act=act,
            arguments=dict(arguments or {}),
            search=seen.search,
            queues=None if queues is None else sorted(queues),
            sees_payloads=sees_payloads,
            actor=actor.name,
            reason=reason[:LONGEST_REASON],
            asked_at=seen.asked_at,
            expected=seen.number,
            or_more=seen.or_more,
            skipped={},
            moved_at=seen.asked_at,
        )
        row.save(using=store().alias, force_insert=True)
        if not seen.inline and not drives:
            row.run_id = working.begin(row.pk)
        before = {"search": seen.search, "runs": str(Counted(number=seen.number, or_more=seen.or_more))}
        after: dict[str, Any] = {"arguments": row.arguments} if row.arguments else {}
        after |= {"run": str(row.run_id)} if row.run_id else {}
        audit.record(
            [Act(f"bulk.{act}", f"bulk {row.pk}", before=before, after=after or None)],
            actor=actor,
            reason=reason,
        )
    if seen.inline and not drives:
        for _ in working.drive(row.pk):
            pass
    return facts.show(row.pk)
