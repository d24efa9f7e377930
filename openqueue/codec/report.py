"""Errors as JSON, and text that fits: whatever user code raises or says, it can be stored."""

from __future__ import annotations

import json
import textwrap
import traceback
from collections.abc import Iterator
from types import FrameType
from typing import Any, Final

ERROR_LIMIT: Final = 16_384
"""Bytes of JSON that the description of an error takes at most."""

_TRACEBACK_LIMIT: Final = 10_240
_MAX_CHAIN: Final = 10
_MAX_FRAMES: Final = 60
_MAX_NOTES: Final = 8
_MAX_GROUPED: Final = 5
_MAX_GROUP_DEPTH: Final = 2


def clip(text: str, *, limit: int) -> str:
    """Return text of at most ``limit`` bytes that every database stores; of longer text, head and tail."""
    stored = text.replace("\0", "\\x00").encode("utf-8", "backslashreplace")
    if len(stored) <= limit:
        return stored.decode()
    marker = f"\n[... of {len(stored):,} bytes the middle is left out ...]\n"
    room = limit - len(marker)
    if room < len(marker):
        return stored[:limit].decode("utf-8", "ignore")
    tail = room // 3
    return stored[: room - tail].decode("utf-8", "ignore") + marker + stored[-tail:].decode("utf-8", "ignore")


def describe(error: BaseException) -> dict[str, Any]:
    """Return the error's type, message, traceback and notes as JSON within ERROR_LIMIT; never raise."""
    name, message, lines, notes = _name(error), _text(error), "", ""
    try:
        lines = "".join(_lines(error))
        notes = "\n".join(_notes(error))
    except Exception as second:
        lines = lines or f"(its traceback could not be made: {_name(second)})"
    return fit(name, message, traceback=lines, notes=notes)


def fit(name: str, message: str, *, traceback: str = "", notes: str = "") -> dict[str, Any]:
    """Return the description of an error, of whatever language, within ERROR_LIMIT."""
    room = _TRACEBACK_LIMIT
    while True:
        described = {
            "type": clip(name, limit=256),
            "message": clip(message, limit=room // 3),
            "traceback": clip(traceback, limit=room),
        }
        if notes:
            described["notes"] = clip(notes, limit=room // 10)
        if len(json.dumps(described, ensure_ascii=False, separators=(",", ":")).encode()) <= ERROR_LIMIT:
            return described
        room //= 2  # a control character takes six bytes in JSON


def _name(error: BaseException) -> str:
    kind = type(error)
    try:
        name = (
            kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
        )
        return clip(name, limit=256)
    except Exception:  # a metaclass may do anything
        return "Exception"


def _text(value: object) -> str:
    try:
        return str.__str__(str(value))
    except BaseException as second:  # even SystemExit: this runs a user's __str__ only for its text
        return f"(its text could not be made: {_name(second)})"


def _notes(error: BaseException) -> list[str]:
    notes = getattr(error, "__notes__", None)
    return [clip(_text(note), limit=512) for note in notes[:_MAX_NOTES]] if isinstance(notes, list) else []


def _lines(error: BaseException, *, indent: str = "") -> Iterator[str]:
    """Yield the traceback as Python prints it, oldest error first, without locals."""
    for number, (one, link) in enumerate([(error, "")] if indent else _chain(error)):
        if number:
            yield f"\n{link}\n\n"
        if frames := _frames(one):
            yield f"{indent}Traceback (most recent call last):\n"
            for line in traceback.StackSummary.extract(iter(frames), capture_locals=False).format():
                yield textwrap.indent(line, indent)
        yield f"{indent}{_name(one)}: {clip(_text(one), limit=1_024)}\n"
        for note in _notes(one):
            yield f"{indent}{note}\n"
        if isinstance(one, BaseExceptionGroup) and len(indent) < 2 * _MAX_GROUP_DEPTH:
            for part in one.exceptions[:_MAX_GROUPED]:
                yield "\n"
                yield from _lines(part, indent=indent + "  ")


def _chain(error: BaseException) -> list[tuple[BaseException, str]]:
    """Return the errors from the first to the last, each with what links it to the one before."""
    chain: list[tuple[BaseException, str]] = []
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        if one.__cause__ is not None:
            chain.append((one, "That error was the direct cause of this one:"))
            one = one.__cause__
        else:
            chain.append((one, "While that error was handled, this one occurred:"))
            one = None if one.__suppress_context__ else one.__context__
    chain.reverse()
    if (left_out := len(chain) - _MAX_CHAIN) > 0:
        half = _MAX_CHAIN // 2
        chain[half : half + left_out] = []
        chain[half] = (chain[half][0], f"[... {left_out} errors between these two are left out ...]")
    return chain


def _frames(error: BaseException) -> list[tuple[FrameType, int]]:
    frames = list(traceback.walk_tb(error.__traceback__))
    if len(frames) > _MAX_FRAMES:
        frames[_MAX_FRAMES // 3 : -_MAX_FRAMES * 2 // 3] = []
    return frames
