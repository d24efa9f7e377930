"""Where runs are looked for: each status where such runs are, in an order, and never by walking all of history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet, Value

from openqueue.control import run_facts
from openqueue.control.run_facts import RunFacts
from openqueue.control.run_ids import earliest_at
from openqueue.control.search import conditions
from openqueue.control.search.orders import DELAYED, QUEUED, RUNNING, WAITING, Order
from openqueue.control.search.reading import STATUSES, Sought
from openqueue.models import Claim, FlowNode, Outbox, Run
from openqueue.states import FINAL, Status
from openqueue.store import store

EXAMINED: Final = 100_000
"""How far back a search goes whose condition no index serves: this many of the newest runs."""
CLOCKS_APART: Final = timedelta(minutes=5)
"""Ids are made by the clocks of application hosts, ``created_at`` by the database's."""
SHORT: Final = timedelta(days=1)
"""A period of which the runs are looked up before where they are."""
Key = tuple[Any, ...]
"""A place in the order: (id,), or (a moment, id)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """Runs in one place, in one order."""

    rows: QuerySet[Any]
    column: str = "pk"
    """``pk``, or a moment and then the id."""
    narrow: Q
    rises: bool = False
    """The lowest comes first; otherwise the highest."""
    cut: str = ""
    """Where nothing serves the condition or the order: the column by which only the first EXAMINED are looked at."""

    @property
    def columns(self) -> tuple[str, ...]:
        """What makes a key."""
        return ("pk",) if self.column == "pk" else (self.column, "pk")

    @property
    def ahead(self) -> QuerySet[Any]:
        """The first row that is not looked at any more, by the column of its cut."""
        rows = self.rows.order_by(f"{'' if self.rises else '-'}{self.cut}")
        return rows.values(self.cut)[EXAMINED : EXAMINED + 1]

    def within(self, edge: Any) -> QuerySet[Any]:
        """Return the rows that fit and come before an edge."""
        side = "lt" if self.rises else "gt"
        rows = self.rows if edge is None else self.rows.filter(**{f"{self.cut}__{side}": edge})
        return rows.filter(self.narrow)


def branches(sought: Sought, *, order: Order = Order.NEWEST) -> list[Branch]:
    """Return where to look, a statement each.

    Args:
        sought: the search.
        order: its own, or the newest first; where periods are about the end, runs come by their end in any case.
    """
    if not sought.statuses:
        return []
    if sought.by_end:
        return [_ended(status, sought) for status in sorted(sought.statuses)]
    if sought.ids is not None or sought.statuses == STATUSES:
        return [_newest(sought, sought.statuses)]
    found = []
    if RUNNING & sought.statuses:
        found.append(_running(sought, by_start=order is Order.START))
    if QUEUED & sought.statuses:
        found.append(_queued(sought, by_due=order is Order.DUE))
    if delayed := DELAYED & sought.statuses:
        found += _delayed(delayed, sought, by_due=order is Order.DUE)
    if WAITING & sought.statuses:
        found.append(_waiting(sought))
    if rest := sought.statuses & FINAL:
        found.append(_newest(sought, rest))
    return found


def bounded(found: Sequence[Branch]) -> list[tuple[Branch, QuerySet[Any], bool]]:
    """Return of each branch the rows to look at, and whether that is all of them; in one statement, or in none."""
    cut = [branch for branch in found if branch.cut]
    edges = dict(zip(map(id, cut), _edges(cut), strict=True)) if cut else {}
    return [(one, one.within(edges.get(id(one))), edges.get(id(one)) is None) for one in found]


def _edges(cut: Sequence[Branch]) -> list[Any]:
    """Return the edge of each; None where there is none."""
    alias, parts, params = store().alias, [], list[Any]()
    for branch in cut:
        sql, values = branch.ahead.query.get_compiler(using=alias).as_sql()
        parts.append(f"({sql})")
        params += values
    with store().connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(parts)}", params)
        found = cursor.fetchone()
    return [_value(branch, edge) for branch, edge in zip(cut, found, strict=True)]


def _value(branch: Branch, raw: Any) -> Any:
    """Return what the database said of a column as Python has it."""
    meta, connection = branch.rows.model._meta, store().connection
    field: Any = meta.pk if branch.cut == "pk" else meta.get_field(branch.cut)
    place = Value(raw, output_field=field)
    for convert in (*connection.ops.get_db_converters(place), *place.get_db_converters(connection)):
        raw = convert(raw, place, connection)
    return raw


def keys(rows: QuerySet[Any], branch: Branch, *, limit: int, beyond: Key | None, upwards: bool) -> list[Key]:
    """Return the places of the next rows, in the order in which they are walked."""
    rising = upwards != branch.rises
    if beyond is not None:
        side = conditions.newer if rising else conditions.older
        rows = rows.filter(side(branch.column, beyond))
    sign = "" if rising else "-"
    return list(rows.order_by(*(f"{sign}{c}" for c in branch.columns)).values_list(*branch.columns)[:limit])


def facts(ids: Sequence[UUID]) -> list[RunFacts]:
    """Return these runs as lists show them, in this order, in one statement."""
    rows = Run.objects.using(store().alias).select_related(*run_facts.PLACES).defer(*run_facts.HEAVY)
    by_id = rows.in_bulk(ids)
    return [RunFacts.of(by_id[pk]) for pk in ids if pk in by_id]


def _running(sought: Sought, *, by_start: bool) -> Branch:
    """Runs in claims. There are as many as workers have slots: they are sorted as they are."""
    rows = Claim.objects.using(store().alias).filter(_created(sought, run="run__"))
    narrow = _narrow(sought, run="run__")
    return Branch(rows=rows, narrow=narrow, column="claimed_at" if by_start else "pk", rises=by_start)


def _queued(sought: Sought, *, by_due: bool) -> Branch:
    """Runs in the outbox whose time has come.

    No index has them in the order of their due times across queues: it would cost every trigger and every claim. So
    they are sorted, where there are more than EXAMINED the first triggered ones: whatever was triggered after these
    fell due after them, but for those of them that were delayed.
    """
    rows = Outbox.objects.using(store().alias).filter(
        conditions.due(outbox=""), _created(sought, run="run__")
    )
    return _placed(rows, sought, by_due=by_due, is_sorted=True)


def _delayed(statuses: frozenset[str], sought: Sought, *, by_due: bool) -> list[Branch]:
    """Runs in the outbox whose time has not come: of those that wait for no permit an index has the due times."""
    # A subquery of each row: of a join, SQLite now and then makes a walk through all runs.
    so = Run.objects.filter(pk=OuterRef("pk"), status__in=sorted(statuses))
    rows = Outbox.objects.using(store().alias).filter(Exists(so), _created(sought, run="run__"), ready=False)
    if statuses == {Status.RETRYING}:
        # Each was tried before: of thousands that were not, no run is looked up.
        rows = rows.filter(attempt__gt=1)
    if not by_due:
        return [_placed(rows.filter(~conditions.due(outbox="")), sought, by_due=False, is_sorted=False)]
    free = rows.filter(waits_for__isnull=True)
    limited = rows.filter(~conditions.due(outbox=""), waits_for__isnull=False)
    return [
        _placed(free, sought, by_due=True, is_sorted=False),
        _placed(limited, sought, by_due=True, is_sorted=True),
    ]


def _placed(rows: QuerySet[Any], sought: Sought, *, by_due: bool, is_sorted: bool) -> Branch:
    narrow = _narrow(sought, run="run__")
    if not by_due:
        return Branch(rows=rows, narrow=narrow)
    cut = "pk" if is_sorted and not narrow else ""
    return Branch(rows=rows, narrow=narrow, column="due_at", rises=True, cut=cut)


def _waiting(sought: Sought) -> Branch:
    """Runs that wait in a flow."""
    nodes = FlowNode.objects.using(store().alias).filter(waiting=True)
    rows = Run.objects.using(store().alias).filter(_created(sought, run=""), pk__in=nodes.values("run_id"))
    return Branch(rows=rows, narrow=_narrow(sought, run=""))


def _ended(status: str, sought: Sought) -> Branch:
    """Finished runs of one outcome, by its index."""
    rows = Run.objects.using(store().alias).filter(outcome=status)
    rows = rows.filter(conditions.period("finished_at", sought.since, sought.before))
    narrow = _narrow(sought, run="")
    return Branch(rows=rows, column="finished_at", narrow=narrow, cut="finished_at" if narrow else "")


def _newest(sought: Sought, statuses: frozenset[str]) -> Branch:
    """Runs by their ids."""
    rows = Run.objects.using(store().alias).filter(_created(sought, run=""))
    narrow = _narrow(sought, run="")
    if statuses != STATUSES:
        # A label that is final is as good as the outcome; of these none is derived.
        narrow &= conditions.in_status(statuses) if statuses - FINAL else Q(outcome__in=sorted(statuses))
    if sought.ids is None:
        return Branch(rows=rows, narrow=narrow, cut="pk" if narrow else "")
    among = Q()
    for lowest, highest in sought.ids:
        among |= Q(pk=lowest) if lowest == highest else Q(pk__gte=lowest, pk__lte=highest)
    return Branch(rows=rows.filter(among), narrow=narrow)


def _created(sought: Sought, *, run: str) -> Q:
    if run and sought.since is not None and datetime.now(UTC) - sought.since <= SHORT:
        # Of a short period there are few runs, and their ids stand together. Of a join, PostgreSQL reads all runs there
        # are to find those.
        runs = Run.objects.using(store().alias).filter(_created(sought, run=""))
        return Q(pk__in=runs.values("pk"))
    found = conditions.period(f"{run}created_at", sought.since, sought.before)
    if sought.since is not None:
        found &= Q(pk__gte=earliest_at(sought.since - CLOCKS_APART))
    if sought.before is not None:
        found &= Q(pk__lt=earliest_at(sought.before + CLOCKS_APART))
    return found


def _narrow(sought: Sought, *, run: str) -> Q:
    found = Q()
    for condition in sought.narrow:
        found &= condition(run)
    return found
