"""What a run carries, to be read: by key, masked, with its size; and its error with the frames that matter first."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.utils.translation import gettext as _

from openqueue.control import tracebacks
from openqueue.secrets import MASK
from openqueue_workbench import wording

KEYS: Final = 20
"""More than these are folded away."""
LETTERS: Final = 20_000
"""Of one value."""
LETTERS_COPIED: Final = 200_000
SHORT: Final = 120
REDACTED: Final = "••• "


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One key and its value."""

    name: str
    text: str
    is_masked: bool = False
    cut: int = 0
    """Characters that are not shown."""

    @property
    def is_long(self) -> bool:
        """Tell whether it takes lines of its own."""
        return "\n" in self.text or len(self.text) > SHORT


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A value as a table, or as one text where it has no keys."""

    entries: Sequence[Entry]
    folded: Sequence[Entry]
    """The ones beyond KEYS."""
    text: Entry | None
    size: str
    copied: str
    """All of it as JSON; empty where it is too long to be copied from a page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An error."""

    type: str
    message: str
    own: str
    """Frames of the project's code, outermost first, each with its line."""
    libraries: int
    """Frames of everything else."""
    traceback: str


def shown(value: Any) -> Shown:
    """Return a value to be read."""
    whole = json.dumps(value, ensure_ascii=False, indent=2)
    size = _size(len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()))
    copied = whole if len(whole) <= LETTERS_COPIED else ""
    if not isinstance(value, Mapping):
        return Shown(entries=(), folded=(), text=_entry("", value), size=size, copied=copied)
    entries = [_entry(str(name), one) for name, one in value.items()]
    return Shown(entries=entries[:KEYS], folded=entries[KEYS:], text=None, size=size, copied=copied)


def failure(error: Mapping[str, Any]) -> Failure:
    """Return an error with its own frames apart from those of libraries."""
    trace = str(error.get("traceback") or "")
    found = tracebacks.frames(trace)
    return Failure(
        type=str(error.get("type") or ""),
        message=str(error.get("message") or ""),
        own="\n".join(found.own),
        libraries=found.libraries,
        traceback=trace,
    )


def _entry(name: str, value: Any) -> Entry:
    if value == MASK:
        return Entry(name=name, text=REDACTED + _("redacted"), is_masked=True)
    text = value if isinstance(value, str) and name else json.dumps(value, ensure_ascii=False, indent=2)
    return Entry(name=name, text=text[:LETTERS], cut=max(0, len(text) - LETTERS))


def _size(count: int) -> str:
    if count < 1_000:
        return _("%(number)s bytes") % {"number": wording.number(count)}
    if count < 1_000_000:
        return _("%(number)s kB") % {"number": wording.number(count / 1_000, decimals=1)}
    return _("%(number)s MB") % {"number": wording.number(count / 1_000_000, decimals=1)}
