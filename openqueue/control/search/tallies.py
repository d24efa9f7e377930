"""How many runs each of several searches finds, in one statement: what stands on tabs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from django.db import OperationalError
from django.db.models import QuerySet, Subquery, Value
from django.db.models.functions import Coalesce

from openqueue.control.search import walks
from openqueue.control.search.counts import MOST, Counted
from openqueue.control.search.pages import LIMIT
from openqueue.control.search.reading import Sought
from openqueue.control.search.walks import Branch
from openqueue.store import store
from openqueue.store.refusals import took_too_long

__all__ = ["Counted", "each"]
FIRST: Final = datetime(1, 1, 1, tzinfo=UTC)


def each(searches: Sequence[Sought]) -> list[Counted]:
    """Count what each search finds, up to MOST; where no index serves one, among the newest EXAMINED."""
    branches = [(number, branch) for number, one in enumerate(searches) for branch in walks.branches(one)]
    if not branches:
        return [Counted(number=0) for _ in searches]
    parts, params = [], list[Any]()
    for _, branch in branches:
        sql, values = _bounded(branch).query.get_compiler(using=store().alias).as_sql()
        parts.append(f"(SELECT COUNT(*) FROM ({sql}) AS counted)")  # noqa: S608  (the ORM's)
        params += values
    try:
        with store().bounded(LIMIT, by_index=True), store().connection.cursor() as cursor:
            cursor.execute(f"SELECT {', '.join(parts)}", params)
            numbers = cursor.fetchone()
    except OperationalError as error:
        if not took_too_long(error):
            raise
        return [Counted(number=None) for _ in searches]
    found = [0] * len(searches)
    for (number, _), value in zip(branches, numbers, strict=True):
        found[number] += value
    return [Counted(number=min(value, MOST), or_more=value > MOST) for value in found]


def _bounded(branch: Branch) -> QuerySet[Any]:
    rows = branch.rows
    if branch.cut:
        first = Value(UUID(int=0) if branch.column == "pk" else FIRST, output_field=_field(branch))
        rows = rows.filter(**{f"{branch.column}__gt": Coalesce(Subquery(branch.ahead), first)})
    # The order is the index's, so that it ends after so many rows wherever they lie in the table.
    return rows.filter(branch.narrow).order_by(f"-{branch.column}").values("pk")[: MOST + 1]


def _field(branch: Branch) -> Any:
    meta = branch.rows.model._meta
    return meta.pk if branch.column == "pk" else meta.get_field(branch.column)
