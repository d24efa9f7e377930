"""What the commands print: tables and fields for people, JSON with the same facts for scripts."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import Enum
from typing import Any, Final
from uuid import UUID

from django.utils import timezone

WIDEST: Final = 60
"""Characters of a cell."""
WIDE: Final = 200
"""Columns of what is no terminal."""
GAP: Final = "  "
SCALES: Final = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"))


def as_json(value: Any) -> str:
    """Return values (dataclasses, moments, ids among them) as indented JSON; a field's name is its key."""
    return json.dumps(value, default=_jsonable, indent=2)


def table(headers: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return aligned columns; numbers to the right, control characters shown instead of obeyed."""
    cells = [[cell(value) for value in row] for row in rows]
    numeric = [all(_is_number(text) for text in column) for column in zip(*cells, strict=True)]
    numeric = numeric or [False] * len(headers)
    widths = [max(map(len, column)) for column in zip(headers, *cells, strict=True)]
    lines = []
    for row in [list(headers), *cells]:
        aligned = [
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(row, widths, numeric, strict=True)
        ]
        lines.append(GAP.join(aligned).rstrip())
    return "\n".join(lines)


def fields(pairs: Iterable[tuple[str, Any]], *, indent: str = "  ") -> str:
    """Return one line a fact, the values under each other; what is empty is left out."""
    shown = [(name, value) for name, value in pairs if value not in (None, "", [], {}, ())]
    width = max((len(name) for name, _ in shown), default=0)
    return "\n".join(f"{indent}{name.ljust(width)}{GAP}{plain(str(value))}" for name, value in shown)


def cell(value: Any) -> str:
    """Return a value as one cell: clipped, on one line, a dash where there is nothing."""
    text = (
        "-"
        if value is None or value == ""
        else plain(", ".join(value) if isinstance(value, list | tuple) else str(value))
    )
    return text if len(text) <= WIDEST else text[: WIDEST - 1] + "…"


def plain(text: str) -> str:
    """Return the text with its control characters written out, so that it cannot drive a terminal."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def compact(value: Any) -> str:
    """Return JSON on one line, as wide as the terminal at most."""
    text = json.dumps(value, default=_jsonable, ensure_ascii=False)
    room = max(WIDEST, shutil.get_terminal_size(fallback=(WIDE, 24)).columns - 40)
    return plain(text if len(text) <= room else text[: room - 1] + "…")


def span(seconds: float | None) -> str:
    """Return a duration for people: 0.012 s, 4.2 s, 3.0 min, 2.5 h."""
    if seconds is None:
        return "-"
    for scale, unit in SCALES:
        if abs(seconds) >= scale:
            return f"{seconds / scale:.1f} {unit}"
    return f"{seconds:.3f} s" if abs(seconds) < 1 else f"{seconds:.1f} s"


def moment(at: datetime | None) -> str | None:
    """Return a moment in the project's time zone."""
    return None if at is None else timezone.localtime(at).strftime("%Y-%m-%d %H:%M:%S")


def _is_number(text: str) -> bool:
    return text == "-" or text.replace(".", "", 1).isdigit()


def _jsonable(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, UUID | Enum):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
