"""Dead letters: runs that failed for good, and messages that could not become a run.

A failed run is a dead letter until somebody begins it anew or discards it, which deletes it. Of a message only where it
came from and its first bytes are kept: it cannot be sent once more, and discarding it takes it off the list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple, Self
from uuid import UUID

from django.db.models import Count, Max, Min, QuerySet

from openqueue.control import audit, verbs
from openqueue.control.actor import Actor
from openqueue.control.audit import LONGEST_REASON, Act
from openqueue.control.callers import Caller, Right
from openqueue.control.search import Page, pages, read
from openqueue.core import transitions
from openqueue.errors import UnclearDeadLetter, UnsupportedCapability, WrongState
from openqueue.models import DeadLetter, Run
from openqueue.states import Status
from openqueue.store import store
from openqueue.wording import say as _

STATUSES: Final = (Status.FAILED.value,)
"""Runs that are dead letters."""
SEARCH: Final = f"status:{Status.FAILED}"
"""Finds them: what acts on many runs are asked with."""
DISCARDED: Final = "discarded"
"""Why a message is left alone: somebody was faster."""
EXAMINED: Final = 100_000
"""Of the newest of a kind, that groups are counted of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadMessage:
    """A message that could not become a run."""

    id: int
    runtime: str
    queue: str
    reason: str
    origin: Any
    """Coordinates at the broker: topic, partition, offset; or exchange and routing key."""
    size: int
    sha256: str
    head: str | None
    """The first 200 bytes in hexadecimal; None: the caller may not see payloads."""
    at: datetime
    discarded_at: datetime | None
    discarded_by: str
    discard_reason: str

    @classmethod
    def of(cls, row: DeadLetter, *, caller: Caller) -> Self:
        """Read a row."""
        return cls(
            id=row.pk,
            runtime=row.runtime,
            queue=row.queue,
            reason=row.reason,
            origin=row.origin,
            size=row.size,
            sha256=row.sha256,
            head=row.head if caller.may(Right.DATA) else None,
            at=row.at,
            discarded_at=row.discarded_at,
            discarded_by=row.discarded_by,
            discard_reason=row.discard_reason,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Discarded:
    """What came of discarding several messages."""

    acted: int
    skipped: Mapping[str, int]
    """How many were left alone, by the reason: `missing` or `discarded`."""


class Told(NamedTuple):
    """What a run failed with."""

    type: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Dead letters that are alike."""

    kind: str
    """`run` or `message`."""
    queue: str
    task_id: str
    """Empty for messages."""
    reason: str
    count: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """What is dead, counted by what is alike; the most first."""

    groups: Sequence[Group]
    examined_all: bool
    """False: there are more than the newest EXAMINED of a kind."""

    @property
    def total(self) -> int:
        """Return how many there are."""
        return sum(group.count for group in self.groups)


def runs(search: str = "", *, caller: Caller, size: int = 50, at: str | None = None) -> Page:
    """Return a page of dead runs, last failed first, as a search narrows them down further.

    Raises:
        NotAllowed: the caller may not look at runs.
    """
    caller.needs(Right.READ)
    sought = read(f"{SEARCH} {search}", sees_payloads=caller.may(Right.DATA), queues=caller.queues)
    return pages.found(sought, size=size, at=at)


def messages(
    *, caller: Caller, discarded: bool = False, before: int | None = None, limit: int = 50
) -> list[DeadMessage]:
    """Return dead messages, newest first, in one statement.

    Args:
        caller: who asks; messages of queues that do not exist for it are left out.
        discarded: those that somebody discarded, in place of those that nobody has.
        before: only those with a lower id: the last one of the page before.
        limit: at most so many.

    Raises:
        NotAllowed: the caller may not look at runs.
    """
    caller.needs(Right.READ)
    rows = _visible(caller).filter(discarded_at__isnull=not discarded).order_by("-pk")
    rows = rows if before is None else rows.filter(pk__lt=before)
    return [DeadMessage.of(row, caller=caller) for row in rows[:limit]]


def message(letter: int, *, caller: Caller) -> DeadMessage:
    """Return one dead message, in one statement.

    Raises:
        NotAllowed: the caller may not look at runs.
        UnclearDeadLetter: there is none of that number.
    """
    caller.needs(Right.READ)
    return DeadMessage.of(_one(letter, caller), caller=caller)


def told(page: Page, *, caller: Caller) -> dict[UUID, Told]:
    """Return what the runs of a page failed with, in one statement; nothing for who may not see payloads."""
    if not caller.may(Right.DATA):
        return {}
    rows = Run.objects.using(store().alias).filter(pk__in=[run.id for run in page.runs])
    return {
        run: Told(str(error.get("type") or ""), str(error.get("message") or ""))
        for run, error in rows.values_list("pk", "error")
        if isinstance(error, dict)
    }


def groups(*, caller: Caller) -> Groups:
    """Count what is dead by queue, task and reason, in four statements that end after EXAMINED rows.

    Raises:
        NotAllowed: the caller may not look at runs.
    """
    caller.needs(Right.READ)
    dead = Run.objects.using(store().alias).filter(outcome__in=STATUSES)
    dead = dead if caller.queues is None else dead.filter(queue__in=caller.queues)
    letters = _visible(caller).filter(discarded_at=None)
    newest, all_runs = _newest(dead, "finished_at")
    latest, all_letters = _newest(letters, "pk")
    found = [
        Group(
            kind="run", queue=queue, task_id=task_id, reason=reason, count=count, first_at=first, last_at=last
        )
        for queue, task_id, reason, count, first, last in newest.order_by()
        .values_list("queue", "task_id", "reason")
        .annotate(Count("pk"), Min("finished_at"), Max("finished_at"))
    ]
    found += [
        Group(
            kind="message", queue=queue, task_id="", reason=reason, count=count, first_at=first, last_at=last
        )
        for queue, reason, count, first, last in latest.order_by()
        .values_list("queue", "reason")
        .annotate(Count("pk"), Min("at"), Max("at"))
    ]
    found.sort(key=lambda group: (-group.count, group.kind, group.queue, group.task_id, group.reason))
    return Groups(groups=found, examined_all=all_runs and all_letters)


def _newest(rows: QuerySet[Any], column: str) -> tuple[QuerySet[Any], bool]:
    """Leave off what lies behind the newest EXAMINED."""
    edge = list(rows.order_by(f"-{column}").values_list(column, flat=True)[EXAMINED : EXAMINED + 1])
    return (rows.filter(**{f"{column}__gt": edge[0]}), False) if edge else (rows, True)


def requeue(letter: int, *, caller: Caller) -> None:
    """Refuse to send a message once more: its body is not kept. A dead run is begun anew by a retry.

    Raises:
        NotAllowed: the caller lacks the right.
        UnclearDeadLetter: there is none of that number.
        UnsupportedCapability: always, for those that there are.
    """
    caller.needs(Right.RETRY)
    row = _one(letter, caller)
    raise UnsupportedCapability(
        _(
            "Dead letter {letter} was {size} bytes that are no announcement, of which the first 200 "
            "are kept: it cannot be sent once more. Mend its sender; a run that it was about is "
            "announced again by itself.",
            letter=letter,
            size=row.size,
        )
    )


def discard(letters: Sequence[int], *, caller: Caller, reason: str = "") -> int:
    """Take dead messages off the list, and keep who did so and why; return how many that were.

    Raises:
        NotAllowed: the caller lacks the right.
        UnclearDeadLetter: there is none of one of these numbers.
        WrongState: only one was named, and it is discarded already.
    """
    caller.needs(Right.DISCARD)
    wanted = sorted(set(letters))
    known = set(_visible(caller).filter(pk__in=wanted).values_list("pk", flat=True))
    if missing := [letter for letter in wanted if letter not in known]:
        raise UnclearDeadLetter(_("There is no dead letter {missing}.", missing=missing[0]))
    discarded = len(transitions.again(lambda: _discard(wanted, actor=caller.actor, reason=reason)))
    if not discarded and len(wanted) == 1:
        now = DeadMessage.of(_one(wanted[0], caller), caller=caller)
        raise WrongState(
            _(
                "Dead letter {id} was discarded by {discarded_by} before.",
                id=now.id,
                discarded_by=now.discarded_by,
            ),
            code="discarded",
            now=now,
        )
    return discarded


def discard_some(letters: Sequence[int], *, caller: Caller, reason: str = "") -> Discarded:
    """Take those off the list that are there, and tell of the others why not.

    Raises:
        NotAllowed: the caller lacks the right.
    """
    caller.needs(Right.DISCARD)
    wanted = {letter for letter in letters if letter < 2**63}
    known = sorted(_visible(caller).filter(pk__in=wanted).values_list("pk", flat=True))
    acted = len(transitions.again(lambda: _discard(known, actor=caller.actor, reason=reason)))
    skipped = {verbs.MISSING: len(set(letters)) - len(known), DISCARDED: len(known) - acted}
    return Discarded(acted=acted, skipped={why: number for why, number in skipped.items() if number})


def _discard(letters: Sequence[int], *, actor: Actor, reason: str) -> list[int]:
    """Discard those that are not; return which they were."""
    with store().atomic():
        at = store().clock(None)
        rows = DeadLetter.objects.using(store().alias).filter(pk__in=letters, discarded_at=None)
        if store().connection.features.has_select_for_update:
            rows = rows.select_for_update()
        found = list(rows.order_by("pk").values_list("pk", flat=True))
        DeadLetter.objects.using(store().alias).filter(pk__in=found).update(
            discarded_at=at, discarded_by=actor.name, discard_reason=reason[:LONGEST_REASON]
        )
        if found:
            what = f"dead letter {found[0]}" if len(found) == 1 else f"{len(found)} dead letters"
            act = Act("deadletter.discard", what, after={"letters": found})
            audit.record([act], actor=actor, reason=reason)
    return found


def _one(letter: int, caller: Caller) -> DeadLetter:
    row = _visible(caller).filter(pk=letter).first() if letter < 2**63 else None
    if row is None:
        raise UnclearDeadLetter(_("There is no dead letter {letter}.", letter=letter))
    return row


def _visible(caller: Caller) -> QuerySet[DeadLetter]:
    rows = DeadLetter.objects.using(store().alias).all()
    return rows if caller.queues is None else rows.filter(queue__in=caller.queues)
