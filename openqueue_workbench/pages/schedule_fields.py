"""The form of a schedule: what it holds, what was typed, and which field is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from openqueue.control.schedules import ScheduleFacts
from openqueue.wording import in_language
from openqueue_workbench.pages.schedule_words import MISFIRES, OVERLAPS

SECONDS: Final = ("every", "catchup_window", "jitter")
MOMENTS: Final = ("starts_at", "ends_at")
CHOICES: Final = {"misfire": MISFIRES, "overlap": OVERLAPS}
OBJECTS: Final = ("payload", "options")
USUAL: Final = {
    "timezone": "UTC",
    "misfire": "run_once",
    "overlap": "allow",
    "jitter": "0",
    "payload": "{}",
    "options": "{}",
}
LABELS: Final[Mapping[str, Promise]] = {
    "task_id": gettext_lazy("Task"),
    "key": gettext_lazy("Name"),
    "cron": gettext_lazy("Cron"),
    "every": gettext_lazy("Or every so many seconds"),
    "timezone": gettext_lazy("Time zone of the cron"),
    "overlap": gettext_lazy("When the run before it has not ended"),
    "misfire": gettext_lazy("When it was missed"),
    "catchup_window": gettext_lazy("Make up for what is at most so many seconds old"),
    "jitter": gettext_lazy("Spread over so many seconds"),
    "starts_at": gettext_lazy("Not before"),
    "ends_at": gettext_lazy("Not after"),
    "payload": gettext_lazy("Arguments, as a JSON object"),
    "options": gettext_lazy("Options of its runs, as a JSON object"),
    "reason": gettext_lazy("Why"),
}
HELP: Final[Mapping[str, Promise]] = {
    "key": gettext_lazy("Unique among the schedules of its task."),
    "cron": gettext_lazy("Minute, hour, day of the month, month, day of the week: 0 9 * * MON-FRI"),
    "timezone": gettext_lazy("Such as Europe/Berlin"),
    "catchup_window": gettext_lazy("Empty: whatever its age; with all that were missed, a day."),
    "payload": gettext_lazy("What stands there as [secret] stays as it is."),
    "options": gettext_lazy("queue, priority, max_attempts, backoff, timeout, ttl, tags, meta"),
    "reason": gettext_lazy("It goes on record."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One field as it is shown."""

    name: str
    label: str
    kind: str
    """text, number, select, textarea or datetime-local."""
    value: str
    help: str
    choices: Sequence[tuple[str, str]]
    fault: str
    """What is wrong with it."""


def inputs(
    names: Iterable[str],
    values: Mapping[str, str],
    faults: Mapping[str, str],
    *,
    choices: Mapping[str, Sequence[tuple[str, str]]] | None = None,
) -> list[Input]:
    """Return the fields with what they hold."""
    given: dict[str, Sequence[tuple[str, str]]] = {
        name: [(value, str(text)) for value, text in said.items()] for name, said in CHOICES.items()
    }
    given |= choices or {}
    zone = timezone.get_current_timezone_name()
    return [
        Input(
            name=name,
            label=str(LABELS[name]),
            kind=_kind(name, given),
            value=values.get(name, USUAL.get(name, "")),
            help=_("In %(zone)s.") % {"zone": zone} if name in MOMENTS else str(HELP.get(name, "")),
            choices=given.get(name, ()),
            fault=faults.get(name, ""),
        )
        for name in names
    ]


def held(schedule: ScheduleFacts) -> dict[str, str]:
    """Return what a schedule holds, as the form shows it."""
    found = {
        "cron": schedule.cron,
        "timezone": schedule.timezone,
        "misfire": schedule.misfire,
        "overlap": schedule.overlap,
        "payload": json.dumps(schedule.payload, indent=2, ensure_ascii=False),
        "options": json.dumps(schedule.options, indent=2, ensure_ascii=False),
    }
    for name in SECONDS:
        value = getattr(schedule, name)
        found[name] = (
            "" if value is None else f"{value:g}" if value < 1e5 else f"{value:.6f}".rstrip("0").rstrip(".")
        )
    for name in MOMENTS:
        at = getattr(schedule, name)
        found[name] = "" if at is None else timezone.localtime(at).strftime("%Y-%m-%dT%H:%M:%S")
    return found


def read(typed: Mapping[str, str], names: Iterable[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return what was typed as values, None where a field is empty, and what is wrong by field."""
    values: dict[str, Any] = {}
    faults: dict[str, str] = {}
    for name in names:
        text = typed.get(name, "").strip()
        try:
            values[name] = _read(name, text) if text else {} if name in OBJECTS else None
        except ValueError as error:
            faults[name] = str(error)
    return values, faults


def by_field(errors: Iterable[tuple[str, str]], names: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Return what is wrong by field, and what belongs to none."""
    faults: dict[str, str] = {}
    others = []
    for path, reason in errors:
        name = path.partition(".")[0].partition("[")[0]
        if name in names:
            said = in_language(reason) if path == name else f"{path}: {in_language(reason)}"
            faults[name] = f"{faults[name]}; {said}" if name in faults else said
        else:
            others.append(f"{path} {in_language(reason)}")
    return faults, others


def _kind(name: str, choices: Mapping[str, Any]) -> str:
    if name in choices:
        return "select"
    return "textarea" if name in OBJECTS else "datetime-local" if name in MOMENTS else "text"


def _read(name: str, text: str) -> Any:
    if name in SECONDS:
        try:
            return float(text.replace(",", "."))
        except ValueError:
            raise ValueError(_("%(text)s is no number of seconds") % {"text": repr(text[:40])}) from None
    if name in MOMENTS:
        try:
            return timezone.make_aware(datetime.fromisoformat(text).replace(tzinfo=None))
        except ValueError:
            raise ValueError(
                _("%(text)s is no moment such as 2027-03-01T09:00") % {"text": repr(text[:40])}
            ) from None
    if name in OBJECTS:
        try:
            value = json.loads(text)
        except ValueError as error:
            raise ValueError(_("is no JSON: %(why)s") % {"why": error}) from None
        if not isinstance(value, dict):
            raise ValueError(_("must be a JSON object: {…}"))
        return value
    return text
