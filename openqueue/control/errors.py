"""Failures by what makes them the same: list them, look at one, resolve, ignore and open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db.models import F, OuterRef, Q, QuerySet, Subquery, Sum

from openqueue.conf import RELEASE
from openqueue.control import audit, error_runs
from openqueue.control.actor import Actor
from openqueue.control.audit import Act
from openqueue.control.run_facts import RunFacts
from openqueue.control.search import conditions
from openqueue.core.rollups import HOUR
from openqueue.errors import UnclearErrorGroup
from openqueue.models import ErrorCount, ErrorGroup, Rollup, Run
from openqueue.states import Status
from openqueue.store import store
from openqueue.store.endings import OUTCOMES, floor
from openqueue.wording import say as _

BARS: Final = 24
"""Of a trend: the last so many hours."""
SHOWN: Final = 50
COUNTED: Final = frozenset({"recent", "trend"})
"""Of a group, what its row does not hold."""
MOST_AN_HOUR: Final = 1_000_000
Seen = tuple[datetime, int]
"""When a group was seen last, and its number."""
STATES: Final = (ErrorGroup.OPEN, ErrorGroup.RESOLVED, ErrorGroup.IGNORED)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorFacts:
    """One group. Its numbers are those of the roll-ups: of what failed up to a minute ago."""

    id: int
    task_id: str
    type: str
    place: str
    """File and function, or the shape of the message."""
    message: str
    """Of the run that failed last."""
    state: str
    """open, resolved (opens when it returns) or ignored (opens when it returns after its time, or too often)."""
    ignored_until: datetime | None
    ignored_above: int | None
    """Of an ignored one: more failures within one hour open it."""
    resolved_in: str
    """Of a resolved one: failures of older releases do not open it; empty: those of any release do."""
    changed_by: str
    changed_at: datetime | None
    count: int
    """Runs that ever failed so."""
    recent: int
    """Of these the ones of the last 24 hours."""
    trend: Sequence[int]
    """Of the last 24 hours, the running one included, oldest first."""
    first_seen: datetime
    first_release: str
    """Of the run that failed so first, where its worker told one."""
    last_seen: datetime
    last_release: str
    last_run: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorDetail(ErrorFacts):
    """One group with a sample."""

    by_release: Mapping[str, Sequence[int]]
    """The trend of each release that failed so in that time; under an empty name of workers that told none."""

    error: Any
    """Of the run that failed last; None when it is gone, or was started anew."""
    runs: Sequence[RunFacts]
    """That failed last, newest first."""
    searched_all: bool
    """False: only so many failed runs were looked at."""


def listing(
    *,
    state: str | None = None,
    task_id: str | None = None,
    beyond: Seen | None = None,
    limit: int = SHOWN,
    now: datetime | None = None,
) -> list[ErrorFacts]:
    """Return groups, seen last first, in three statements; ``beyond``: those behind this one.

    Raises:
        ValueError: there is no such state.
    """
    moment = store().clock(now)
    groups = ErrorGroup.objects.using(store().alias).order_by("-last_seen", "-pk")
    if state is not None:
        groups = groups.filter(_in_state(state, moment))
    if task_id is not None:
        groups = groups.filter(task_id=task_id)
    if beyond is not None:
        groups = groups.filter(conditions.older("last_seen", beyond))
    return _facts(list(groups[:limit]), moment)


def show(group: int, *, now: datetime | None = None) -> ErrorDetail:
    """Return one group with the runs that failed so last.

    Raises:
        UnclearErrorGroup: there is no such group.
    """
    row, sample = row_with_sample(group)
    told, trends = by_release(row, now=now)
    found = error_runs.find(row)
    return ErrorDetail(
        **{name: getattr(told, name) for name in ErrorFacts.__dataclass_fields__},
        by_release=trends,
        error=sample,
        runs=found.runs,
        searched_all=found.searched_all,
    )


def row_of(group: int) -> ErrorGroup:
    """Return the row of a group.

    Raises:
        UnclearErrorGroup: there is no such group.
    """
    return _one(ErrorGroup.objects.using(store().alias), group)


def row_with_sample(group: int) -> tuple[ErrorGroup, Any]:
    """Return the row of a group, with the error of the run that failed last; None when it is gone, or was started anew.

    Raises:
        UnclearErrorGroup: there is no such group.
    """
    last = Run.objects.filter(pk=OuterRef("last_run"), outcome=Status.FAILED)
    rows = ErrorGroup.objects.using(store().alias).annotate(sample=Subquery(last.values("error")[:1]))
    row: Any = _one(rows, group)
    return row, row.sample


def _one(rows: QuerySet[ErrorGroup], group: int) -> ErrorGroup:
    row = rows.filter(pk=group).first() if group < 2**63 else None
    if row is None:
        raise UnclearErrorGroup(
            _("There is no group of errors {group}. List them for those that there are.", group=group)
        )
    return row


def facts_of(row: ErrorGroup, *, now: datetime | None = None) -> ErrorFacts:
    """Return a group as lists show it."""
    return _facts([row], store().clock(now))[0]


def by_release(row: ErrorGroup, *, now: datetime | None = None) -> tuple[ErrorFacts, dict[str, list[int]]]:
    """Return a group as lists show it, and its trend by release (empty: none was told), in one statement."""
    moment = store().clock(now)
    starts = hours(moment)
    found: dict[str, Counter[datetime]] = {}
    rows = _minutes([row.pk], moment).values_list("release", "start").annotate(n=Sum("count"))
    for release, start, number in rows:
        found.setdefault(release, Counter())[floor(start, HOUR)] += number
    trends = {release: [counted[hour] for hour in starts] for release, counted in found.items()}
    whole = [sum(trend[index] for trend in trends.values()) for index in range(BARS)]
    return _told(row, whole, moment), trends


def ended(tasks: Sequence[str], *, now: datetime | None = None) -> dict[str, int]:
    """Count what ended of these tasks in the time of the trend, from the same minutes, in one statement."""
    moment = store().clock(now)
    rows = Rollup.objects.using(store().alias).filter(
        task_id__in=set(tasks), period=60, start__gte=hours(moment)[0], start__lte=moment
    )
    whole = sum((F(outcome) for outcome in OUTCOMES[1:]), F(OUTCOMES[0]))
    return dict(rows.order_by().values_list("task_id").annotate(n=Sum(whole)))


def resolve(
    groups: Sequence[int], *, release: str = "", actor: Actor, reason: str = "", now: datetime | None = None
) -> list[int]:
    """Say that these are mended: whatever fails so after this moment opens its group. Return those that changed.

    release: the one that they are mended in, which may be yet to come. Failures of releases that were first seen before
        it, and of all that were while nobody has seen it, do not open them.

    Raises:
        ValueError: no release can be called that.
    """
    if release and not RELEASE.fullmatch(release):
        raise ValueError(
            _(
                "release is {release!r}. Give at most 60 letters, digits and signs, without spaces.",
                release=release[:80],
            )
        )
    return _change(groups, ErrorGroup.RESOLVED, release=release, actor=actor, reason=reason, now=now)


def ignore(
    groups: Sequence[int],
    *,
    actor: Actor,
    until: datetime | None = None,
    above: int | None = None,
    reason: str = "",
    now: datetime | None = None,
) -> list[int]:
    """Ignore these, for ever, or until a moment, or until one fails more than ``above`` times within one hour.

    Return those that changed.

    Raises:
        ValueError: the moment is naive, or past; or the number is not one from 0 to a million.
    """
    if until is not None and (until.tzinfo is None or until <= store().clock(now)):
        raise ValueError(_("until is {until}. Give an aware moment that is to come.", until=until))
    if above is not None and not 0 <= above <= MOST_AN_HOUR:
        raise ValueError(
            _(
                "above is {above}. Give a number of failures from 0 to {most:,}.",
                above=above,
                most=MOST_AN_HOUR,
            )
        )
    return _change(groups, ErrorGroup.IGNORED, until=until, above=above, actor=actor, reason=reason, now=now)


def reopen(
    groups: Sequence[int], *, actor: Actor, reason: str = "", now: datetime | None = None
) -> list[int]:
    """Open these again. Return those that changed."""
    return _change(groups, ErrorGroup.OPEN, actor=actor, reason=reason, now=now)


def _change(
    groups: Sequence[int],
    state: str,
    *,
    until: datetime | None = None,
    above: int | None = None,
    release: str = "",
    actor: Actor,
    reason: str,
    now: datetime | None,
) -> list[int]:
    act = {ErrorGroup.RESOLVED: "error.resolve", ErrorGroup.IGNORED: "error.ignore"}.get(
        state, "error.reopen"
    )
    wanted = {"state": state, "ignored_until": until, "ignored_above": above, "resolved_in": release}
    with store().atomic():
        moment = store().clock(now)
        rows = ErrorGroup.objects.using(store().alias).filter(pk__in=groups)
        if store().connection.features.has_select_for_update:
            rows = rows.select_for_update()
        before = [
            row
            for row in rows.order_by("pk")
            if any(getattr(row, name) != value for name, value in wanted.items())
        ]
        changed = [row.pk for row in before]
        ErrorGroup.objects.using(store().alias).filter(pk__in=changed).update(
            **wanted, changed_at=moment, changed_by=actor.name
        )
        told = {"until": until.isoformat() if until else None, "above": above, "release": release or None}
        after = {"state": state} | {name: value for name, value in told.items() if value is not None}
        audit.record(
            [Act(act, f"error {row.pk}", before={"state": row.state}, after=after) for row in before],
            actor=actor,
            reason=reason,
        )
    return changed


def _in_state(state: str, moment: datetime) -> Q:
    """As a reader sees it: nothing is written when the time ends that a group is ignored for."""
    over = Q(state=ErrorGroup.IGNORED, ignored_until__lte=moment)
    if state == ErrorGroup.OPEN:
        return Q(state=state) | over
    if state == ErrorGroup.IGNORED:
        return Q(state=state) & (Q(ignored_until__isnull=True) | Q(ignored_until__gt=moment))
    if state not in STATES:
        raise ValueError(
            _("There is no state {state!r}. Use one of: {names}.", state=state, names=", ".join(STATES))
        )
    return Q(state=state)


def _facts(groups: Sequence[ErrorGroup], moment: datetime) -> list[ErrorFacts]:
    bars = _trends([group.pk for group in groups], moment)
    return [_told(group, [bars[group.pk, hour] for hour in hours(moment)], moment) for group in groups]


def _told(group: ErrorGroup, trend: Sequence[int], moment: datetime) -> ErrorFacts:
    over = group.ignored_until is not None and group.ignored_until <= moment
    same = {name: getattr(group, name) for name in ErrorFacts.__dataclass_fields__ if name not in COUNTED}
    return ErrorFacts(
        **same | {"state": ErrorGroup.OPEN if over else group.state}, recent=sum(trend), trend=trend
    )


def hours(moment: datetime) -> list[datetime]:
    """Return when the bars of a trend begin."""
    return [floor(moment, HOUR) - n * HOUR for n in reversed(range(BARS))]


def _trends(groups: Sequence[int], moment: datetime) -> Counter[tuple[int, datetime]]:
    """Count by group and hour, from the minutes, which are kept for longer than a day unless told otherwise."""
    found: Counter[tuple[int, datetime]] = Counter()
    rows = _minutes(groups, moment).values_list("group_id", "start").annotate(n=Sum("count"))
    for group, start, number in rows:
        found[group, floor(start, HOUR)] += number
    return found


def _minutes(groups: Sequence[int], moment: datetime) -> QuerySet[ErrorCount]:
    rows = ErrorCount.objects.using(store().alias).filter(
        group__in=groups, period=60, start__gte=hours(moment)[0], start__lte=moment
    )
    return rows.order_by()
