"""Orders as they come from other shops: a CSV file, one order a line."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

HEADER = ["number", "placed_at", "name", "email", "card", "items"]


class OrderFileError(ValueError):
    """The file is not what it should be; the message names the line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRow:
    """One order of the file; `items` is how many of which article."""

    number: str
    placed_at: datetime
    name: str
    email: str
    card: str
    items: dict[str, int]


def read(path: Path, *, articles: set[str]) -> Iterator[OrderRow]:
    """Yield the orders of a file; raise OrderFileError at the first line that makes no sense."""
    with path.open(encoding="utf-8", newline="") as file:
        lines = csv.DictReader(file, restkey="too much", restval="")
        if lines.fieldnames != HEADER:
            raise OrderFileError(f"{path.name} begins with {lines.fieldnames}, not with {HEADER}")
        for line in lines:
            try:
                yield _order(line, articles=articles)
            except ValueError as error:
                raise OrderFileError(f"{path.name}, line {lines.line_num}: {error}") from error


def _order(line: dict[str, str], *, articles: set[str]) -> OrderRow:
    items = {sku: int(count) for sku, _, count in (item.partition(":") for item in line["items"].split())}
    if "too much" in line:
        raise ValueError("too many columns")
    if unknown := items.keys() - articles:
        raise ValueError(f"no such article: {', '.join(sorted(unknown))}")
    if not items or min(items.values()) < 1:
        raise ValueError("nothing was ordered")
    return OrderRow(
        number=line["number"],
        placed_at=datetime.fromisoformat(line["placed_at"]),
        name=line["name"],
        email=line["email"],
        card=line["card"],
        items=items,
    )
