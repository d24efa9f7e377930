"""How often an error came in the last 24 hours: by release, where workers tell theirs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from openqueue.control.error_access import ShownError
from openqueue.control.releases import ReleaseFacts
from openqueue_workbench import wording
from openqueue_workbench.drawing import bars
from openqueue_workbench.drawing.bars import Bar
from openqueue_workbench.drawing.frame import Begun, Frame
from openqueue_workbench.pages import links
from openqueue_workbench.wording import Mark

HOUR: Final = timedelta(hours=1)
HUES: Final = ("failed", "retrying", "cancelled", "dead")
"""Of the newest releases, the newest first; all older ones are drawn as one."""
OLDER: Final = "older"
FAILED: Final = "failed"


def drawn(found: ShownError, address: Callable[..., str]) -> SafeString:
    """Draw the last 24 hours; each bar leads to its runs. ``address``: of the page, with some of its query changed."""
    told = [name for name in found.by_release if name]
    parts = _by_release(found, told) if told else {FAILED: found.facts.trend}
    drawn = [
        Bar(
            since=hour,
            before=hour + HOUR,
            counts={part: trend[index] for part, trend in parts.items()},
            url=address(since=links.stamp(hour), before=links.stamp(hour + HOUR), at=None),
            is_running=index == len(found.hours) - 1,
        )
        for index, hour in enumerate(found.hours)
    ]
    frame = Frame(
        id="oq-error-chart",
        title=_("Failures per hour, by release") if told else _("Failures per hour"),
        since=found.hours[0],
        before=found.at,
        empty=_("No failures in the last 24 hours."),
        begun=begun(found.begun),
    )
    newest = told[-len(HUES) :][::-1]
    return bars.stacked(frame, drawn, order=list(parts), marked=lambda part: _mark(part, newest))


def begun(releases: Sequence[ReleaseFacts]) -> list[Begun]:
    """Return what a chart marks."""
    return [Begun(name=one.name, at=one.first_seen) for one in releases]


def _by_release(found: ShownError, told: Sequence[str]) -> dict[str, list[int]]:
    """Return the trends, the newest release last: names begin with a sign, so that none is taken for a word."""
    shown = told[-len(HUES) :]
    older = [found.by_release[name] for name in told[: -len(HUES)]]
    parts = {"": list(found.by_release.get("", ()))} if "" in found.by_release else {}
    if older:
        parts[OLDER] = [sum(column) for column in zip(*older, strict=True)]
    return parts | {f"={name}": list(found.by_release[name]) for name in shown}


def _mark(part: str, newest: Sequence[str]) -> Mark:
    if part == FAILED:
        return wording.mark(part)
    if not part:
        return Mark(glyph="?", word=_("No release told"), css="oq-c-queued")
    if part == OLDER:
        return Mark(glyph="…", word=_("Older releases"), css="oq-c-queued")
    place = newest.index(part[1:])
    return Mark(glyph=str(place + 1), word=part[1:], css=f"oq-c-{HUES[place]}", is_name=True)
