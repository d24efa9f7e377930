"""Groups of errors for a caller from outside: pages of them, one with its runs, and retrying all of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from openqueue.control import bulk, bulk_acts, error_runs, errors, releases
from openqueue.control.bulk import BulkFacts, Preview
from openqueue.control.callers import Caller, Right
from openqueue.control.error_runs import ErrorRuns
from openqueue.control.errors import ErrorFacts, Seen
from openqueue.control.releases import ReleaseFacts
from openqueue.control.search import Term, written
from openqueue.models import ErrorGroup
from openqueue.states import Status
from openqueue.store import store


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorPage:
    """Some groups, seen last first."""

    errors: Sequence[ErrorFacts]
    ended: Mapping[str, int]
    """How many runs of each of their tasks ended in the time of the trend."""
    older: Seen | None
    """Give it as ``beyond`` to go on; None: these were seen longest ago."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownError:
    """One group with a sample and its runs."""

    facts: ErrorFacts
    error: Any
    """Of the run that failed last; None when it is gone, was started anew, or may not be seen."""
    ended: int
    """How many runs of its task ended in the time of the trend."""
    runs: ErrorRuns
    hours: Sequence[datetime]
    """When the bars of the trend begin."""
    by_release: Mapping[str, Sequence[int]]
    """The trend of each release that failed so then, the newest last; empty: of workers that told none."""
    begun: Sequence[ReleaseFacts]
    """Releases that were first seen in that time, oldest first."""
    at: datetime
    """When this was read, by the database's clock."""


def listing(
    *,
    state: str | None = None,
    task_id: str | None = None,
    beyond: Seen | None = None,
    limit: int = errors.SHOWN,
    caller: Caller,
) -> ErrorPage:
    """Return a page of groups by key, in four statements.

    Raises:
        NotAllowed: the caller may not look at groups of errors.
        ValueError: there is no such state.
    """
    caller.needs(Right.ERRORS)
    moment = store().clock(None)
    found = errors.listing(state=state, task_id=task_id, beyond=beyond, limit=limit + 1, now=moment)
    shown = [_shown(one, caller) for one in found[:limit]]
    return ErrorPage(
        errors=shown,
        ended=errors.ended([one.task_id for one in shown], now=moment),
        older=(shown[-1].last_seen, shown[-1].id) if len(found) > limit else None,
    )


def show(
    number: int,
    *,
    since: datetime | None = None,
    before: datetime | None = None,
    beyond: error_runs.Place | None = None,
    caller: Caller,
) -> ShownError:
    """Return one group, and a page of its runs that ended in a period, in seven statements.

    Raises:
        NotAllowed: the caller may not look at groups of errors.
        UnclearErrorGroup: there is no such group.
    """
    caller.needs(Right.ERRORS)
    row, sample = errors.row_with_sample(number)
    moment = store().clock(None)
    facts, trends = errors.by_release(row, now=moment)
    hours = errors.hours(moment)
    known = releases.within(hours[0], moment, names=[name for name in trends if name])
    order = {one.name: place for place, one in enumerate(known)}
    return ShownError(
        facts=_shown(facts, caller),
        error=sample if caller.may(Right.DATA) else None,
        ended=errors.ended([row.task_id], now=moment).get(row.task_id, 0),
        runs=error_runs.find(row, since=since, before=before, beyond=beyond, queues=caller.queues),
        hours=hours,
        by_release={name: trends[name] for name in sorted(trends, key=lambda name: order.get(name, -1))},
        begun=[one for one in known if one.first_seen >= hours[0]],
        at=moment,
    )


def facts_of(number: int, *, caller: Caller) -> ErrorFacts:
    """Return one group as lists show it.

    Raises:
        NotAllowed: the caller may not look at groups of errors.
        UnclearErrorGroup: there is no such group.
    """
    caller.needs(Right.ERRORS)
    return _shown(errors.facts_of(errors.row_of(number)), caller)


def preview_retry(number: int, *, caller: Caller) -> Preview:
    """Count the runs that a retry looks at: of its task and class; those of another error it leaves alone.

    Raises:
        NotAllowed: the caller lacks the right.
        UnclearErrorGroup: there is no such group.
    """
    caller.needs(bulk_acts.RIGHTS["retry"])
    search = search_of(errors.row_of(number))
    return bulk.preview(
        "retry", search, arguments={"error": number}, queues=_queues(caller), sees_payloads=True
    )


def retry(number: int, *, caller: Caller, reason: str = "") -> BulkFacts:
    """Have all failed runs of a group begin anew; see `bulk.ask`.

    Raises:
        NotAllowed: the caller lacks the right.
        UnclearErrorGroup: there is no such group.
    """
    caller.needs(bulk_acts.RIGHTS["retry"])
    return bulk.ask(
        "retry",
        search_of(errors.row_of(number)),
        actor=caller.actor,
        reason=reason,
        arguments={"error": number},
        queues=_queues(caller),
        sees_payloads=True,  # the class of an error is no secret, and is all that is searched for
    )


def search_of(group: ErrorGroup | ErrorFacts) -> str:
    """Return the search that finds what failed in its task with its class: all its runs, and perhaps others."""
    terms = [Term("status", (Status.FAILED,)), Term("task", (group.task_id,))]
    if not group.type.startswith("("):  # no class was told
        terms.append(Term("error", (group.type,)))
    return written([*terms, Term("since", (group.first_seen.isoformat(),))])


def _shown(facts: ErrorFacts, caller: Caller) -> ErrorFacts:
    return facts if caller.may(Right.DATA) else replace(facts, message="")


def _queues(caller: Caller) -> list[str] | None:
    return None if caller.queues is None else sorted(caller.queues)
