"""How the commands read what people type: durations, moments, names, JSON."""

from __future__ import annotations

import re
import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from django.core.management.base import CommandError
from django.utils import timezone

from openqueue import codec
from openqueue.conf import NAME
from openqueue.control.actor import Actor

UNITS: Final = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3_600.0, "d": 86_400.0}
LONGEST: Final = timedelta(days=36_500)


def duration(text: str) -> float:
    """Read seconds, or a number with its unit: 90, 1.5s, 10m, 2h, 1d."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", text.strip().lower())
    if not found or found[2] not in UNITS:
        raise ArgumentTypeError(f"{text!r} is no duration. Write seconds (90), or 10m, 2h, 1d.")
    seconds = float(found[1]) * UNITS[found[2]]
    if seconds > LONGEST.total_seconds():
        raise ArgumentTypeError(f"{text!r} is longer than a hundred years.")
    return seconds


def moment(text: str) -> datetime:
    """Read an ISO 8601 moment; without an offset it is in TIME_ZONE."""
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ArgumentTypeError(
            f"{text!r} is no moment. Write 2027-03-01T09:00 or 2027-03-01T09:00+01:00."
        ) from None
    return at if at.tzinfo else timezone.make_aware(at)


def since(text: str) -> datetime | timedelta:
    """Read a moment, or how long ago."""
    try:
        return timedelta(seconds=duration(text))
    except ArgumentTypeError:
        pass
    try:
        return moment(text)
    except ArgumentTypeError:
        raise ArgumentTypeError(
            f"{text!r}: write how long ago (90, 10m, 2h, 1d) or a moment (2027-03-01T09:00)."
        ) from None


def positive(text: str) -> int:
    """Read a whole number above 0."""
    if not re.fullmatch(r"0*[1-9]\d{0,8}", text.strip()):
        raise ArgumentTypeError(f"{text!r} must be a whole number above 0.")
    return int(text)


def rate(text: str) -> float:
    """Read so many in a second, minute or hour, 50/s, 600/m, 100/h, as a number a second."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*/\s*([smh])", text.strip().lower())
    if not found or not float(found[1]):
        raise ArgumentTypeError(f"{text!r} is no rate. Write 50/s, 600/m or 100/h.")
    return float(found[1]) / UNITS[found[2]]


def whole(text: str) -> int:
    """Read a whole number, 0 or more."""
    if not re.fullmatch(r"\d{1,18}", text.strip()):
        raise ArgumentTypeError(f"{text!r} must be a whole number, 0 or more.")
    return int(text)


def queues(text: str) -> dict[str, int | None]:
    """Read queue names in their order, each with its weight where it has one: ``mail=3,reports=1``."""
    found: dict[str, int | None] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, is_weighted, weight = part.partition("=")
        if not NAME.fullmatch(name):
            raise ArgumentTypeError(f"{name!r} is no queue name. Write names as in --queues mail,reports.")
        if name in found:
            raise ArgumentTypeError(f"{name!r} is named twice. Name each queue once.")
        if is_weighted and not re.fullmatch(r"0*[1-9]\d{0,3}", weight):
            raise ArgumentTypeError(
                f"the weight of {name!r} must be a whole number from 1 to 9999, as in {name}=3."
            )
        found[name] = int(weight) if is_weighted else None
    if not found:
        raise ArgumentTypeError("names no queue. Leave it out to serve all.")
    return found


def payload(text: str | None, *, path: str | None) -> Mapping[str, Any]:
    """Return the arguments given as JSON text, or in a file (``-``: standard input); none are none.

    Raises:
        CommandError: it cannot be read, is no JSON, or no object.
    """
    name = "--payload"
    if path is not None:
        name = f"--payload-file {path}"
        try:
            text = sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{name} cannot be read: {error}") from error
    if text is None:
        return {}
    try:
        value = codec.decode(text)
    except (ValueError, RecursionError) as error:
        raise CommandError(
            f"""{name} is not valid JSON: {error}. Quote it for the shell: '{{"order_id": 7}}'."""
        ) from error
    if not isinstance(value, dict):
        raise CommandError(f"{name} must be a JSON object of arguments by name, not {value!r:.80}.")
    return value


def add_actor(parser: ArgumentParser) -> None:
    """Add ``--actor``."""
    parser.add_argument("--actor", help="Who asks, for the record. Default: the operating system's user.")


def actor(name: str | None) -> Actor:
    """Return who asks.

    Raises:
        CommandError: the name cannot stand in the record.
    """
    try:
        return Actor.of_system() if name is None else Actor(name=name)
    except ValueError as error:
        raise CommandError(f"--actor: {error}.") from error
