"""What a rule or a channel may be: every field checked, before anything is written."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from openqueue.alerts.channels import EMAIL, MOST_RECIPIENTS
from openqueue.alerts.kinds import KINDS, SEVERITIES, WINDOWS
from openqueue.conf import NAME, config
from openqueue.errors import AlertInvalid
from openqueue.outward import Refused, Target
from openqueue.wording import say as _

LONGEST_NAME: Final = 100
LONGEST_TASK: Final = 200
MOST_NAMES: Final = 100
MOST_SECONDS: Final = 7 * 86_400
RUNTIME_HOLD: Final = 30
"""Seconds that a runtime must be silent for, unless the rule says otherwise: one answer that was late is no outage."""
Faults = list[tuple[str, str]]
RULE_FIELDS: Final = (
    "name", "kind", "severity", "threshold", "least", "factor", "window", "hold", "cooldown", "queues", "tasks",
    "tells_end",
)  # fmt: skip
"""Of a rule, besides its channels."""


def rule(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a rule, with those that were not given as they are by default.

    Raises:
        AlertInvalid: names each field that is wrong.
    """
    kind = KINDS.get(str(given.get("kind", "")))
    if kind is None:
        raise AlertInvalid([("kind", _("must be one of {names}", names=", ".join(KINDS)))])
    fields: dict[str, Any] = {
        "kind": kind.name,
        "severity": "warning",
        "threshold": kind.threshold,
        "hold": RUNTIME_HOLD if kind.subject == "runtime" and not kind.unit else 0,
        "cooldown": 300,
        "tells_end": True,
        **fields_of(kind.name),
        **given,
    }
    faults: Faults = [(name, "is no field of a rule") for name in given if name not in RULE_FIELDS]
    faults += [
        (name, f"says nothing to a rule of the kind {kind.name}")
        for name, usual in fields_of(kind.name).items()
        if name not in kind.options and fields[name] != usual
    ]
    for name, (fits, reason) in FITS.items():
        if not fits(fields.get(name)):
            faults.append((name, reason))
    if not faults and not 0 <= fields["threshold"] <= kind.most:
        faults.append(("threshold", _("must be from 0 to {most:g} {unit}", most=kind.most, unit=kind.unit)))
    if faults:
        raise AlertInvalid(faults)
    return fields | {"queues": sorted(set(fields["queues"])), "tasks": sorted(set(fields["tasks"]))}


def fields_of(kind: str) -> dict[str, Any]:
    """Return what rules of a kind have by default of what not every kind heeds."""
    window = KINDS[kind].window if "window" in KINDS[kind].options else WINDOWS[0]
    return {"window": window, "least": 1, "factor": 3.0, "queues": [], "tasks": []}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_whole(value: Any, *, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def is_name(value: Any) -> bool:
    """Tell whether something can be called so."""
    return (
        isinstance(value, str) and bool(value.strip()) and value.isprintable() and len(value) <= LONGEST_NAME
    )


def _are_names(value: Any, fits: Callable[[str], Any]) -> bool:
    is_list = isinstance(value, list | tuple) and len(value) <= MOST_NAMES
    return is_list and all(isinstance(one, str) and fits(one) for one in value)


FITS: Final[Mapping[str, tuple[Callable[[Any], bool], str]]] = {
    "name": (is_name, _("must be 1 to {most} printable characters", most=LONGEST_NAME)),
    "severity": (lambda value: value in SEVERITIES, _("must be one of {names}", names=", ".join(SEVERITIES))),
    "threshold": (_is_number, _("must be a number")),
    "least": (lambda value: _is_whole(value, least=1, most=10**9), _("must be a whole number from 1")),
    "factor": (lambda value: _is_number(value) and 1 <= value <= 1_000, _("must be a number from 1 to 1000")),
    "window": (
        lambda value: _is_whole(value, least=1, most=WINDOWS[-1]) and value in WINDOWS,
        _("must be one of {windows} (seconds)", windows=", ".join(map(str, WINDOWS))),
    ),
    "hold": (
        lambda value: _is_whole(value, least=0, most=MOST_SECONDS),
        _("must be whole seconds from 0 to {most}", most=MOST_SECONDS),
    ),
    "cooldown": (
        lambda value: _is_whole(value, least=0, most=MOST_SECONDS),
        _("must be whole seconds from 0 to {most}", most=MOST_SECONDS),
    ),
    "queues": (
        lambda value: _are_names(value, NAME.fullmatch),
        _(
            "must be a list of {most} names at most that match {pattern}",
            most=MOST_NAMES,
            pattern=NAME.pattern,
        ),
    ),
    "tasks": (
        lambda value: _are_names(value, lambda one: one and one.isprintable() and len(one) <= LONGEST_TASK),
        _("must be a list of {most} ids of tasks at most", most=MOST_NAMES),
    ),
    "tells_end": (lambda value: isinstance(value, bool), _("must be true or false")),
}


def url(given: Any) -> Target:
    """Return the URL of a channel, taken apart.

    Raises:
        AlertInvalid: it is none, or nothing is sent there.
    """
    if not isinstance(given, str):
        raise AlertInvalid([("url", _("must be a URL"))])
    try:
        return config.alerts.target(given)
    except Refused as error:
        raise AlertInvalid([("url", error.args[0])]) from error


def recipients(given: Any) -> list[str]:
    """Return the addresses of a channel.

    Raises:
        AlertInvalid: names each that is none.
    """
    if not isinstance(given, Sequence) or isinstance(given, str) or not 1 <= len(given) <= MOST_RECIPIENTS:
        raise AlertInvalid(
            [
                (
                    "recipients",
                    _("must be a list of 1 to {most_recipients} addresses", most_recipients=MOST_RECIPIENTS),
                )
            ]
        )
    faults: Faults = []
    for number, one in enumerate(given):
        try:
            validate_email(one)
        except ValidationError:
            faults.append((f"recipients[{number}]", _("is no mail address")))
    if faults:
        raise AlertInvalid(faults)
    return list(dict.fromkeys(given))


def for_kind(kind: str, *, has_url: bool, has_recipients: bool) -> None:
    """Refuse what a channel of this kind has no use for."""
    if kind == EMAIL and has_url:
        raise AlertInvalid([("url", _("says nothing to a channel of the kind email"))])
    if kind != EMAIL and has_recipients:
        raise AlertInvalid([("recipients", _("says nothing to a channel of the kind {kind}", kind=kind))])
